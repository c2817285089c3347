"""Chapter 15: the hours of a training, and which loss term moves the student."""

import torch
from torch import Tensor

from lixlib.course.checker import Exercise, Inputs, randn

SECONDS = 3600


def _trainings(generator: torch.Generator) -> Inputs:
    return {
        "500 images in batches of 3": (500, 3, 500, 7.1e12, 71e12, 0.3),
        "as many images as a batch": (8, 8, 40, 8.5e10, 312e12, 0.1),
        "a last batch that is not full": (23, 8, 1000, 2e12, 121e12, 0.25),
    }


def _hours(images: int, batch: int, epochs: int, flop: float, peak: float, share: float) -> float:
    return epochs * (images // batch) * batch * flop / (share * peak) / SECONDS


def _gradients(generator: torch.Generator) -> Inputs:
    small = randn(generator, 3, 50)
    small[1] *= 0.01
    return {
        "three random gradients": (randn(generator, 3, 50),),
        "one that is a hundred times smaller": (small,),
        "two that cancel each other": (torch.tensor([[3.0, 4.0], [-3.0, -4.0]]).double(),),
    }


def _shares(gradients: Tensor) -> Tensor:
    lengths = gradients.norm(dim=1)
    return lengths / lengths.sum()


EXERCISES = {
    "15.1": Exercise(
        expected=_hours,
        inputs=_trainings,
        hint="operations of all images that are trained on, over the operations that the card makes in an hour.",
        mistakes={
            "the loop drops the last batch of an epoch where it is not full: images // batch.": (
                lambda images, batch, epochs, flop, peak, share: epochs * images * flop / (share * peak) / SECONDS
            ),
            "`flop` is that of one image: an update has a whole batch of them.": lambda n, b, e, flop, peak, share: (
                _hours(n, b, e, flop, peak, share) / b
            ),
            "those are seconds.": lambda *args: SECONDS * _hours(*args),
            "no card reaches its peak: divide by the share, too.": lambda n, b, e, flop, peak, share: _hours(
                n, b, e, flop, peak, 1.0
            ),
            "a smaller share takes longer: divide by it.": lambda n, b, e, flop, peak, share: _hours(
                n, b, e, flop, peak, 1 / share
            ),
        },
    ),
    "15.2": Exercise(
        expected=_shares,
        inputs=_gradients,
        hint="the length of every row, sqrt of the sum of its squares, over the sum of the lengths.",
        mistakes={
            "those are squares of lengths: they make the longest seem longer still; take the root.": lambda g: (
                g.square().sum(1) / g.square().sum()
            ),
            "those are the lengths; divide them by their sum.": lambda g: g.norm(dim=1),
            "that divides by the length of the sum, in which gradients cancel; divide by the sum of the lengths.": (
                lambda g: g.norm(dim=1) / g.sum(0).norm()
            ),
            "the length of a vector is Euclidean: squares, not absolute values.": lambda g: (
                g.abs().sum(1) / g.abs().sum()
            ),
            "every row is the gradient of a term; you have taken the columns.": lambda g: (
                g.norm(dim=0) / g.norm(dim=0).sum()
            ),
        },
    ),
}
