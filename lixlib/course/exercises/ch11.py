"""Chapter 11: a verdict from a few gains, a slope over the length, and whether any of several methods differs."""

import torch
from torch import Tensor

from lixlib.course.checker import Exercise, Inputs, randn
from lixlib.lab.statistics import differ


def _few_gains(generator: torch.Generator) -> Inputs:
    def gains(*points: float, t: float) -> tuple:
        return torch.tensor(points, dtype=torch.float64), t

    return {
        "three clear gains": gains(1.0, 1.2, 0.9, t=4.303),
        "three clear losses": gains(-2.0, -1.9, -2.3, t=4.303),
        "gains and a loss": gains(2.0, -1.5, 0.4, t=4.303),
        "gains of all sizes": gains(1.5, 0.0, 0.8, t=4.303),
        "gains that scatter too much": gains(2.0, 0.1, 1.5, t=4.303),
        "five gains, small but steady": gains(0.6, 0.2, 1.0, 0.5, 0.7, t=2.776),
        "three gains on the edge": gains(0.55, 1.0, 1.45, t=4.303),
        "random losses": (randn(generator, 9) - 1.5, 2.306),
    }


def _half(gains: Tensor, t: float, correction: int = 1) -> Tensor:
    """Half the length of the confidence interval of the mean."""
    return t * gains.std(correction=correction) / len(gains) ** 0.5


def _verdict(mean: Tensor, half: Tensor) -> int:
    return int(mean > half) - int(mean < -half)


def _differences(generator: torch.Generator) -> Inputs:
    doubled = torch.tensor([400.0, 800.0, 1600.0])
    return {
        "a difference that turns": (doubled, torch.tensor([[-1.0, -1.2], [0.1, 0.3], [1.0, 0.6]]).double()),
        "a constant difference": (doubled, torch.full((3, 2), 1.5).double()),
        "lengths that do not double": (torch.tensor([100.0, 150.0, 400.0, 1000.0]), randn(generator, 4, 3)),
        "two lengths": (torch.tensor([100.0, 800.0]), randn(generator, 2, 5)),
    }


def _slope(x: Tensor, d: Tensor, *, centred: bool = True) -> Tensor:
    """Least squares of every column of d (L, n) over x (L,), with an intercept if centred."""
    x = x.double()
    x = x - x.mean() if centred else x
    return x @ d / (x @ x)


def _layouts(generator: torch.Generator) -> Inputs:
    seeds = 3 * randn(generator, 1, 4)
    return {
        "two variants, three seeds": (torch.tensor([[50.0, 51.0, 49.5], [51.0, 51.5, 51.5]]).double(),),
        "seeds that differ more than variants": (50 + seeds + 0.3 * randn(generator, 5, 4),),
        "a variant that stands out": (torch.tensor([[0.0], [0.0], [4.0]]) + randn(generator, 3, 6),),
    }


def _f(y: Tensor, *, blocks: bool = True, between: float | None = None, freedom: int | None = None) -> Tensor:
    """The F statistic of k variants with n seeds each, (k, n); the options make likely mistakes."""
    (k, n), row = y.shape, y.mean(1, keepdim=True)
    rest = y - row - (y.mean(0) - y.mean() if blocks else 0)
    freedom = freedom or ((k - 1) * (n - 1) if blocks else k * (n - 1))
    return (n if between is None else between) * row.var() / (rest.square().sum() / freedom)


EXERCISES = {
    "11.1": Exercise(
        expected=lambda gains, t: _verdict(gains.mean(), _half(gains, t)),
        inputs=_few_gains,
        hint="half the interval is t times the standard error, std / sqrt(n); compare the mean with plus and minus it.",
        mistakes={
            "that divides by n where the standard deviation divides by n - 1.": lambda gains, t: _verdict(
                gains.mean(), _half(gains, t, correction=0)
            ),
            "that is the scatter of one seed; the mean of n scatters sqrt(n) times less.": lambda gains, t: _verdict(
                gains.mean(), t * gains.std()
            ),
            "1.96 is for a known scatter; with so few seeds take t.": lambda gains, t: _verdict(
                gains.mean(), _half(gains, 1.96)
            ),
            "t is missing: one standard error is far too short an interval.": lambda gains, t: _verdict(
                gains.mean(), _half(gains, 1.0)
            ),
            "that only asks for the sign of the mean; an interval that holds 0 says nothing.": lambda gains, t: (
                _verdict(gains.mean(), torch.zeros(()))
            ),
        },
    ),
    "11.2": Exercise(
        expected=lambda updates, d: _slope(updates.log2(), d),
        inputs=_differences,
        hint="x is the logarithm to base 2, minus its mean; b is the sum of x times D over the sum of x squared.",
        mistakes={
            "that is the slope over the updates themselves: take their logarithm.": _slope,
            "that logarithm is not the one to base 2, so its unit is no doubling.": lambda updates, d: _slope(
                updates.log(), d
            ),
            "x has to lose its mean first; else a constant difference has a slope.": lambda updates, d: _slope(
                updates.log2(), d, centred=False
            ),
            "that is the mean over the seeds: keep one slope for each.": lambda updates, d: _slope(
                updates.log2(), d
            ).mean(),
        },
    ),
    "11.3": Exercise(
        expected=lambda y: torch.tensor(differ(y.numpy()).f, dtype=torch.float64),
        inputs=_layouts,
        hint="take each variant's mean and each seed's mean off, add the grand mean back: what is left is the scatter.",
        mistakes={
            "the seeds are still in the scatter: take each seed's mean off, too.": lambda y: _f(y, blocks=False),
            "the means of n seeds scatter less than one score: multiply their variance by n.": lambda y: _f(
                y, between=1
            ),
            "the scatter has (k - 1)(n - 1) degrees of freedom, not as many as there are scores.": lambda y: _f(
                y, freedom=y.numel()
            ),
            "that is the scatter over the variants; F is the other way up.": lambda y: 1 / _f(y),
        },
    ),
}
