"""Knowledge distillation on logits (Hinton et al., 2015; LIX Eq. (1))."""

from torch import Tensor

from lixlib.core.checks import check_same_shape, check_temperature, full_precision, mean_over, valid_pixels
from lixlib.core.constants import IGNORE
from lixlib.functional.blocks import Block, Exponentials, Found, TwiceDifferentiable, exponentials_, products_
from lixlib.functional.softmax import kl_divergence, soften, softmax


@full_precision
def kd_loss(
    student: Tensor,
    teacher: Tensor,
    target: Tensor | None = None,
    *,
    temperature: float = 1.0,
    ignore_index: int = IGNORE,
) -> Tensor:
    """T^2 KL(p^T || p^S) of the softmax at temperature T, mean over valid pixels: LIX Eq. (1).

    A class that is switched off, its logit -inf, costs 0 if it is so in the teacher, and inf if in the student alone.

    **Shapes**: student and teacher logits (B, C, H, W) or (N, C); target (B, H, W) or (N,), None for all pixels -> ().

    Raises:
        ValueError: unequal shapes, or a label that is neither in 0..C-1 nor `ignore_index`.
    """
    check_same_shape(student, teacher)
    check_temperature(temperature)
    valid = None if target is None else valid_pixels(student, target, ignore_index)
    teacher = teacher.detach()

    def plain(student: Tensor) -> Tensor:
        return temperature**2 * mean_over(pixel_divergence(student, teacher, temperature, valid), valid)

    inputs = {"teacher": teacher, "valid": valid, "temperature": temperature}
    loss: Tensor = TwiceDifferentiable.apply(student, plain, divergence, inputs)
    return loss


def divergence(block: Block, with_slope: bool) -> Found:
    """KL(p^T || p^S) and its gradient p^S - p^T."""
    s, t = (exponentials_(z, z.amax(1, keepdim=True)) for z in (block.student, block.teacher))
    return between_(s, t, with_slope)


def between_(s: Exponentials, t: Exponentials, with_slope: bool) -> Found:
    """`divergence` by p = e / total and log p = z - m - log_total; overwrites what it is given."""
    p_t = t.e.div_(t.total)
    loss = products_(p_t, t.shifted.sub_(s.shifted)).sum(1, keepdim=True) + (s.log_total - t.log_total)
    return Found(loss, s.e.div_(s.total).sub_(p_t) if with_slope else None)


def pixel_divergence(student: Tensor, teacher: Tensor, temperature: float, valid: Tensor | None) -> Tensor:
    """KL(p^T || p^S) per pixel, 0 where it is not valid. **Shapes**: (B, C, ...), valid (B, ...) -> (B, ...)."""
    logits = (soften(z, temperature) for z in (student, teacher.detach()))
    return kl_divergence(*(softmax(z, valid, log=True) for z in logits))
