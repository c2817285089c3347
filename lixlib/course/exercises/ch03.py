"""Chapter 03: the generalised KL element, and where weights lead a student."""

import itertools

import torch
from torch import Tensor

from lixlib.course.checker import Exercise, Inputs, randn


def _nearly_equal(generator: torch.Generator) -> Inputs:
    teacher, student = (3 * randn(generator, 6, 4)).log_softmax(1), (3 * randn(generator, 6, 4)).log_softmax(1)
    return {
        "two random distributions": (teacher, student),
        "a student that is far away": (teacher, teacher - 30),
        "a student that agrees to a millionth": (teacher, teacher + 1e-6 * randn(generator, 6, 4)),
        "a student that agrees": (teacher, teacher.clone()),
    }


def _generalised_kl(log_t: Tensor, log_s: Tensor) -> Tensor:
    d = log_s - log_t
    return log_t.exp() * (torch.expm1(d) - d)


def _teachers(generator: torch.Generator) -> Inputs:
    given = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    return {
        "the teacher (.6, .3, .1)": (given, 1.0, 10.0),
        "the teacher (.35, .3, .25, .1)": (torch.tensor([0.35, 0.3, 0.25, 0.1], dtype=torch.float64), 1.0, 10.0),
        "a teacher of five classes": (randn(generator, 5).softmax(0), 1.0, 10.0),
        "weights below 1": ((2 * randn(generator, 6)).softmax(0), 0.05, 1.0),
    }


def _best_cheat(q: Tensor, low: float, high: float) -> Tensor:
    corners = torch.tensor(list(itertools.product((low, high), repeat=len(q))), dtype=q.dtype)
    mean = (corners * q).sum(1)
    return corners[(mean * mean.log() - (q * corners * corners.log()).sum(1)).argmin()]


EXERCISES = {
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
            "float32 has too few digits for this difference; stay in float64, as the arguments are.": lambda *logs: (
                _generalised_kl(*(log.float() for log in logs))
            ),
            "one value for each class is expected; you have summed them.": lambda log_t, log_s: (
                _generalised_kl(log_t, log_s).sum(1, keepdim=True).expand_as(log_t)
            ),
        },
        double=True,
    ),
    "03.2": Exercise(
        expected=lambda: torch.tensor([6, 3, 10], dtype=torch.float64) / 19,
        inputs=lambda generator: {"your prediction": ()},
        hint="section 3: W multiplies the teacher's answer, and a student's answers sum to 1.",
        mistakes={
            'that is the teacher; under "kl", unequal weights move the goal.': lambda: [0.6, 0.3, 0.1],
            "W q^T is the right beginning; a student's answers sum to 1.": lambda: [0.6, 0.3, 1.0],
            "that is W alone; it multiplies what the teacher says.": lambda: [1 / 12, 1 / 12, 10 / 12],
            "you have divided by W; it multiplies what the teacher says.": lambda: [60 / 91, 30 / 91, 1 / 91],
        },
    ),
    "03.3": Exercise(
        expected=_best_cheat,
        inputs=_teachers,
        hint="itertools.product((low, high), repeat=C) gives the corners; `floor` of section 3 is the depth of each.",
        mistakes={
            "that is the highest floor, where all weights are equal; the lowest is asked for.": lambda q, low, high: (
                torch.full_like(q, low)
            ),
            "low and high have changed places.": lambda q, low, high: low + high - _best_cheat(q, low, high),
            "the likeliest class need not be the one to turn down; compare all corners.": lambda q, low, high: (
                torch.where(q == q.max(), low, high)
            ),
        },
    ),
}
