"""Compare a learner's answer to an exercise with the library, and say in one sentence what is wrong with it."""

import copy
import math
import tracemalloc
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

Inputs = Mapping[str, tuple]

BYTES_OF_PYTHON = 2**16  # the most that Python's own objects take while a function runs


@dataclass(frozen=True)
class Exercise:
    """The right answer to an exercise, the inputs on which answers are compared with it, and likely mistakes.

    Args:
        expected: the right function.
        inputs: returns the arguments of every trial by their description ("random logits"), simple ones first, drawn
            from a random generator.
        hint: one sentence for a learner who has not begun.
        mistakes: functions with a likely mistake, each by the sentence that names the mistake.
        entries: returns the most entries that a tensor may have during the computation, from the arguments; None for
            any number.
        detached: whether no gradient may flow from the answer to its arguments.
        double: whether the answer needs double precision; otherwise single precision is accepted.
    """

    expected: Callable[..., Any]
    inputs: Callable[[torch.Generator], Inputs]
    hint: str
    mistakes: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    entries: Callable[..., int] | None = None
    detached: bool = False
    double: bool = False


def judge(exercise: Exercise, answer: Any) -> str:
    """One sentence about a learner's function; it begins with "Correct" if and only if the answer is right.

    A right answer may return a tensor of any floating type, a NumPy array, a number or a list of numbers. What the
    function raises is part of the sentence.
    """
    if not callable(answer):
        return f"Not yet: a {type(answer).__name__} came here; give the function itself, without brackets behind it."
    overwrites = False
    for trial, (what, args) in enumerate(exercise.inputs(torch.Generator().manual_seed(0)).items()):
        given, watch = copy.deepcopy(args), _Largest()
        try:
            with watch if exercise.entries else nullcontext():
                found = answer(*given)
        except Exception as error:
            if isinstance(error, NotImplementedError) and not str(error):
                return f"Not written yet. Hint: {exercise.hint}"
            return f"Python stumbled over {what}: {type(error).__name__}: {' '.join(str(error).split())}"
        if found is None:
            nothing = "nothing (None) came back; does every way through your function end in a return?"
            return f"Not yet, with {what}: {nothing}" if trial else f"Not written yet. Hint: {exercise.hint}"
        wrong = _wrong(exercise, found, args) or _wrong_on_the_way(exercise, answer, args, watch.entries)
        if wrong:
            return f"Not yet, with {what}: {wrong}"
        overwrites = overwrites or not _same(given, args)
    remark = " It overwrites its arguments, though: whoever calls it loses them." * overwrites
    return f"Correct: it agrees with the library on every trial.{remark}"


def _wrong(exercise: Exercise, found: Any, args: tuple) -> str | None:
    """What is wrong with the value, in one sentence; None if nothing is."""
    expected = exercise.expected(*copy.deepcopy(args))
    wrong = _difference(found, expected, args, exercise.double)
    if wrong:
        for sentence, mistake in exercise.mistakes.items():
            if not _difference(found, mistake(*copy.deepcopy(args)), args, exercise.double):
                return sentence
    return wrong


def _wrong_on_the_way(exercise: Exercise, answer: Callable[..., Any], args: tuple, entries: int) -> str | None:
    """What is wrong with the computation of a right value, in one sentence; None if nothing is."""
    if exercise.detached and _carries_gradient(answer, args):
        return "the values are right, but a gradient flows back through them to the arguments: detach those first."
    if exercise.entries:
        # Of NumPy only the total memory is known, so that four arrays of the permitted size are allowed.
        entries, most = max(entries, _numpy_entries(answer, args) // 4), exercise.entries(*args)
        if entries > most:
            return f"the values are right, but on the way you hold {entries:,} entries at once, and {most:,} must do."
    return None


def _carries_gradient(answer: Callable[..., Any], args: tuple) -> bool:
    watched = tree_map_only(Tensor, lambda t: t.clone().requires_grad_(t.is_floating_point()), args)
    try:
        found = answer(*watched)
    except Exception:  # NumPy refuses such arguments, and torch refuses to overwrite them: no gradient flows
        return False
    return any(isinstance(leaf, Tensor) and leaf.requires_grad for leaf in tree_leaves(found))


def _numpy_entries(answer: Callable[..., Any], args: tuple) -> int:
    """About the most doubles that NumPy held at once; the memory of torch is not counted."""
    given = copy.deepcopy(args)
    tracemalloc.start()
    try:
        answer(*given)
        return max(0, tracemalloc.get_traced_memory()[1] - BYTES_OF_PYTHON) // 8
    finally:
        tracemalloc.stop()


def _same(given: tuple, args: tuple) -> bool:
    leaves = zip(tree_leaves(given), tree_leaves(args), strict=True)
    return all(not isinstance(old, Tensor) or torch.equal(new, old) for new, old in leaves)


def _numbers(found: Any) -> Tensor:
    """Anything that holds real numbers, detached, in its own precision; a Python number has double precision.

    Raises:
        TypeError: it holds something else.
    """
    if isinstance(found, Tensor) and not found.is_complex():
        return found.detach().to_dense().cpu()
    if isinstance(found, np.ndarray | np.generic) and found.dtype.kind in "biuf":
        single = found.dtype.kind == "f" and found.dtype.itemsize < 8
        return torch.tensor(np.array(found) if single else np.array(found, dtype=np.float64))
    if isinstance(found, int):
        return torch.tensor(found)
    if isinstance(found, Real):
        return torch.tensor(float(found), dtype=torch.float64)
    if isinstance(found, list | tuple) and found:
        return torch.stack([_numbers(each) for each in found])
    raise TypeError(f"a {type(found).__name__} came back where a tensor or a number is expected.")


def _difference(found: Any, expected: Any, args: tuple, double: bool) -> str | None:
    """What differs, in one sentence; None if nothing does."""
    try:
        found, expected = _numbers(found), _numbers(expected)
    except TypeError as error:
        return str(error)
    except (ValueError, RuntimeError, OverflowError) as error:
        return f"what came back is no tensor of numbers: {' '.join(str(error).split())}"
    if found.shape != expected.shape:
        turned = found.dim() == 2 and found.T.shape == expected.shape
        return f"the shape is {tuple(found.shape)}, expected {tuple(expected.shape)}{': transpose it' * turned}."
    tolerance = 1e-8 if double else 1e-4
    if found.is_floating_point():
        tolerance = max(tolerance, 4 * torch.finfo(found.dtype).eps)
    counted = not expected.is_floating_point()
    found, expected = found.double(), expected.double()
    slack = tolerance * float(expected.nan_to_num(posinf=0, neginf=0).abs().amax())
    if counted:
        slack = 0.0
    elif not double:  # the error that rounding the arguments alone may cause
        slack += 4 * torch.finfo(torch.float32).eps * _largest_argument(args)
    for name, test in (("NaN", torch.isnan), ("infinite", torch.isinf)):
        count = int((test(found) & ~test(expected)).sum())
        if count:
            return f"{count} of {found.numel()} values {'is' if count == 1 else 'are'} {name}."
    if _close(found, expected, slack):
        return None
    proportion = _proportion(found, expected, _counts(args), tolerance)
    if proportion:
        return proportion
    worst = int((found - expected).abs().argmax())
    place = tuple(int(i) for i in torch.unravel_index(torch.tensor(worst), found.shape)) if found.dim() else ()
    where = f" at {list(place)}" if place else ""
    return f"the value{where} is {found[place].item():.6g}, expected {expected[place].item():.6g}."


def _close(found: Tensor, expected: Tensor, slack: float) -> bool:
    same = (found == expected) | (found.isnan() & expected.isnan())
    return bool(same.logical_or((found - expected).abs() <= slack).all())


def _largest_argument(args: tuple) -> float:
    floats = [leaf for leaf in tree_leaves(args) if isinstance(leaf, Tensor) and leaf.is_floating_point()]
    return max((float(leaf.abs().amax()) for leaf in floats), default=0.0)


def _proportion(found: Tensor, expected: Tensor, counts: Mapping[int, str], tolerance: float) -> str | None:
    """The factor between the two, in words, if it is the same for all entries.

    A single number is always a multiple of another one, so that only a factor with a likely cause is named for it.
    """
    if not expected.any():
        return None
    factor = float((found * expected).sum() / expected.square().sum())
    if not factor or not _close(found, factor * expected, tolerance * float(found.abs().amax())):
        return None

    def is_near(value: float) -> bool:
        return math.isclose(factor, value, rel_tol=tolerance)

    if is_near(1):  # whole numbers that differ by little
        return None
    if is_near(-1):
        return "the sign is the wrong way round."
    for count, of_what in counts.items():
        if is_near(count):
            return f"it is {count} times too large, and {count} is the number of {of_what}: a sum for a mean?"
        if is_near(1 / count):
            return f"it is {count} times too small, and {count} is the number of {of_what}: a mean for a sum?"
    for value, words in ((1 / math.log(2), "base 2"), (1 / math.log(10), "base 10")):
        if is_near(value):
            return f"that is a logarithm to {words}; the natural one is meant."
    many = int((expected != 0).sum()) > 1
    if factor > 0 and (many or is_near(max(round(factor), 1)) or is_near(1 / max(round(1 / factor), 1))):
        return f"it is {max(factor, 1 / factor):.4g} times too {'large' if factor > 1 else 'small'}."
    return None


def _counts(args: tuple) -> dict[int, str]:
    """Sizes of the arguments that a learner may have summed over, or divided by, in error."""
    counts: dict[int, str] = {}
    for argument in args:
        if isinstance(argument, Tensor):
            for size in argument.shape:
                counts.setdefault(size, f"entries along one dimension of the arguments {tuple(argument.shape)}")
            counts.setdefault(argument.numel(), f"entries of an argument {tuple(argument.shape)}")
            if argument.dim() > 1:
                per_channel = argument.numel() // argument.shape[1]
                counts.setdefault(per_channel, f"positions of an argument {tuple(argument.shape)}")
    return {count: words for count, words in counts.items() if count > 1}


class _Largest(TorchDispatchMode):
    """Records the number of entries of the largest tensor that an operation makes."""

    entries = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):  # by its storage: an expanded view costs nothing
                size = leaf.element_size() if leaf.is_floating_point() else 8  # masks and indices count as doubles
                self.entries = max(self.entries, leaf.untyped_storage().nbytes() // size)
        return result


def randn(generator: torch.Generator, *size: int) -> Tensor:
    """Normal numbers in double precision, for the trials of an exercise."""
    return torch.randn(*size, dtype=torch.float64, generator=generator)
