"""What every loss does first: leave half precision, check shapes and labels, find the valid pixels."""

import functools
from collections.abc import Callable, Collection
from typing import ParamSpec, TypeVar

import numpy as np
import torch
from torch import Tensor

from lixlib.core.constants import IGNORE

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def full_precision(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Run a function of tensors outside autocast, half-precision tensors cast to float32, whole numbers to int64.

    Arrays of numpy are taken, too.
    """

    def upcast(value: object) -> object:
        if isinstance(value, np.ndarray):
            value = torch.from_numpy(value)
        if not isinstance(value, Tensor):
            return value
        if value.dtype in (torch.float16, torch.bfloat16):
            return value.float()
        return value.long() if is_whole(value) else value

    @functools.wraps(function)
    def wrapper(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        values = [upcast(value) for value in args]
        named = {name: upcast(value) for name, value in kwargs.items()}
        device = next((v.device.type for v in (*values, *named.values()) if isinstance(v, Tensor)), "cpu")
        with torch.autocast(device, enabled=False):
            return function(*values, **named)  # type: ignore[arg-type]  # the same tensors in another precision

    return wrapper


def is_whole(values: Tensor) -> bool:
    """Whether a tensor is of an integer type, of any width; bool is none."""
    return not (values.is_floating_point() or values.is_complex() or values.dtype == torch.bool)


def whole(values: Tensor, what: str = "label") -> Tensor:
    """The values as int64, of a tensor or an array; a ValueError names their type if it is not an integer one."""
    values = torch.as_tensor(values)
    if not is_whole(values):
        raise ValueError(f"integer {what}s are needed, found {values.dtype}")
    return values.long()


def check_classes(
    values: Tensor, classes: int, ignore_index: int | None = IGNORE, what: str = "label", *, waits: bool = False
) -> None:
    """Raise a ValueError that names value and place if one is neither in 0..classes-1 nor `ignore_index`.

    Without `waits` a wrong value on a GPU is asserted asynchronously: the stream never waits for the check. So it is in
    a graph of `torch.compile`, which a branch on a value would break in two.
    """
    good = (values >= 0) & (values < classes)
    ignored = ""
    if ignore_index is not None:
        good |= values == ignore_index
        ignored = f", or {ignore_index} where the pixel is ignored"
    if (values.device.type == "cuda" or torch.compiler.is_compiling()) and not waits:
        torch._assert_async(good.all(), f"{what}s must be 0..{classes - 1}{ignored}")
    elif not good.all():
        at = tuple((~good).nonzero()[0].tolist())
        raise ValueError(f"{what} {values[at].item()} at {place(at)}: {what}s must be 0..{classes - 1}{ignored}")


def place(at: tuple[int, ...]) -> str:
    """An index into (N,), (H, W) or (B, H, W), in words."""
    names = {1: ["row"], 2: ["row", "column"], 3: ["image", "row", "column"]}.get(len(at), ["index"] * len(at))
    return ", ".join(f"{name} {i}" for name, i in zip(names, at, strict=True))


def check_same_shape(student: Tensor, teacher: Tensor) -> None:
    """Raise a ValueError that names both shapes unless they are equal."""
    if student.shape != teacher.shape:
        raise ValueError(f"student and teacher must have one shape, found {shape(student)} and {shape(teacher)}")


def check_same_batch(student: Tensor, teacher: Tensor) -> None:
    """Raise a ValueError that names both shapes unless they are (B, ...) with one B."""
    if not student.dim() or not teacher.dim() or len(student) != len(teacher):
        raise ValueError(
            f"student and teacher must be (B, ...) with one B, found {shape(student)} and {shape(teacher)}"
        )


def check_one_device(**tensors: Tensor) -> None:
    """Raise a ValueError that names the devices of the tensors unless they are on one."""
    if len({tensor.device for tensor in tensors.values()}) > 1:
        found = " and ".join(f"{name} on {tensor.device}" for name, tensor in tensors.items())
        raise ValueError(f"{found}: move them to one device")


def check_choice(what: str, value: str, allowed: Collection[str], *others: str) -> None:
    """Raise a ValueError that lists the allowed names unless `value` is one of them.

    Args:
        others: further choices, in words for the message alone.
    """
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"unknown {what} {value!r}: choose one of {', '.join([*allowed, *others])}")


def check_temperature(temperature: float) -> None:
    """Raise a ValueError unless the temperature is above zero."""
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, found {temperature}")


def valid_pixels(logits: Tensor, target: Tensor, ignore_index: int = IGNORE) -> Tensor:
    """The mask of the pixels that carry a label.

    **Shapes**: logits (B, C, H, W) or (N, C); target and the result (B, H, W) or (N,).

    Raises:
        ValueError: target does not fit the logits, is on another device, is not of an integer type, or holds a label
            outside 0..C-1 that is not `ignore_index`.
    """
    if logits.dim() < 2 or target.shape != logits.shape[:1] + logits.shape[2:]:
        raise ValueError(
            f"target must be (B, H, W) for logits (B, C, H, W), or (N,) for (N, C): "
            f"found target {shape(target)} and logits {shape(logits)}"
        )
    check_one_device(target=target, logits=logits)
    target = whole(target)
    check_classes(target, logits.shape[1], ignore_index)
    return target != ignore_index


def mean_over(values: Tensor, valid: Tensor | None) -> Tensor:
    """Mean of a map over its valid pixels (None: all); 0, attached to the graph, where there is none.

    **Shapes**: values and valid the same -> ().
    """
    if valid is None:
        return values.sum() / max(values.numel(), 1)
    return values.where(valid, 0).sum() / valid.sum().clamp(min=1)


def shape(tensor: Tensor) -> tuple[int, ...]:
    """The shape as a plain tuple, for messages."""
    return tuple(tensor.shape)
