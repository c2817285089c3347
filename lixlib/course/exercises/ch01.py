"""Chapter 01: the DKD gradient, log(1 - p_t), and where a walk down NCLD ends."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, one_hot

from lixlib.core.constants import IGNORE
from lixlib.course.checker import Exercise, Inputs, randn
from lixlib.functional import dkd_loss
from lixlib.functional.dkd import split


def _pixels(generator: torch.Generator) -> Inputs:
    def trial(n, classes, scale, alpha, beta):
        logits = scale * randn(generator, 2, n, classes)
        return *logits, torch.randint(classes, (n,), generator=generator), alpha, beta

    certain = trial(40, 13, 1.0, 1.0, 8.0)
    certain[0][range(40), certain[2]] += 12
    return {
        "random logits": trial(200, 5, 2.0, 1.5, 4.0),
        "two classes": trial(20, 2, 2.0, 2.0, 3.0),
        "a student that is nearly certain": certain,
        "alpha = 0": trial(20, 4, 3.0, 0.0, 8.0),
    }


def _dkd_gradient(student: Tensor, teacher: Tensor, target: Tensor, alpha: float, beta: float) -> Tensor:
    student = student.detach().requires_grad_()
    loss = len(student) * dkd_loss(student, teacher, target, alpha=alpha, beta=beta)
    return torch.autograd.grad(loss, student)[0]


def _dkd_mistake(formula: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The gradient as computed by a formula of alpha, beta, p_t^S - p_t^T, the one-hot label, and both p and q."""

    def mistake(student, teacher, target, alpha, beta):
        hit = one_hot(target, student.shape[1]).to(student)
        p_s, p_t = student.softmax(1), teacher.softmax(1)
        gap = ((p_s - p_t) * hit).sum(1, keepdim=True)
        q_s, q_t = (logits.masked_fill(hit.bool(), -torch.inf).softmax(1) for logits in (student, teacher))
        return formula(alpha, beta, gap, hit, p_s, p_t, q_s, q_t)

    return mistake


def _labelled_logits(generator: torch.Generator) -> Inputs:
    target = torch.arange(12) % 4
    lead = 60.0 * one_hot(target, 4)
    return {
        "random logits": (2 * randn(generator, 12, 4), target),
        "a target that leads by 60": (randn(generator, 12, 4) + lead, target),
        "logits of +-10,000": (1e4 * randn(generator, 12, 4).sign(), target),
    }


def _log_not_target(logits: Tensor, target: Tensor) -> Tensor:
    _, _, network, _ = split(logits, logits, target, 1.0, IGNORE)
    return logsigmoid(-network.margin)


def _log_p(logits: Tensor, target: Tensor) -> Tensor:
    return logits.log_softmax(1).gather(1, target.unsqueeze(1)).squeeze(1)


def _walks(generator: torch.Generator) -> Inputs:
    chapters = ([0.15, 0.10, 0.75], [0.70, 0.25, 0.05])
    return {
        "the student of this section": tuple(torch.tensor(p, dtype=torch.float64) for p in chapters),
        "five classes": tuple((2 * randn(generator, 5)).softmax(0) for _ in range(2)),
        "two classes": tuple(randn(generator, 2).softmax(0) for _ in range(2)),
    }


def _end_of_ncld(start: Tensor, teacher: Tensor) -> Tensor:
    z, goal = start.log(), teacher[1:].log()
    return torch.cat([z[:1], goal + (z[1:] - goal).mean()]).softmax(0)


def _keeps_the_target(start: Tensor, teacher: Tensor) -> Tensor:
    return torch.cat([start[:1], (1 - start[0]) * teacher[1:] / teacher[1:].sum()])


EXERCISES = {
    "01.1": Exercise(
        expected=_dkd_gradient,
        inputs=_pixels,
        hint="begin with the target's column, Eq. (5); for the others, ask what m and q do when z_j moves.",
        mistakes={
            "that is Eq. (5) for the target, and nothing for the others; they get a gradient too.": _dkd_mistake(
                lambda alpha, beta, gap, hit, p_s, p_t, q_s, q_t: alpha * gap * hit
            ),
            "TCLD is missing at the other logits: the margin answers to them as well.": _dkd_mistake(
                lambda alpha, beta, gap, hit, p_s, p_t, q_s, q_t: alpha * gap * hit + beta * (q_s - q_t)
            ),
            "NCLD is missing: the other logits get beta times something, too.": _dkd_mistake(
                lambda alpha, beta, gap, hit, p_s, p_t, q_s, q_t: alpha * gap * (hit - q_s)
            ),
            "that is p where q is needed: divide by 1 - p_t.": _dkd_mistake(
                lambda alpha, beta, gap, hit, p_s, p_t, q_s, q_t: (
                    alpha * gap * (hit - (1 - hit) * p_s) + beta * (1 - hit) * (p_s - p_t)
                )
            ),
            "NCLD's part has the wrong sign: it is the student's q minus the teacher's.": _dkd_mistake(
                lambda alpha, beta, gap, hit, p_s, p_t, q_s, q_t: alpha * gap * (hit - q_s) + beta * (q_t - q_s)
            ),
            "that is the gradient of the KL; here alpha and beta are the weights.": _dkd_mistake(
                lambda alpha, beta, gap, hit, p_s, p_t, q_s, q_t: p_s - p_t
            ),
            "that weighs both halves by alpha: q and beta are not in it.": _dkd_mistake(
                lambda alpha, beta, gap, hit, p_s, p_t, q_s, q_t: alpha * (p_s - p_t)
            ),
            "the gradient of every pixel's own loss is asked for, not that of the mean.": lambda s, t, *rest: (
                _dkd_gradient(s, t, *rest) / len(s)
            ),
            "you have swapped student and teacher.": lambda s, t, *rest: _dkd_gradient(t, s, *rest),
        },
    ),
    "01.2": Exercise(
        expected=_log_not_target,
        inputs=_labelled_logits,
        hint="1 - p_t is the sum of the other exponentials over the sum of all; what adds exponentials safely?",
        mistakes={
            "that is log p_t, of the target itself.": _log_p,
            "that is -log p_t, and log(1 - p) is another thing.": lambda logits, target: -_log_p(logits, target),
            "the normaliser is missing: subtract the logsumexp of all logits.": lambda logits, target: logits.scatter(
                1, target.unsqueeze(1), -torch.inf
            ).logsumexp(1),
            "the sum holds the target, too: 1 - p_t is the sum of the others.": lambda logits, target: (
                logits.logsumexp(1) - logits.logsumexp(1)
            ),
            "a sigmoid of the target's logit alone forgets the other logits.": lambda logits, target: logsigmoid(
                -logits.gather(1, target.unsqueeze(1)).squeeze(1)
            ),
        },
    ),
    "01.3": Exercise(
        expected=_end_of_ncld,
        inputs=_walks,
        hint="the target's logit stays, and so does the sum of the others (Think 01.3); which q is reached?",
        mistakes={
            "that keeps the target's probability; what stays is its logit.": _keeps_the_target,
            "that is the teacher; NCLD alone does not bring the target there.": lambda start, teacher: teacher,
            "that is q alone, over the others; the target is still there.": lambda start, teacher: torch.cat(
                [0 * start[:1], teacher[1:] / teacher[1:].sum()]
            ),
            "the others' logits may all be shifted; their sum must be what it was at the start.": (
                lambda start, teacher: torch.cat([start[:1], teacher[1:]]).log().softmax(0)
            ),
        },
    ),
}
