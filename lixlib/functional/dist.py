"""DIST: distillation from a stronger teacher by correlation (Huang et al., NeurIPS 2022)."""

import torch
from torch import Tensor

from lixlib.functional.checks import check_same_shape, check_temperature, full_precision, mean_over, valid_pixels
from lixlib.functional.kd import soften


@full_precision
def dist_loss(
    student: Tensor,
    teacher: Tensor,
    target: Tensor | None = None,
    *,
    beta: float = 1.0,
    gamma: float = 1.0,
    temperature: float = 1.0,
    ignore_index: int = 255,
) -> Tensor:
    """T^2 (beta inter + gamma intra): 1 - Pearson's correlation of the softmax at temperature T.

    "inter" correlates the classes of each pixel, mean over valid pixels; "intra" a class over all valid pixels of the
    batch together, mean over classes. 1e-8 is added to the product of the two norms, so that a pixel or class of
    constant probability has correlation 0 and costs 1. With C = 2 every "inter" correlation is 1 or -1.

    **Shapes**: student and teacher logits (B, C, H, W) or (N, C); target (B, H, W) or (N,), None for all pixels -> ().

    Raises:
        ValueError: unequal shapes, or a label that is neither in 0..C-1 nor `ignore_index`.
    """
    check_same_shape(student, teacher)
    check_temperature(temperature)
    valid = None if target is None else valid_pixels(student, target, ignore_index)
    p_s, p_t = (soften(logits, temperature).softmax(1) for logits in (student, teacher.detach()))
    # the probabilities of a pixel have mean 1 / C
    inter = mean_over(1 - _correlation(p_s - 1 / p_s.shape[1], p_t - 1 / p_t.shape[1], 1), valid)
    pixels = (0, *range(2, p_s.dim()))
    intra = (1 - _correlation(_centre(p_s, pixels, valid), _centre(p_t, pixels, valid), pixels)).mean()
    if valid is not None:
        intra = intra * valid.any()
    return temperature**2 * (beta * inter + gamma * intra)


def _centre(p: Tensor, dim: tuple[int, ...], valid: Tensor | None) -> Tensor:
    """p minus its mean over valid pixels, 0 elsewhere. **Shapes**: (B, C, ...) -> the same."""
    if valid is None:
        return p - p.mean(dim, keepdim=True)
    valid = valid.unsqueeze(1)
    mean = p.where(valid, 0).sum(dim, keepdim=True) / valid.sum().clamp(min=1)
    return (p - mean).where(valid, 0)


def _correlation(a: Tensor, b: Tensor, dim: int | tuple[int, ...]) -> Tensor:
    """Pearson's, of centred values."""
    # sums: vector_norm takes three times as long; a square root has no finite gradient at 0
    norms = [(x * x).sum(dim).clamp(min=torch.finfo(x.dtype).tiny).sqrt() for x in (a, b)]
    return (a * b).sum(dim) / (norms[0] * norms[1] + 1e-8)
