"""Decoupled knowledge distillation (Zhao et al., CVPR 2022; LIX Eqs. (2)-(5))."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lixlib.functional.checks import check_same_shape, check_temperature, full_precision, mean_over, shape, valid_pixels
from lixlib.functional.kd import kl_divergence, soften


class Split(NamedTuple):
    """One network's softmax, split at the target class t.

    **Shapes**: log_q (B, C, ...), so low in the target's slot that q_t = 0; margin (B, ...).
    """

    log_q: Tensor  # log of q_j = p_j / (1 - p_t)
    margin: Tensor  # log of p_t / (1 - p_t), the logit of the binary distribution b


@full_precision
def decouple(
    student: Tensor, teacher: Tensor, target: Tensor, *, temperature: float = 1.0, ignore_index: int = 255
) -> tuple[Tensor, Tensor, Tensor]:
    """The maps TCLD, NCLD and KL of LIX Eq. (3), for which KL = TCLD + (1 - p_t^T) NCLD; no factor T^2.

    TCLD = KL(b^T || b^S) with b = (p_t, 1 - p_t); NCLD = KL(q^T || q^S) with q_j = p_j / (1 - p_t), j != t.

    **Shapes**: logits (B, C, H, W) or (N, C); target and the three maps (B, H, W) or (N,), 0 where it is ignored.

    Raises:
        ValueError: unequal shapes, C < 2, or a label that is neither in 0..C-1 nor `ignore_index`.
    """
    valid, _, s, t = split(student, teacher, target, temperature, ignore_index)
    maps = target_divergence(s, t), non_target_terms(s, t).sum(1), kl_divergence(student, teacher.detach(), temperature)
    return tuple(values.where(valid, 0) for values in maps)


@full_precision
def dkd_loss(
    student: Tensor,
    teacher: Tensor,
    target: Tensor,
    *,
    alpha: float = 1.0,
    beta: float = 8.0,
    temperature: float = 1.0,
    ignore_index: int = 255,
) -> Tensor:
    """T^2 (alpha TCLD + beta NCLD), mean over valid pixels: LIX Eq. (4).

    **Shapes**: student and teacher logits (B, C, H, W) or (N, C); target (B, H, W) or (N,) -> ().

    Raises:
        ValueError: unequal shapes, C < 2, or a label that is neither in 0..C-1 nor `ignore_index`.
    """
    valid, _, s, t = split(student, teacher, target, temperature, ignore_index)
    per_pixel = alpha * target_divergence(s, t) + beta * non_target_terms(s, t).sum(1)
    return temperature**2 * mean_over(per_pixel, valid)


def split(
    student: Tensor, teacher: Tensor, target: Tensor, temperature: float, ignore_index: int
) -> tuple[Tensor, Tensor, Split, Split]:
    """Check the arguments; return the valid pixels, the target class of each, and both networks split there.

    The teacher is detached. **Shapes**: -> valid (B, ...), index (B, 1, ...), two `Split`.
    """
    check_same_shape(student, teacher)
    check_temperature(temperature)
    valid = valid_pixels(student, target, ignore_index)
    classes = student.shape[1]
    if classes < 2:
        raise ValueError(f"non-target classes need at least 2 classes, found logits {shape(student)}")
    index = target.where(valid, 0).long().unsqueeze(1)  # ignored pixels are computed as class 0, then dropped
    return valid, index, *(_split(soften(logits, temperature), index) for logits in (student, teacher.detach()))


def _split(logits: Tensor, index: Tensor) -> Split:
    # Finite, where minus infinity would give 0 * (-inf + inf) = NaN in the divergence.
    lowest = torch.finfo(logits.dtype).min / 4
    log_q = logits.scatter(1, index, lowest).log_softmax(1)
    other = (index + 1) % logits.shape[1]  # any j != t will do: log(p_t / (1 - p_t)) = z_t - z_j + log q_j
    pair = logits.gather(1, torch.cat([index, other], dim=1))
    return Split(log_q, pair[:, 0] - pair[:, 1] + log_q.gather(1, other).squeeze(1))


def target_divergence(s: Split, t: Split) -> Tensor:
    """TCLD = KL(b^T || b^S) per pixel. **Shapes**: -> (B, ...)."""
    hit_s, hit_t = F.logsigmoid(s.margin), F.logsigmoid(t.margin)  # log p_t
    miss_s, miss_t = F.logsigmoid(-s.margin), F.logsigmoid(-t.margin)  # log(1 - p_t)
    return hit_t.exp() * (hit_t - hit_s) + miss_t.exp() * (miss_t - miss_s)


def non_target_terms(s: Split, t: Split) -> Tensor:
    """q_j^T log(q_j^T / q_j^S) per class, 0 in the target's slot; NCLD is their sum. **Shapes**: -> (B, C, ...)."""
    return F.kl_div(s.log_q, t.log_q, reduction="none", log_target=True)
