"""Dynamically weighted logit distillation (LIX Eqs. (6)-(11))."""

from collections.abc import Sequence
from functools import partial
from typing import Protocol

import torch
from torch import Tensor
from torch.autograd import Function

from lixlib.core.checks import check_choice, full_precision, shape
from lixlib.core.constants import IGNORE
from lixlib.functional.blocks import sweep
from lixlib.functional.dkd import decoupled, labelled
from lixlib.functional.once import once
from lixlib.functional.softmax import Context

DIVERGENCES = ("kl", "bregman")
ADVICE = "Build the loss from lixlib.functional.decouple, or take dkd_loss"


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
    valid, index = labelled(student, teacher, target, temperature, ignore_index)
    if not isinstance(ncld_weight, Tensor):
        ncld_weight = student.new_full((), ncld_weight)
    ncld_weight = ncld_weight.to(student.dtype) if ncld_weight.dim() else ncld_weight.to(student)
    inputs = student, ncld_weight.expand_as(student)
    loss, *gradients = sweep(
        partial(decoupled, bregman=divergence == "bregman"),
        student,
        teacher,
        inputs[1],
        index=index,
        valid=valid,
        temperature=temperature,
        needs=[torch.is_grad_enabled() and values.requires_grad for values in inputs],
    )
    return with_gradients(loss, inputs, gradients)


def with_gradients(loss: Tensor, inputs: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> Tensor:
    """A loss that is made already, with its gradient in every input, None where no gradient is needed.

    They are all that is kept for the backward pass. The loss cannot be differentiated again: that would take the maps
    that are not kept.
    """
    # a number that knows where they come from, so that a second derivative is noticed without keeping any
    origins = [values[(0,) * values.dim()] if values.numel() else values.sum() for values in inputs]
    result: Tensor = _Given.apply(loss, sum(origins), gradients, *inputs)
    return result


class _WithOrigin(Context, Protocol):
    origin: Tensor


class _Given(Function):
    @staticmethod
    def forward(
        ctx: _WithOrigin, loss: Tensor, origin: Tensor, gradients: Sequence[Tensor | None], *inputs: Tensor
    ) -> Tensor:
        ctx.save_for_backward(*gradients)
        ctx.origin = origin
        return loss.clone()

    @staticmethod
    def backward(ctx: _WithOrigin, gradient: Tensor) -> tuple[Tensor | None, ...]:
        saved: tuple[Tensor | None, ...] = ctx.saved_tensors
        found = (None if d is None else once(gradient * d, ctx.origin, "dwld_loss (DWLD)", ADVICE) for d in saved)
        return None, None, None, *found
