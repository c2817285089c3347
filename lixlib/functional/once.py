"""A gradient in closed form that says so when it is to be differentiated."""

from typing import NoReturn, Protocol

import torch
from torch import Tensor
from torch.autograd import Function


class _WithMessage(Protocol):
    message: str


def once(gradient: Tensor, origin: Tensor, name: str, advice: str = "") -> Tensor:
    """The gradient; a second derivative, in what `origin` was made from, is refused: autograd would take it for 0.

    Args:
        advice: what the error adds, a sentence that says what to do.
    """
    if not torch.is_grad_enabled():  # no create_graph
        return gradient
    message = f"{name} has no second derivative: its gradient is a closed form"
    refusing: Tensor = _Once.apply(gradient, origin, f"{message}. {advice}" if advice else message)
    return refusing


class _Once(Function):
    @staticmethod
    def forward(ctx: _WithMessage, gradient: Tensor, origin: Tensor, message: str) -> Tensor:
        ctx.message = message
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: _WithMessage, gradient: Tensor) -> NoReturn:
        raise RuntimeError(ctx.message)
