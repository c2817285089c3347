"""What every loss does first: leave half precision, check shapes and labels, find the valid pixels."""

import functools
from collections.abc import Callable

import torch
from torch import Tensor


def full_precision(function: Callable) -> Callable:
    """Run a function of tensors outside autocast, half-precision tensors cast to float32; float64 stays float64."""

    def upcast(value):
        half = isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16)
        return value.float() if half else value

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        args = [upcast(value) for value in args]
        kwargs = {name: upcast(value) for name, value in kwargs.items()}
        device = next((v.device.type for v in (*args, *kwargs.values()) if isinstance(v, Tensor)), "cpu")
        with torch.autocast(device, enabled=False):
            return function(*args, **kwargs)

    return wrapper


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


def check_choice(what: str, value: str, allowed) -> None:
    """Raise a ValueError that lists the allowed names unless `value` is one of them."""
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"unknown {what} {value!r}: choose one of {', '.join(allowed)}")


def check_temperature(temperature: float) -> None:
    """Raise a ValueError unless the temperature is above zero."""
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, found {temperature}")


def valid_pixels(logits: Tensor, target: Tensor, ignore_index: int = 255) -> Tensor:
    """The mask of the pixels that carry a label.

    On a GPU a wrong label is asserted asynchronously: the stream never waits for the check.

    **Shapes**: logits (B, C, H, W) or (N, C); target and the result (B, H, W) or (N,).

    Raises:
        ValueError: target does not fit the logits, is not of an integer type, or holds a label outside 0..C-1 that is
            not `ignore_index`.
    """
    if logits.dim() < 2 or target.shape != logits.shape[:1] + logits.shape[2:]:
        raise ValueError(
            f"target must be (B, H, W) for logits (B, C, H, W), or (N,) for (N, C): "
            f"found target {shape(target)} and logits {shape(logits)}"
        )
    if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
        raise ValueError(f"target must hold integer labels, found {target.dtype}")
    classes = logits.shape[1]
    valid = target != ignore_index
    good = ((target >= 0) & (target < classes)) | ~valid
    if target.device.type == "cuda":
        torch._assert_async(good.all(), f"target holds a label outside 0..{classes - 1} that is not {ignore_index}")
    elif not good.all():
        place = (~good).nonzero()[0].tolist()
        names = {1: ["row"], 3: ["image", "row", "column"]}.get(len(place), ["index"] * len(place))
        where = ", ".join(f"{name} {i}" for name, i in zip(names, place, strict=True))
        raise ValueError(
            f"label {target[tuple(place)].item()} at {where}: "
            f"labels must be 0..{classes - 1}, or {ignore_index} where the pixel is ignored"
        )
    return valid


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
