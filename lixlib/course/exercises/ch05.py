"""Chapter 05: unbiased HSIC."""

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
}
