"""The exercises of the notebooks: `check("01.2", my_function)` compares an answer with the library and gives a hint."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lixlib.functional import kd_loss
from lixlib.results import gap_closed

Inputs = Mapping[str, tuple]


@dataclass(frozen=True)
class Exercise:
    """What an answer is compared with.

    Args:
        expected: the right function.
        inputs: given a generator, the arguments of every trial by what they are ("random logits"), the plainest first.
        hint: one sentence for a person who has not begun.
        mistakes: likely wrong functions, by the sentence that names the mistake.
        entries: given the arguments, the most entries that any tensor made on the way may have; None: any number.
        tolerance: how far, relative to the largest expected value, an answer may be off.
    """

    expected: Callable[..., Any]
    inputs: Callable[[torch.Generator], Inputs]
    hint: str
    mistakes: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    entries: Callable[..., int] | None = None
    tolerance: float = 1e-9


def check(number: str, answer: Callable[..., Any]) -> None:
    """Print one sentence about a learner's function: "Correct", or what is wrong with it; never raise for its sake.

    Raises:
        ValueError: there is no exercise of that number.
    """
    print(verdict(number, answer))


def verdict(number: str, answer: Callable[..., Any]) -> str:
    """The sentence that `check` prints; it begins with "Correct" if and only if the answer is right."""
    if number not in EXERCISES:
        raise ValueError(f"there is no exercise {number!r}: choose one of {', '.join(EXERCISES)}")
    exercise = EXERCISES[number]
    for what, args in exercise.inputs(torch.Generator().manual_seed(0)).items():
        expected = exercise.expected(*copy.deepcopy(args))
        given, watch = copy.deepcopy(args), _Largest()  # an answer may write into its arguments
        try:
            with watch:
                found = answer(*given)
        except NotImplementedError:
            found = None
        except Exception as error:
            return f"Python stumbled over {what}: {type(error).__name__}: {error}"
        if found is None:
            return f"Not written yet. Hint: {exercise.hint}"
        wrong = _difference(found, expected, exercise.tolerance)
        if wrong:
            for sentence, mistake in exercise.mistakes.items():
                if not _difference(found, mistake(*copy.deepcopy(args)), exercise.tolerance):
                    wrong = sentence
                    break
            return f"Not yet, with {what}: {wrong}"
        if exercise.entries and watch.entries > exercise.entries(*args):
            return (
                f"The values are right, but one of your tensors has {watch.entries:,} entries, "
                f"and {exercise.entries(*args):,} must do."
            )
    return "Correct: it agrees with the library on every trial."


def _difference(found: Any, expected: Any, tolerance: float) -> str | None:
    """What is wrong, in one sentence; None if nothing is."""
    try:
        found = torch.as_tensor(found).detach()
    except (TypeError, ValueError, RuntimeError):
        return f"a {type(found).__name__} came back where a tensor or a number is expected."
    expected = torch.as_tensor(expected)
    if found.shape != expected.shape:
        turned = found.dim() == 2 and found.T.shape == expected.shape
        return f"the shape is {tuple(found.shape)}, expected {tuple(expected.shape)}{': transpose it' * turned}."
    found, expected = found.to(torch.float64), expected.detach().to(torch.float64)
    for name, test in (("NaN", torch.isnan), ("infinite", torch.isinf)):
        count = int((test(found) & ~test(expected)).sum())
        if count:
            return f"{count} of {found.numel()} values {'is' if count == 1 else 'are'} {name}."
    scale = expected.abs().amax().clamp(min=torch.finfo(torch.float64).tiny)
    if (found - expected).abs().amax() <= tolerance * scale:
        return None
    factor = float((found * expected).sum() / expected.square().sum().clamp(min=torch.finfo(torch.float64).tiny))
    if factor and (found - factor * expected).abs().amax() <= 1e-6 * abs(factor) * scale:
        return "the sign is the wrong way round." if abs(factor + 1) < 1e-6 else f"it is {factor:.4g} times too large."
    worst = int((found - expected).abs().argmax())
    place = tuple(int(i) for i in torch.unravel_index(torch.tensor(worst), found.shape)) if found.dim() else ()
    where = f" at {list(place)}" if place else ""
    return f"the value{where} is {found[place].item():.6g}, expected {expected[place].item():.6g}."


class _Largest(TorchDispatchMode):
    """Remembers the entries of the largest tensor that any operation made."""

    entries = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):  # by its storage: an expanded view costs nothing
                self.entries = max(self.entries, leaf.untyped_storage().nbytes() // leaf.element_size())
        return result


def _randn(generator: torch.Generator, *size: int) -> Tensor:
    return torch.randn(*size, dtype=torch.float64, generator=generator)


# 00: the share of the gap


def _scores(generator: torch.Generator) -> Inputs:
    return {
        "teacher 0.80, student 0.60, distilled 0.65": (0.80, 0.60, 0.65),
        "a student that distillation made worse": (0.80, 0.60, 0.55),
    }


# 03: the generalised KL element


def _nearly_equal(generator: torch.Generator) -> Inputs:
    teacher, student = (3 * _randn(generator, 6, 4)).log_softmax(1), (3 * _randn(generator, 6, 4)).log_softmax(1)
    return {
        "two random distributions": (teacher, student),
        "a student that is far away": (teacher, teacher - 30),
        "a student that agrees to a millionth": (teacher, teacher + 1e-6 * _randn(generator, 6, 4)),
        "a student that agrees": (teacher, teacher.clone()),
    }


def _generalised_kl(log_t: Tensor, log_s: Tensor) -> Tensor:
    d = log_s - log_t
    return log_t.exp() * (torch.expm1(d) - d)


# 09: the KL divergence


def _two_logits(generator: torch.Generator) -> Inputs:
    return {"random logits": (3 * _randn(generator, 2, 5, 4, 4), 3 * _randn(generator, 2, 5, 4, 4))}


EXERCISES = {
    "00.1": Exercise(
        expected=gap_closed,
        inputs=_scores,
        hint="how long is the whole way, and how far did we get?",
        mistakes={
            "that is the way still left; both differences start at the student.": lambda t, s, d: (t - d) / (t - s)
        },
    ),
    "03.1": Exercise(
        expected=_generalised_kl,
        inputs=_nearly_equal,
        hint="with d = log q^S - log q^T, every part of the element is q^T times something made of d.",
        mistakes={
            "the formula is right, its digits cancel; write it with d and torch.expm1.": lambda log_t, log_s: (
                log_t.exp() * (log_t - log_s) - log_t.exp() + log_s.exp()
            ),
            "exp(d) - 1 still cancels; torch.expm1(d) makes it in one piece.": lambda log_t, log_s: (
                log_t.exp() * ((log_s - log_t).exp() - 1 - (log_s - log_t))
            ),
            "that is the first part alone, which can be negative; - q^T + q^S is missing.": lambda log_t, log_s: (
                log_t.exp() * (log_t - log_s)
            ),
            "teacher and student are swapped; the teacher's q stands before the logarithm.": lambda log_t, log_s: (
                _generalised_kl(log_s, log_t)
            ),
            "d has the wrong sign; it is student minus teacher.": lambda log_t, log_s: (
                log_t.exp() * (torch.expm1(log_t - log_s) - (log_t - log_s))
            ),
            "the factor q^T is missing; exp of its logarithm.": lambda log_t, log_s: (
                torch.expm1(log_s - log_t) - (log_s - log_t)
            ),
            "one value for each class is expected; you have summed them.": lambda log_t, log_s: (
                _generalised_kl(log_t, log_s).sum(1, keepdim=True).expand_as(log_t)
            ),
        },
        tolerance=1e-8,
    ),
    "09.1": Exercise(
        expected=kd_loss,
        inputs=_two_logits,
        hint="KL(p || q) is the sum of p (log p - log q), and p is the teacher's.",
        mistakes={"you have swapped teacher and student; the teacher's p is the weight.": lambda s, t: kd_loss(t, s)},
    ),
}
