"""A gradient in closed form that says so when it is to be differentiated."""

from typing import NoReturn, Protocol

import torch
from torch import Tensor
from torch.autograd import Function


class _Named(Protocol):
    name: str


def once(gradient: Tensor, origin: Tensor, name: str) -> Tensor:
    """The gradient; a second derivative, in what `origin` was made from, is refused: autograd would take it for 0."""
    if not torch.is_grad_enabled():  # no create_graph
        return gradient
    refusing: Tensor = _Once.apply(gradient, origin, name)
    return refusing


class _Once(Function):
    @staticmethod
    def forward(ctx: _Named, gradient: Tensor, origin: Tensor, name: str) -> Tensor:
        ctx.name = name
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: _Named, gradient: Tensor) -> NoReturn:
        raise RuntimeError(f"{ctx.name} has no second derivative: its gradient is a closed form")
