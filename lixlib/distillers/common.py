"""What the methods share: option names, the taps of a teacher-student pair, what they see and aim at."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lixlib.core import options
from lixlib.core.checks import shape, whole
from lixlib.core.constants import IGNORE
from lixlib.core.output import Output


def check_options(method: Callable[..., object], given: Mapping[str, object]) -> None:
    """Raise a ValueError if one of these is no option of the method, or of another type or range than it says."""
    options.check(getattr(method, "__name__", type(method).__name__), options.of(method), given)


def default_options(method: Callable[..., object]) -> dict[str, Any]:
    """The options of a method that have a value when none is given, e.g. its weight."""
    parameters = inspect.signature(method).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is not None}


def tap_pairs(student: Output, teacher: Output, names: Iterable[str] | None = None) -> dict[str, tuple[Tensor, Tensor]]:
    """The maps (student's, teacher's) under each name; None: every name that both networks have.

    Raises:
        ValueError: a name that one of them lacks, or no name in common; it lists the taps of both.
    """
    names = [name for name in student.taps if name in teacher.taps] if names is None else list(names)
    missing = [name for name in names if name not in student.taps or name not in teacher.taps]
    if missing or not names:
        raise ValueError(
            f"no common tap {', '.join(missing)}: the student has {', '.join(student.taps) or 'none'}; "
            f"the teacher has {', '.join(teacher.taps) or 'none'}"
        )
    return {name: (student.taps[name], teacher.taps[name].detach()) for name in names}


def encoder_pairs(
    student: Output, teacher: Output, names: Iterable[str] | None = None
) -> dict[str, tuple[Tensor, Tensor]]:
    """`tap_pairs`, None: the encoder's alone, i.e. the common taps up to the deepest one, that one included."""
    pairs = tap_pairs(student, teacher, names)
    if names is not None:
        return pairs
    order = list(pairs)
    return {name: pairs[name] for name in order[: order.index(_deepest(pairs)) + 1]}


def deepest_pair(student: Output, teacher: Output, name: str | None = None) -> tuple[str, Tensor, Tensor]:
    """One of `tap_pairs` as (name, student's, teacher's); None: the deepest, i.e. the first of the smallest maps."""
    pairs = tap_pairs(student, teacher, None if name is None else [name])
    name = name or _deepest(pairs)
    return name, *pairs[name]


def _deepest(pairs: dict[str, tuple[Tensor, Tensor]]) -> str:
    return min(pairs, key=lambda name: pairs[name][0][0, 0].numel())  # of the student's; min takes the first


def check_batch_norm(method: nn.Module, tap: str, f: Tensor) -> None:
    """Raise a ValueError in training if the map has one value a channel, of which batch norm can make nothing."""
    if method.training and f.numel() == f.shape[1]:
        raise ValueError(
            f"the batch norm of {type(method).__name__} needs two values a channel, and tap {tap!r} is {shape(f)}: "
            "take a larger batch, larger images or another tap"
        )


def total(losses: Iterable[Tensor]) -> Tensor:
    """The sum of one loss or more, added in their order."""
    first, *others = losses
    return sum(others, start=first)


def targets(label: Tensor, teacher: Output | None) -> Tensor:
    """The labels, or the teacher's classes in an image that has no label at all. **Shapes**: twice (B, H, W)."""
    label = whole(label)
    if teacher is None:
        return label
    unlabelled = (label == IGNORE).flatten(1).all(1)
    return torch.where(unlabelled[:, None, None], teacher.logits.argmax(1), label)
