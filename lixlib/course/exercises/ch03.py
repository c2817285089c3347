"""Chapter 03: the generalised KL element."""

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
}
