"""Chapter 10: the paired t statistic, the rank correlation, and the two parts of a mean gain."""

import torch
from torch import Tensor

from lixlib.course.checker import Exercise, Inputs, randn


def _seeds(generator: torch.Generator) -> Inputs:
    student = 50 + randn(generator, 5)
    return {
        "five seeds": (student + 1 + 0.5 * randn(generator, 5), student),
        "two seeds that agree": (torch.tensor([52.0, 53.0]).double(), torch.tensor([51.0, 51.9]).double()),
        "seeds that scatter more than the gain": (50 + 9 * randn(generator, 12), 50 + 9 * randn(generator, 12)),
    }


def _paired_t(distilled: Tensor, student: Tensor) -> Tensor:
    gain = distilled - student
    return gain.mean() / (gain.std() / len(gain) ** 0.5)


def _columns(generator: torch.Generator) -> Inputs:
    rising = randn(generator, 7).sort().values
    return {
        "random columns": (randn(generator, 12), randn(generator, 12)),
        "the same order on another scale": (rising, rising.exp() ** 3),
        "the reverse order": (rising, -rising),
    }


def _ranks(v: Tensor) -> Tensor:
    return v.argsort().argsort().to(v.dtype)


def _correlation(a: Tensor, b: Tensor) -> Tensor:
    a, b = a - a.mean(), b - b.mean()
    return (a * b).sum() / (a.square().sum() * b.square().sum()).sqrt()


def _classes(generator: torch.Generator) -> Inputs:
    rare = torch.arange(13) >= 9
    return {
        "thirteen classes, four of them rare": (3 + 5 * randn(generator, 13), rare),
        "five classes, one of them rare": (randn(generator, 5), torch.tensor([False, True, False, False, False])),
        "a method that gains in rare classes alone": (20.0 * rare.double(), rare),
    }


def _two_parts(gain: Tensor, rare: Tensor) -> Tensor:
    return torch.stack([gain[~rare].sum(), gain[rare].sum()]) / len(gain)


EXERCISES = {
    "10.1": Exercise(
        expected=_paired_t,
        inputs=_seeds,
        hint="take the gain of every seed first; then its mean over its standard error, std / sqrt(n).",
        mistakes={
            "you have swapped the two; the gain is distilled minus student.": lambda d, s: _paired_t(s, d),
            "that divides by the standard deviation; its standard error is sqrt(n) times smaller.": lambda d, s: (
                (d - s).mean() / (d - s).std()
            ),
            "the standard deviation divides by n - 1, not by n.": lambda d, s: (
                (d - s).mean() / ((d - s).std(correction=0) / len(d) ** 0.5)
            ),
            "that is the unpaired test: take the difference seed by seed before its scatter.": lambda d, s: (
                (d.mean() - s.mean()) / ((d.var() + s.var()) / len(d)).sqrt()
            ),
            "that is the mean gain; divide it by its standard error.": lambda d, s: (d - s).mean(),
        },
    ),
    "10.2": Exercise(
        expected=lambda a, b: _correlation(_ranks(a), _ranks(b)),
        inputs=_columns,
        hint="replace every entry by its rank, then take the ordinary correlation of the ranks.",
        mistakes={
            "that is Pearson's correlation of the values; take the ranks first.": _correlation,
            "one argsort says where the smallest is, not which rank an entry has; take argsort twice.": lambda a, b: (
                _correlation(a.argsort().double(), b.argsort().double())
            ),
            "the ranks are not centred yet: subtract their mean.": lambda a, b: (
                (_ranks(a) * _ranks(b)).sum() / (_ranks(a).square().sum() * _ranks(b).square().sum()).sqrt()
            ),
            "the sign is the wrong way round.": lambda a, b: -_correlation(_ranks(a), _ranks(b)),
        },
    ),
    "10.3": Exercise(
        expected=_two_parts,
        inputs=_classes,
        hint="a part is the sum of its classes' gains, divided by the number of all classes.",
        mistakes={
            "these are the means of the two groups, which do not add up to the gain: divide by all classes.": (
                lambda gain, rare: torch.stack([gain[~rare].mean(), gain[rare].mean()])
            ),
            "you have swapped the two: the common classes come first.": lambda gain, rare: _two_parts(gain, rare).flip(
                0
            ),
            "these are sums; divide them by the number of classes.": lambda gain, rare: torch.stack(
                [gain[~rare].sum(), gain[rare].sum()]
            ),
            "these are shares of the gain; give points.": lambda gain, rare: _two_parts(gain, rare) / gain.mean(),
        },
    ),
}
