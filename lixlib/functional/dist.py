"""DIST: distillation from a stronger teacher by correlation (Huang et al., NeurIPS 2022)."""

from torch import Tensor

from lixlib.core.checks import check_same_shape, check_temperature, full_precision, mean_over, valid_pixels
from lixlib.core.constants import IGNORE
from lixlib.functional.softmax import soften, softmax

CONSTANT = 1e-5  # of the probabilities: a smaller relative deviation from their mean counts as none


@full_precision
def dist_loss(
    student: Tensor,
    teacher: Tensor,
    target: Tensor | None = None,
    *,
    beta: float = 1.0,
    gamma: float = 1.0,
    temperature: float = 1.0,
    ignore_index: int = IGNORE,
) -> Tensor:
    """T^2 (beta inter + gamma intra): 1 - Pearson's correlation of the softmax at temperature T.

    "inter" correlates the classes of each pixel, mean over valid pixels; "intra" a class over all valid pixels of the
    batch together, mean over classes. 1e-8 is added to the product of the two norms. A pixel or class of constant
    probability, within a relative 1e-5, has correlation 0: it costs 1 and gives no gradient, where the quotient has one
    without bound. With C = 2 every "inter" correlation is 1 or -1.

    **Shapes**: student and teacher logits (B, C, H, W) or (N, C); target (B, H, W) or (N,), None for all pixels -> ().

    Raises:
        ValueError: unequal shapes, or a label that is neither in 0..C-1 nor `ignore_index`.
    """
    check_same_shape(student, teacher)
    check_temperature(temperature)
    valid = None if target is None else valid_pixels(student, target, ignore_index)
    p_s, p_t = (softmax(soften(logits, temperature), valid) for logits in (student, teacher.detach()))
    share = 1 / p_s.shape[1]  # the mean of a pixel's probabilities, and what subtracting it takes from their squares
    inter = mean_over(1 - _correlation((p_s - share, share), (p_t - share, share), 1), valid)
    pixels = (0, *range(2, p_s.dim()))
    intra = (1 - _correlation(_centre(p_s, pixels, valid), _centre(p_t, pixels, valid), pixels)).mean()
    if valid is not None:
        intra = intra * valid.any()
    return temperature**2 * (beta * inter + gamma * intra)


def _centre(p: Tensor, dim: tuple[int, ...], valid: Tensor | None) -> tuple[Tensor, Tensor]:
    """p minus its mean over valid pixels, 0 elsewhere as p is; and the sum of the squares that this takes from it.

    **Shapes**: (B, C, ...) -> the same, and (C,).
    """
    if valid is None:
        mean = p.mean(dim, keepdim=True)
        return p - mean, mean.detach().flatten().square() * (p.numel() / p.shape[1])
    count = valid.sum()
    mean = p.sum(dim, keepdim=True) / count.clamp(min=1)
    return (p - mean) * valid.unsqueeze(1).to(p.dtype), mean.detach().flatten().square() * count


def _correlation(
    a: tuple[Tensor, Tensor | float], b: tuple[Tensor, Tensor | float], dim: int | tuple[int, ...]
) -> Tensor:
    """Pearson's, of values that are centred and the sum of the squares that this took from them."""
    # sums: vector_norm takes three times as long
    squares = [(x * x).sum(dim) for x, _ in (a, b)]
    constant = [s <= CONSTANT**2 * (s + taken) for s, (_, taken) in zip(squares, (a, b), strict=True)]
    norms = [s.masked_fill(flat, 1).sqrt() for s, flat in zip(squares, constant, strict=True)]
    correlation = (a[0] * b[0]).sum(dim) / (norms[0] * norms[1] + 1e-8)
    return correlation.masked_fill(constant[0] | constant[1], 0)
