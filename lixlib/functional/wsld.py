"""Weighted soft label distillation (Zhou et al., ICLR 2021)."""

import torch
from torch import Tensor

from lixlib.core.checks import check_same_shape, check_temperature, full_precision, mean_over, valid_pixels
from lixlib.core.constants import IGNORE
from lixlib.functional.softmax import blank_, cross_entropy, soften, softmax


@full_precision
def wsld_loss(
    student: Tensor, teacher: Tensor, target: Tensor, *, temperature: float = 2.0, ignore_index: int = IGNORE
) -> Tensor:
    """T^2 w (-sum_c p_c^T log p_c^S), mean over valid pixels: a cross-entropy, more than 0 where student is teacher.

    w = 1 - exp(-CE_S / CE_T), of the cross-entropies of both with the label at temperature 1, is a constant to the
    gradient: near 1 where the teacher is surer of the label than the student, near 0 where the student is better.

    A class that is switched off, its logit -inf, costs 0 if it is so in the teacher, and inf if in the student alone.

    **Shapes**: student and teacher logits (B, C, H, W) or (N, C); target (B, H, W) or (N,) -> ().

    Raises:
        ValueError: unequal shapes, or a label that is neither in 0..C-1 nor `ignore_index`.
    """
    check_same_shape(student, teacher)
    check_temperature(temperature)
    valid = valid_pixels(student, target, ignore_index)
    teacher = teacher.to(student.dtype)
    index = target.where(valid, 0).unsqueeze(1)  # ignored pixels are computed as class 0, then dropped
    with torch.no_grad():
        log_s, log_t = (logits.contiguous().log_softmax(1) for logits in (student, teacher))
        # finite, also where the label is a class that is switched off
        lowest = torch.finfo(log_s.dtype).min
        ce_s, ce_t = (-log_p.gather(1, index).squeeze(1).clamp(min=lowest) for log_p in (log_s, log_t))
        weight = -torch.expm1(-ce_s / (ce_t + 1e-7)).where(valid, 0)
        # the same as of the logits; in the place of log_s, which saves a map
        p_t = blank_(torch.softmax(log_t.div_(temperature), 1, out=log_s), valid)
    soft = cross_entropy(softmax(soften(student, temperature), valid, log=True), p_t)
    return temperature**2 * mean_over(weight * soft, valid)
