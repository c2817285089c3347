"""Decoupled knowledge distillation (Zhao et al., CVPR 2022; LIX Eqs. (2)-(5))."""

from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from lixlib.core.checks import check_same_shape, check_temperature, full_precision, mean_over, shape, valid_pixels
from lixlib.core.constants import IGNORE
from lixlib.functional.blocks import LOG2_E, Block, Exponentials, Found, TwiceDifferentiable, exponentials_, products_
from lixlib.functional.kd import pixel_divergence
from lixlib.functional.softmax import BACKWARD, Context, blank_, kl_divergence, soften


class Split(NamedTuple):
    """One network's softmax, split at the target class t.

    **Shapes**: log_q (B, C, ...), -inf in the target's slot; margin (B, ...). At an ignored pixel both mean nothing.
    """

    log_q: Tensor  # log of q_j = p_j / (1 - p_t)
    margin: Tensor  # log of p_t / (1 - p_t), the logit of the binary distribution b


@full_precision
def decouple(
    student: Tensor, teacher: Tensor, target: Tensor, *, temperature: float = 1.0, ignore_index: int = IGNORE
) -> tuple[Tensor, Tensor, Tensor]:
    """The maps TCLD, NCLD and KL of LIX Eq. (3), for which KL = TCLD + (1 - p_t^T) NCLD; no factor T^2.

    TCLD = KL(b^T || b^S) with b = (p_t, 1 - p_t); NCLD = KL(q^T || q^S) with q_j = p_j / (1 - p_t), j != t.

    **Shapes**: logits (B, C, H, W) or (N, C); target and the three maps (B, H, W) or (N,), 0 where it is ignored.

    Raises:
        ValueError: unequal shapes, C < 2, or a label that is neither in 0..C-1 nor `ignore_index`.
    """
    valid, _, s, t = split(student, teacher, target, temperature, ignore_index)
    maps = (
        target_divergence(s.margin, t.margin),
        kl_divergence(s.log_q, t.log_q),
        pixel_divergence(student, teacher, temperature, valid),
    )
    tcld, ncld, kl = (values.where(valid, 0) for values in maps)
    return tcld, ncld, kl


@full_precision
def dkd_loss(
    student: Tensor,
    teacher: Tensor,
    target: Tensor,
    *,
    alpha: float = 1.0,
    beta: float = 8.0,
    temperature: float = 1.0,
    ignore_index: int = IGNORE,
) -> Tensor:
    """T^2 (alpha TCLD + beta NCLD), mean over valid pixels: LIX Eq. (4).

    A class that is switched off, its logit -inf, costs 0 if it is so in the teacher, and inf if in the student alone.

    **Shapes**: student and teacher logits (B, C, H, W) or (N, C); target (B, H, W) or (N,) -> ().

    Raises:
        ValueError: unequal shapes, C < 2, or a label that is neither in 0..C-1 nor `ignore_index`.
    """
    valid, index = labelled(student, teacher, target, temperature, ignore_index)
    teacher = teacher.detach()

    def plain(student: Tensor) -> Tensor:
        _, _, s, t = split(student, teacher, target, temperature, ignore_index)
        per_pixel = alpha * target_divergence(s.margin, t.margin) + beta * kl_divergence(s.log_q, t.log_q)
        return temperature**2 * mean_over(per_pixel, valid)

    weight = student.new_full((), beta).expand_as(student)
    inputs = {"teacher": teacher, "weight": weight, "index": index, "valid": valid, "temperature": temperature}
    loss: Tensor = TwiceDifferentiable.apply(student, plain, partial(decoupled, alpha=alpha), inputs)
    return loss


def split(
    student: Tensor, teacher: Tensor, target: Tensor, temperature: float, ignore_index: int
) -> tuple[Tensor, Tensor, Split, Split]:
    """Check the arguments; return the valid pixels, the target class of each, and both networks split there.

    This takes the target's term out of the sum, LIX Eq. (2), and is what the masks of LIX Eqs. (10)-(11) do.
    The teacher is detached. **Shapes**: -> valid (B, ...), index (B, 1, ...), two `Split`.
    """
    valid, index = labelled(student, teacher, target, temperature, ignore_index)
    s, t = (_Split.apply(soften(logits, temperature), index, valid) for logits in (student, teacher.detach()))
    return valid, index, Split(*s), Split(*t)


def labelled(
    student: Tensor, teacher: Tensor, target: Tensor, temperature: float, ignore_index: int
) -> tuple[Tensor, Tensor]:
    """Check the arguments; return the valid pixels and the class of each. **Shapes**: -> (B, ...), (B, 1, ...)."""
    check_same_shape(student, teacher)
    check_temperature(temperature)
    valid = valid_pixels(student, target, ignore_index)
    if student.shape[1] < 2:
        raise ValueError(f"non-target classes need at least 2 classes, found logits {shape(student)}")
    return valid, target.where(valid, 0).long().unsqueeze(1)  # ignored pixels are computed as class 0, then dropped


class _Split(Function):
    """The two fields of `Split`, and their gradient in one step.

    With z the logits, log q_j = z_j - l for j != t and the margin is z_t - l, where l = log sum over j != t of exp z_j.
    """

    @staticmethod
    def forward(ctx: Context, logits: Tensor, index: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        # finite, so that it is left where all other classes are switched off
        lowest = torch.finfo(logits.dtype).min / 4
        others = logits.scatter(1, index, lowest)
        log_q = blank_(others.log_softmax(1), valid)
        log_sum = others.amax(1) - log_q.amax(1)
        log_q.scatter_(1, index, -torch.inf)
        ctx.save_for_backward(log_q, index)
        return log_q, (logits.gather(1, index).squeeze(1) - log_sum).where(valid, 0)

    @staticmethod
    def backward(ctx: Context, of_log_q: Tensor, of_margin: Tensor) -> tuple[Tensor, None, None]:
        log_q, index = ctx.saved_tensors
        gradient = of_log_q.scatter(1, index, of_margin.unsqueeze(1))
        of_logits: Tensor = BACKWARD[True](gradient, log_q, 1, log_q.dtype)
        return of_logits, None, None


def target_divergence(margin_s: Tensor, margin_t: Tensor) -> Tensor:
    """TCLD = KL(b^T || b^S) of margins of p_t over the rest. **Shapes**: (B, ...), (B, ...) -> (B, ...)."""
    # log p_t and log(1 - p_t)
    return kl_divergence(*(torch.stack([F.logsigmoid(m), F.logsigmoid(-m)], dim=1) for m in (margin_s, margin_t)))


def decoupled(block: Block, with_slope: bool, *, alpha: float = 1.0, bregman: bool = False) -> Found:
    """alpha TCLD + sum over j != t of W_j D_j, as in `dwld_loss`, and its gradients.

    With z the student's logits / T, and q = 0 at the target class t, the gradients at one pixel are

        d/dz_t = alpha (p_t^S - p_t^T)
        d/dz_j = alpha (p_t^T - p_t^S) q_j^S + (sum_k W_k q_k^T) q_j^S - W_j q_j^T    for j != t, "kl"
                 ... + (W_j - sum_k W_k q_k^S) q_j^S                                  more for "bregman"
        d/dW_j = D_j

    With alpha = 1 the first line is LIX Eq. (5). Chapter 03 derives them.
    """
    index, weight = block.label, block.weight
    assert index is not None and weight is not None
    (s, margin_s), (t, margin_t) = (_without_target(z, index) for z in (block.student, block.teacher))
    q_s, q_t = s.e.div_(s.total), t.e.div_(t.total)
    terms = products_(q_t, t.shifted.sub_(s.shifted).sub_(t.log_total - s.log_total))
    if bregman:
        terms.add_(q_s).sub_(q_t)
    loss = alpha * _of_margins(margin_s, margin_t) + (weight * terms).sum(1, keepdim=True)
    if not with_slope:
        return Found(loss, None, terms)
    gap = alpha * (margin_s.sigmoid() - margin_t.sigmoid())
    pull = q_t.mul_(weight)
    rise = pull.sum(1, keepdim=True) - gap
    if bregman:
        rise = rise - (weight * q_s).sum(1, keepdim=True) + weight
    return Found(loss, q_s.mul_(rise).sub_(pull).scatter_(1, index, gap), terms)


def _without_target(z: Tensor, index: Tensor) -> tuple[Exponentials, Tensor]:
    """The exponentials of all classes but the target, whose e is 0, and the margin of `Split`.

    The maximum is that of the others, since beside a target that leads by 88 all of them would be 0.
    """
    hit = z.gather(1, index)
    highest = z.scatter_(1, index, torch.full_like(hit, -torch.inf)).amax(1, keepdim=True)
    highest.clamp_(min=torch.finfo(z.dtype).min / 4)  # finite, also where all others are switched off
    others = exponentials_(z, highest)
    return others, hit - highest - others.log_total


def _of_margins(s: Tensor, t: Tensor) -> Tensor:
    """`target_divergence` in fewer steps: log p_t = min(m, 0) - r and log(1 - p_t) = min(-m, 0) - r of a margin m."""
    r_s, r_t = ((m.abs() * -LOG2_E).exp2_().log1p_() for m in (s, t))
    terms = (products_(m_t.sigmoid(), m_t.clamp(max=0) - m_s.clamp(max=0)) for m_s, m_t in ((s, t), (-s, -t)))
    return sum(terms, start=r_s - r_t)
