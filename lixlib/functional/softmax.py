"""Softmax and divergences that stay right where logits mean nothing: at ignored pixels, and in switched-off classes."""

import math
from typing import Protocol

import torch
from torch import Tensor
from torch.autograd import Function

BACKWARD = {False: torch.ops.aten._softmax_backward_data, True: torch.ops.aten._log_softmax_backward_data}


class Context(Protocol):
    """What torch hands to the forward and the backward pass of a `Function`."""

    @property
    def needs_input_grad(self) -> tuple[bool, ...]: ...

    @property
    def saved_tensors(self) -> tuple[Tensor, ...]: ...

    def save_for_backward(self, *tensors: Tensor | None) -> None: ...


def soften(logits: Tensor, temperature: float) -> Tensor:
    """z / T, with a class's pixels side by side in memory: a softmax over classes is then faster."""
    return (logits if temperature == 1 else logits / temperature).contiguous()


def softmax(logits: Tensor, valid: Tensor | None = None, *, log: bool = False) -> Tensor:
    """Softmax over dimension 1, or its logarithm; 0 where `valid` is false, even if the logits there are NaN.

    A loss that gives those places no gradient then gives the logits there none either.

    **Shapes**: logits (B, C, ...), contiguous; valid (B, ...) or None -> (B, C, ...).
    """
    if valid is None:
        return logits.log_softmax(1) if log else logits.softmax(1)
    probabilities: Tensor = _Softmax.apply(logits, valid, log)
    return probabilities


class _WithLog(Context, Protocol):
    log: bool


class _Softmax(Function):
    @staticmethod
    def forward(ctx: _WithLog, logits: Tensor, valid: Tensor, log: bool) -> Tensor:
        result = blank_(logits.log_softmax(1) if log else logits.softmax(1), valid)
        ctx.save_for_backward(result)
        ctx.log = log
        return result

    @staticmethod
    def backward(ctx: _WithLog, gradient: Tensor) -> tuple[Tensor, None, None]:
        (result,) = ctx.saved_tensors
        of_logits: Tensor = BACKWARD[ctx.log](gradient, result, 1, result.dtype)
        return of_logits, None, None


def blank_(values: Tensor, valid: Tensor) -> Tensor:
    """Write 0 where `valid` is false, into `values` itself. **Shapes**: (B, C, ...), (B, ...) -> (B, C, ...).

    In bits, since 0 * NaN is NaN: a CPU takes a quarter of the time of `where` or `masked_fill_`.
    """
    bits = torch.int32 if values.element_size() == 4 else torch.int64
    values.view(bits).bitwise_and_(-valid.unsqueeze(1).to(bits))
    return values


def kl_divergence(log_s: Tensor, log_t: Tensor) -> Tensor:
    """KL(p^T || p^S) over dimension 1, from the logarithms. **Shapes**: (B, C, ...), (B, C, ...) -> (B, ...).

    0 where p^T = 0, infinite where p^S = 0 alone. The teacher's side is a constant. `log_t` is overwritten: what a CPU
    saves on memory for one more map pays for the care that is taken here.
    """
    products: Tensor = _Products.apply(log_s, log_t, None)
    return -products.sum(1)


def cross_entropy(log_s: Tensor, p_t: Tensor) -> Tensor:
    """-sum_c p_c^T log p_c^S, 0 where p^T = 0. **Shapes**: (B, C, ...), (B, C, ...) -> (B, ...)."""
    products: Tensor = _Products.apply(log_s, None, p_t)
    return -products.sum(1)


class _Products(Function):
    """p^T (log p^S - log p^T), without log p^T where that is None, with 0 log 0 = 0. The gradient is p^T."""

    @staticmethod
    def forward(ctx: Context, log_s: Tensor, log_t: Tensor | None, p_t: Tensor | None) -> Tensor:
        terms = None if log_t is None else log_s - log_t
        if p_t is None:
            assert log_t is not None  # one of the two is given
            p_t = log_t.exp_()
        terms = log_s * p_t if terms is None else terms.mul_(p_t)
        ctx.save_for_backward(p_t)
        # NaN is 0 * inf or inf - inf of a class that is switched off ...
        terms.nan_to_num_(nan=0, posinf=math.inf, neginf=-math.inf)
        # ... unless all classes of the pixel are NaN: that must be seen
        terms[:, 0] += 0 * (p_t[:, 0] + log_s[:, 0].exp())
        return terms

    @staticmethod
    def backward(ctx: Context, gradient: Tensor) -> tuple[Tensor, None, None]:
        (p_t,) = ctx.saved_tensors
        return gradient * p_t, None, None


def entropy(logits: Tensor) -> Tensor:
    """-sum_c p_c log p_c of the softmax over dimension 1, in nats. **Shapes**: (B, C, ...) -> (B, ...)."""
    products: Tensor = _Weighed.apply(logits.log_softmax(1))
    return -products.sum(1)


class _Weighed(Function):
    """p log p from log p, with 0 log 0 = 0.

    The gradient is returned without its summand p, because the gradient of `log_softmax` cancels that.
    """

    @staticmethod
    def forward(ctx: Context, log_p: Tensor) -> Tensor:
        terms = _finite(log_p).mul_(log_p.exp())
        ctx.save_for_backward(log_p, terms)
        return terms

    @staticmethod
    def backward(ctx: Context, gradient: Tensor) -> Tensor:
        log_p, terms = ctx.saved_tensors
        return gradient * (log_p.exp() * _finite(log_p) if torch.is_grad_enabled() else terms)


def _finite(log_p: Tensor) -> Tensor:
    return log_p.clamp(min=torch.finfo(log_p.dtype).min)
