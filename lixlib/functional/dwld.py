"""Dynamically weighted logit distillation (LIX Eqs. (6)-(11))."""

from typing import NoReturn, Protocol

import torch
from torch import Tensor

from lixlib.core.checks import check_choice, full_precision, mean_over, shape
from lixlib.core.constants import IGNORE
from lixlib.functional.dkd import non_target_terms, split, target_divergence
from lixlib.functional.softmax import Context, blank_

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
    ignore_index: int = IGNORE,
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
        RuntimeError: a second derivative is asked for.
    """
    check_choice("divergence", divergence, DIVERGENCES)
    if isinstance(ncld_weight, Tensor) and ncld_weight.dim() and ncld_weight.shape != student.shape:
        raise ValueError(f"ncld_weight must be shaped like the logits {shape(student)}, found {shape(ncld_weight)}")
    if not isinstance(ncld_weight, Tensor):
        ncld_weight = torch.tensor(ncld_weight, dtype=student.dtype)
    # a number that knows where both come from, so that a second derivative is noticed without keeping either
    sources = (values for values in (student, ncld_weight) if values.requires_grad)
    origins = [values[(0,) * values.dim()] if values.numel() else values.sum() for values in sources]
    settings = temperature, divergence, ignore_index, sum(origins)
    loss: Tensor = _DWLD.apply(student, ncld_weight, teacher, target, *settings)
    return loss


class _WithOrigin(Context, Protocol):
    origin: Tensor | int


class _DWLD(torch.autograd.Function):
    """The loss with its gradient in closed form, made in the forward pass: one map is kept for the backward pass.

    With z = logits / T, q = 0 at the target class t, and W the weights, the gradient at one pixel is

        d/dz_t = p_t^S - p_t^T
        d/dz_j = (p_t^T - p_t^S) q_j^S + (sum_k W_k q_k^T) q_j^S - W_j q_j^T    for j != t, "kl"
                 ... + (W_j - sum_k W_k q_k^S) q_j^S                            more for "bregman"
        d/dW_j = D_j

    The first line is LIX Eq. (5). Chapter 03 derives them. The loss cannot be differentiated again: that
    would take the maps that are not kept.
    """

    @staticmethod
    def forward(
        ctx: _WithOrigin,
        student: Tensor,
        weight: Tensor,
        teacher: Tensor,
        target: Tensor,
        temperature: float,
        divergence: str,
        ignore_index: int,
        origin: Tensor | int,
    ) -> Tensor:
        valid, index, s, t = split(student, teacher, target, temperature, ignore_index)
        terms = non_target_terms(s, t)
        if divergence == "bregman":
            terms += s.log_q.exp() - t.log_q.exp()
        loss = mean_over(target_divergence(s, t) + (weight * terms).sum(1), valid)
        count = valid.sum().clamp(min=1).to(student.dtype)
        slope = None
        if ctx.needs_input_grad[0]:
            q_s = s.log_q.exp()
            gap = (s.margin.sigmoid() - t.margin.sigmoid()).unsqueeze(1)
            pull = t.log_q.exp().mul_(weight)
            slope = (q_s * (pull.sum(1, keepdim=True) - gap)).sub_(pull)
            if divergence == "bregman":
                push = weight * q_s
                slope += push - q_s * push.sum(1, keepdim=True)
            slope = blank_(slope.scatter_(1, index, gap).mul_(temperature / count), valid)
        of_weight = None
        if ctx.needs_input_grad[1]:  # the terms are 0 where a pixel is not valid
            of_weight = terms * (temperature**2 / count)
            of_weight = of_weight if weight.dim() else of_weight.sum()
        ctx.save_for_backward(slope, of_weight)
        ctx.origin = origin
        return temperature**2 * loss

    @staticmethod
    def backward(ctx: _WithOrigin, gradient: Tensor) -> tuple[Tensor | None, ...]:
        saved: tuple[Tensor | None, ...] = ctx.saved_tensors
        found = (None if d is None else gradient * d for d in saved)
        if torch.is_grad_enabled():  # create_graph
            found = (None if d is None else _Once.apply(d, ctx.origin) for d in found)
        return *found, None, None, None, None, None, None


class _Once(torch.autograd.Function):
    """The identity, which refuses to be differentiated."""

    @staticmethod
    def forward(ctx: Context, gradient: Tensor, origin: Tensor | int) -> Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: Context, gradient: Tensor) -> NoReturn:
        raise RuntimeError(
            "dwld_loss (DWLD) has no second derivative: its gradient is a closed form. "
            "Build the loss from lixlib.functional.decouple, or take dkd_loss"
        )
