"""Chapter 04: the Laplace Gram matrix, and what it does not care about."""

import torch
from torch import Tensor

from lixlib.course.checker import Exercise, Inputs, randn
from lixlib.functional import gram


def _rows(generator: torch.Generator) -> Inputs:
    equal = randn(generator, 8, 3)
    equal[5] = equal[2]
    return {
        "random rows": (randn(generator, 12, 5), 2.0),
        "two equal rows": (equal, 0.7),
        "rows that are far apart": (1000 * randn(generator, 9, 4), 3.0),
        "more channels than rows": (randn(generator, 20, 50), 40.0),
        "many rows and channels": (randn(generator, 60, 60), 40.0),
    }


def _l1(x: Tensor) -> Tensor:
    return torch.cdist(x, x, p=1)


EXERCISES = {
    "04.1": Exercise(
        expected=lambda x, bandwidth: gram(x, kernel="laplace", bandwidth=bandwidth),
        inputs=_rows,
        hint="the L1 distance is a sum over channels, and each channel alone needs one n x n table.",
        mistakes={
            "that is the Gaussian kernel; Laplace takes absolute differences, without a square.": lambda x, bandwidth: (
                gram(x, kernel="gaussian", bandwidth=bandwidth)
            ),
            "that is the Euclidean distance; Laplace takes the sum of absolute differences.": lambda x, bandwidth: (
                -torch.cdist(x, x) / bandwidth
            ).exp(),
            "the differences are averaged over the channels; they must be summed.": lambda x, bandwidth: (
                -_l1(x) / (x.shape[1] * bandwidth)
            ).exp(),
            "that is the distance over the bandwidth; its exp(-...) is missing.": lambda x, bandwidth: (
                _l1(x) / bandwidth
            ),
            "the exponent has lost its minus sign.": lambda x, bandwidth: (_l1(x) / bandwidth).exp(),
            "divide by the bandwidth; you have multiplied.": lambda x, bandwidth: (-_l1(x) * bandwidth).exp(),
            "2 s^2 belongs to the Gaussian kernel; Laplace divides by s.": lambda x, bandwidth: (
                -_l1(x) / (2 * bandwidth**2)
            ).exp(),
            "the bandwidth is given here; you have taken the mean distance.": lambda x, bandwidth: gram(
                x, kernel="laplace"
            ),
        },
        entries=lambda x, bandwidth: 2 * max(len(x) ** 2, x.numel()),
    ),
    "04.2": Exercise(
        expected=lambda: torch.tensor([1, 1, 0, 1, 0]),
        inputs=lambda generator: {"your prediction": ()},
        hint="for each change ask what it does to |a - b|_1, and to the mean of these distances.",
        mistakes={
            "a rotation keeps the Euclidean length of a - b, and Laplace reads another one.": lambda: [1, 1, 0, 1, 1],
            "the bandwidth is the mean distance of the changed rows, so it grows by the factor, too.": lambda: (
                [1, 0, 0, 1, 0]
            ),
            "a factor for each channel changes how much each counts in the sum.": lambda: [1, 1, 1, 1, 0],
            "a sum does not care for the order of its terms.": lambda: [1, 1, 0, 0, 0],
            "a shift is in a and in b, and a - b loses it.": lambda: [0, 1, 0, 1, 0],
        },
    ),
}
