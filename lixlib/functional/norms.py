"""Vectors divided by their length, where some have none."""

import math

import torch
from torch import Tensor

FLOOR = 1e-6  # a feature of this length or less counts as dead
ROUNDING = 32  # times the precision of the numbers, relative to them: what is left of a constant that is centred


def unit(x: Tensor, dim: int | tuple[int, ...], *, floor: float = FLOOR, uncentred: Tensor | None = None) -> Tensor:
    """x / ||x||_2, and 0 where the length is at most `floor`: the gradient is 0 there, and 1 / floor at the most.

    Args:
        uncentred: x before its mean was subtracted: the floor is then the rounding that this leaves of a constant.

    **Shapes**: (...) -> the same.
    """
    length: Tensor = torch.linalg.vector_norm(x, dim=dim, keepdim=True)
    if uncentred is not None:
        scale = torch.linalg.vector_norm(uncentred.detach(), dim=dim, keepdim=True)
        floor = ROUNDING * torch.finfo(x.dtype).eps * scale
    return x / length.masked_fill(length <= floor, math.inf)  # neither value nor gradient; no pass over all of x
