"""Knowledge distillation on logits (Hinton et al., 2015; LIX Eq. (1))."""

import torch.nn.functional as F
from torch import Tensor

from lixlib.functional.checks import check_same_shape, check_temperature, full_precision, mean_over, valid_pixels


@full_precision
def kd_loss(
    student: Tensor, teacher: Tensor, target: Tensor | None = None, *, temperature: float = 1.0, ignore_index: int = 255
) -> Tensor:
    """T^2 KL(p^T || p^S) of the softmax at temperature T, mean over valid pixels: LIX Eq. (1).

    **Shapes**: student and teacher logits (B, C, H, W) or (N, C); target (B, H, W) or (N,), None for all pixels -> ().

    Raises:
        ValueError: unequal shapes, or a label that is neither in 0..C-1 nor `ignore_index`.
    """
    check_same_shape(student, teacher)
    check_temperature(temperature)
    valid = None if target is None else valid_pixels(student, target, ignore_index)
    return temperature**2 * mean_over(kl_divergence(student, teacher.detach(), temperature), valid)


def kl_divergence(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """KL(p^T || p^S) per pixel, from log-probabilities. **Shapes**: (B, C, ...) -> (B, ...)."""
    log_s, log_t = (soften(logits, temperature).log_softmax(1) for logits in (student, teacher))
    return F.kl_div(log_s, log_t, reduction="none", log_target=True).sum(1)


def soften(logits: Tensor, temperature: float) -> Tensor:
    """z / T, with a class's pixels side by side in memory: a softmax over classes is then faster."""
    return (logits if temperature == 1 else logits / temperature).contiguous()
