"""Chapter 02: weights in closed form, and weights that a group shares."""

import math

import torch
from torch import Tensor

from lixlib.course.checker import Exercise, Inputs, randn
from lixlib.functional import confidence


def _range_and_logits(generator: torch.Generator) -> Inputs:
    certain = 200.0 * torch.eye(4, dtype=torch.float64)[torch.randint(4, (1, 3, 5), generator=generator)].movedim(-1, 1)
    return {
        "random logits": (3 * randn(generator, 2, 5, 4, 6), 1.0, 10.0),
        "a student that is certain everywhere": (certain, 1.0, 10.0),
        "two classes and a range below 1": (randn(generator, 1, 2, 7, 3), 0.05, 0.8),
    }


def _spread(share: Tensor, logits: Tensor, low: float, high: float) -> Tensor:
    return (low + (high - low) * share.unsqueeze(1)).expand_as(logits)


def _groups(generator: torch.Generator) -> Inputs:
    def trial(n, groups, low, high):
        group = torch.cat([torch.arange(groups), torch.randint(groups, (n - groups,), generator=generator)])
        return randn(generator, n) + randn(generator, groups)[group], group, low, high

    return {
        "two groups": trial(9, 2, 1.0, 10.0),
        "thirty groups": trial(400, 30, 1.0, 10.0),
        "groups of one entry": trial(12, 12, 0.05, 1.0),
    }


def _shared(slope: Tensor, low: float, high: float) -> Tensor:
    return torch.where(slope < 0, high, low).to(slope)


def _sums(d: Tensor, group: Tensor) -> Tensor:
    """The sum of D over its group, at every entry."""
    return torch.zeros(int(group.max()) + 1, dtype=d.dtype).index_add(0, group, d)[group]


EXERCISES = {
    "02.1": Exercise(
        expected=lambda logits, low, high: _spread(1 - confidence(logits.detach()), logits, low, high),
        inputs=_range_and_logits,
        hint="1 - c is the entropy of the softmax over log C, one number a pixel; log_softmax keeps it finite.",
        mistakes={
            "that gives more weight where the student is sure: it should be 1 - c.": lambda logits, low, high: _spread(
                confidence(logits), logits, low, high
            ),
            "the entropy is not yet divided by its largest value, log C.": lambda logits, low, high: _spread(
                confidence(logits, kind="entropy"), logits, low, high
            ),
            "that is beta_min + beta_max (1 - c), which may exceed beta_max.": lambda logits, low, high: _spread(
                1 - confidence(logits), logits, low, low + high
            ),
            "W begins at beta_min, which you have not added.": lambda logits, low, high: (
                _spread(1 - confidence(logits), logits, low, high) - low
            ),
            "that is 1 - max p; here c is the negentropy.": lambda logits, low, high: _spread(
                1 - confidence(logits, kind="max"), logits, low, high
            ),
            "the weight is one number a pixel, the same for every class: sum the entropy over them.": (
                lambda logits, low, high: (
                    low - (high - low) * logits.softmax(1) * logits.log_softmax(1) / math.log(logits.shape[1])
                )
            ),
        },
        detached=True,
    ),
    "02.2": Exercise(
        expected=lambda d, group, low, high: _shared(_sums(d, group), low, high),
        inputs=_groups,
        hint="the loss is linear in each shared weight; its slope is the sum of D over the group.",
        mistakes={
            "that gives every entry a weight of its own; those of a group share one.": lambda d, group, low, high: (
                _shared(d, low, high)
            ),
            "that is uphill: a negative slope asks for more weight.": lambda d, group, low, high: _shared(
                -_sums(d, group), low, high
            ),
            "that is one weight for all; look at each group's own sum.": lambda d, group, low, high: _shared(
                d.sum().expand_as(d), low, high
            ),
        },
    ),
}
