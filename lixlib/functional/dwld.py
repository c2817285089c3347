"""Dynamically weighted logit distillation (LIX Eqs. (6)-(11))."""

from torch import Tensor

from lixlib.functional.checks import check_choice, full_precision, mean_over, shape
from lixlib.functional.dkd import non_target_terms, split, target_divergence

DIVERGENCES = ("kl", "bregman")


@full_precision
def dwld_loss(
    student: Tensor,
    teacher: Tensor,
    target: Tensor,
    ncld_weight: Tensor | float,
    *,
    temperature: float = 1.0,
    divergence: str = "kl",
    ignore_index: int = 255,
) -> Tensor:
    """T^2 (TCLD + sum over j != t of W_j D_j), mean over valid pixels: LIX Eq. (9).

    "kl" is the paper's D_j = q_j^T log(q_j^T / q_j^S), which may be negative, so that a W that varies over the classes
    moves the minimum away from q^S = q^T. "bregman" adds - q_j^T + q_j^S: never negative, 0 only at q^S = q^T, whatever
    W is. A constant W = beta gives `dkd_loss` with alpha = 1 for both. Gradient flows into W if it requires any.

    **Shapes**: student and teacher logits (B, C, H, W) or (N, C); target (B, H, W) or (N,); ncld_weight a number, or
    a tensor shaped like the logits (its entry at the target class is not used) -> ().

    Raises:
        ValueError: unequal shapes, C < 2, an unknown divergence, or a label that is neither in 0..C-1 nor
            `ignore_index`.
    """
    check_choice("divergence", divergence, DIVERGENCES)
    valid, s, t = split(student, teacher, target, temperature, ignore_index)
    if isinstance(ncld_weight, Tensor) and ncld_weight.dim() and ncld_weight.shape != student.shape:
        raise ValueError(f"ncld_weight must be shaped like the logits {shape(student)}, found {shape(ncld_weight)}")
    terms = non_target_terms(s, t)
    if divergence == "bregman":
        terms = terms - t.log_q.exp() + s.log_q.exp()
    return temperature**2 * mean_over(target_divergence(s, t) + (ncld_weight * terms).sum(1), valid)
