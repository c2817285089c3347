"""Rarity-weighted logit distillation: the logit half of LIX, ours."""

import torch
from torch import Tensor

from lixlib.core.checks import check_same_shape, check_temperature, full_precision, mean_over, shape, valid_pixels
from lixlib.core.constants import IGNORE
from lixlib.functional.blocks import Block, Found, exponentials_, products_, sweep
from lixlib.functional.dwld import with_gradients
from lixlib.functional.softmax import soften, softmax


@full_precision
def rarity_weights(
    logits: Tensor,
    target: Tensor | None = None,
    *,
    gamma: float = 1.0,
    lowest: float = 0.01,
    temperature: float = 1.0,
    ignore_index: int = IGNORE,
) -> Tensor:
    """W_c = max(C m_c, lowest)^-gamma, m_c the mean probability of class c over the valid pixels of the batch.

    C m_c is 1 for a class of average frequency, so that W is above 1 for rare classes and below 1 for common ones. No
    W exceeds lowest^-gamma. With gamma = 0 all are 1.

    **Shapes**: logits (B, C, H, W) or (N, C); target (B, H, W) or (N,), None for all pixels -> (C,), without gradient.

    Raises:
        ValueError: gamma below 0, lowest not above 0, or a label that is neither in 0..C-1 nor `ignore_index`.
    """
    if not gamma >= 0 or not lowest > 0:
        raise ValueError(f"rarity weights need gamma >= 0 and lowest > 0, found {gamma} and {lowest}")
    check_temperature(temperature)
    valid = None if target is None else valid_pixels(logits, target, ignore_index)
    p = softmax(soften(logits.detach(), temperature), valid)  # 0 where a pixel is not valid
    share = torch.stack([mean_over(p[:, c], valid) for c in range(p.shape[1])])
    return (len(share) * share).clamp(min=lowest).pow(-gamma)


@full_precision
def rwld_loss(
    student: Tensor,
    teacher: Tensor,
    target: Tensor,
    weight: Tensor,
    *,
    temperature: float = 1.0,
    ignore_index: int = IGNORE,
) -> Tensor:
    """T^2 sum over c of W_c (p_c^T log(p_c^T / p_c^S) - p_c^T + p_c^S), mean over valid pixels.

    It is the generalised Kullback-Leibler divergence, a Bregman divergence, of the whole softmax, with a weight for
    every logit: never negative, and 0 only at p^S = p^T, whatever W is (W > 0). With all W = 1 it is `kd_loss`.

    With g = W (p^S - p^T) the gradient in the logits z / T is g - p^S sum_c g_c.

    **Shapes**: student and teacher logits (B, C, H, W) or (N, C); target (B, H, W) or (N,), of which only the ignored
    pixels are read; weight (C,), or one a logit, shaped like these, without gradient -> ().

    Raises:
        ValueError: unequal shapes, or a label that is neither in 0..C-1 nor `ignore_index`.
        RuntimeError: a second derivative is asked for.
    """
    check_same_shape(student, teacher)
    check_temperature(temperature)
    valid = valid_pixels(student, target, ignore_index)
    if weight.shape not in ((student.shape[1],), student.shape):
        raise ValueError(f"weight must be (C,) or shaped like the logits {shape(student)}, found {shape(weight)}")
    if weight.dim() == 1:
        weight = weight.reshape(-1, *[1] * (student.dim() - 2))
    loss, slope, _ = sweep(
        weighted_divergence,
        student,
        teacher,
        weight.detach().to(student).expand_as(student),
        valid=valid,
        temperature=temperature,
        needs=(torch.is_grad_enabled() and student.requires_grad, False),
    )
    return with_gradients(loss, [student], [slope])


def weighted_divergence(block: Block, with_slope: bool) -> Found:
    """The divergence of `rwld_loss` and its gradient."""
    assert block.weight is not None
    s, t = (exponentials_(z, z.amax(1, keepdim=True)) for z in (block.student, block.teacher))
    p_s, p_t = s.e.div_(s.total), t.e.div_(t.total)
    terms = products_(p_t, t.shifted.sub_(s.shifted).add_(s.log_total - t.log_total))
    gap = p_s - p_t
    loss = terms.add_(gap).mul_(block.weight).sum(1, keepdim=True)
    if not with_slope:
        return Found(loss, None)
    pull = gap.mul_(block.weight)
    return Found(loss, pull.sub_(p_s.mul_(pull.sum(1, keepdim=True))))
