"""Chapter 05: unbiased HSIC, and what noise scores in each reading of a feature map."""

from collections.abc import Callable

import torch
from torch import Tensor

from lixlib.course.checker import Exercise, Inputs, randn
from lixlib.functional import gram, hsic


def _grams(generator: torch.Generator) -> Inputs:
    return {
        "random features": (gram(randn(generator, 9, 3)), gram(randn(generator, 9, 4), kernel="laplace")),
        "four samples, the fewest": (gram(randn(generator, 4, 5)), gram(randn(generator, 4, 5))),
        "large features": (gram(1000 * randn(generator, 12, 3)), gram(randn(generator, 12, 50))),
    }


def _hsic_mistake(formula: Callable[..., Tensor], diagonal: bool = False) -> Callable[[Tensor, Tensor], Tensor]:
    """HSIC as computed by a formula of n, sum K L, sum K sum L, K 1 . L 1 and both Grams, without their diagonals."""

    def mistake(k, l):  # noqa: E741
        if not diagonal:
            k, l = (gram - gram.diag().diag() for gram in (k, l))  # noqa: E741
        return formula(len(k), (k * l).sum(), k.sum() * l.sum(), k.sum(1) @ l.sum(1), k, l)

    return mistake


def _song(n: int, pairs: Tensor, sums: Tensor, mixed: Tensor, *grams: Tensor) -> Tensor:
    return (pairs + sums / ((n - 1) * (n - 2)) - 2 * mixed / (n - 2)) / (n * (n - 3))


def _maps(generator: torch.Generator) -> Inputs:
    return {
        "three maps of decode3": (3, 48, 12, 40),
        "eight maps of conv5": (8, 132, 3, 10),
        "a single map that is not square": (1, 6, 4, 9),
    }


def _noise_floors(b: int, c: int, h: int, w: int) -> Tensor:
    return _shares((b, c * h * w), (h * w, c), (c, h * w))


def _shares(*cuts: tuple[int, int]) -> Tensor:
    """d / (d + n) of every (n, d)."""
    return torch.tensor([d / (d + n) for n, d in cuts], dtype=torch.float64)


EXERCISES = {
    "05.1": Exercise(
        expected=lambda a, b: hsic(a, b, unbiased=True),
        inputs=_grams,
        hint="set both diagonals to zero; then the terms are sums of K L, of K and of L, and of their rows.",
        mistakes={
            "that is the biased HSIC of Eq. (15).": hsic,
            "the diagonals are still there; set them to zero first.": _hsic_mistake(_song, diagonal=True),
            "you divide by (n - 1)^2; this estimator divides by n (n - 3).": _hsic_mistake(
                lambda n, *terms: _song(n, *terms) * n * (n - 3) / (n - 1) ** 2
            ),
            "the last term lacks its factor 2.": _hsic_mistake(
                lambda n, pairs, sums, mixed, *_: _song(n, pairs, sums, mixed / 2)
            ),
            "the last term is subtracted, not added.": _hsic_mistake(
                lambda n, pairs, sums, mixed, *_: _song(n, pairs, sums, -mixed)
            ),
            "the last term is missing.": _hsic_mistake(lambda n, pairs, sums, mixed, *_: _song(n, pairs, sums, 0)),
            "the middle term is missing.": _hsic_mistake(lambda n, pairs, sums, mixed, *_: _song(n, pairs, 0, mixed)),
            "the first term multiplies entry by entry; you have summed a matrix product.": _hsic_mistake(
                lambda n, pairs, sums, mixed, a, b: _song(n, (a @ b).sum(), sums, mixed)
            ),
        },
    ),
    "05.2": Exercise(
        expected=_noise_floors,
        inputs=_maps,
        hint="read n and d off the table for each reading; noise scores d / (d + n).",
        mistakes={
            "that is n / (d + n); the floor rises with the columns d.": lambda *size: 1 - _noise_floors(*size),
            "positions and channels are swapped: the second number has the places of a map as rows.": lambda *size: (
                _noise_floors(*size)[[0, 2, 1]]
            ),
            "a row of the batch is a whole image, so its length is C H W.": lambda b, c, h, w: _shares(
                (b, c), (h * w, c), (c, h * w)
            ),
            "every image has a Gram matrix of its own: B does not multiply the positions.": lambda b, c, h, w: _shares(
                (b, c * h * w), (b * h * w, c), (c, h * w)
            ),
            "every image has a Gram matrix of its own: B does not multiply the channels' length.": lambda b, c, h, w: (
                _shares((b, c * h * w), (h * w, c), (c, b * h * w))
            ),
        },
    ),
}
