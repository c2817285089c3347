"""Chapter 13: which pixels flip, and where."""

import torch
from torch import Tensor

from lixlib.core.constants import IGNORE
from lixlib.course.checker import Exercise, Inputs
from lixlib.lab.disagreement import flips, net_gain


def _answers(generator: torch.Generator) -> Inputs:
    def trial(ignored):
        truth, before, after = torch.randint(3, (3, 2, 6, 8), generator=generator)
        return torch.where(torch.rand(2, 6, 8, generator=generator) < ignored, IGNORE, truth), before, after

    plain = torch.tensor([[0, 0, 0, 1, 1, 2, 2], [0, 0, 1, 0, 0, 2, 0], [0, 0, 0, 1, 1, 1, 1]]).unbind()
    return {"seven pixels": plain, "random answers": trial(0.0), "ignored pixels": trial(0.3)}


def _places(generator: torch.Generator) -> Inputs:
    def trial(truth, before, after):
        return torch.randint(4, truth.shape, generator=generator), 5, truth, before, after

    return {what: trial(*answers) for what, answers in _answers(generator).items()}


def _everywhere(truth: Tensor, before: Tensor, after: Tensor) -> Tensor:
    return flips(truth.where(truth != IGNORE, -1), before, after)  # as if an ignored pixel were a wrong one


EXERCISES = {
    "13.1": Exercise(
        expected=flips,
        inputs=_answers,
        hint="2 * (before == truth) + (after == truth) is a number from 0 to 3 for each pixel; count them.",
        mistakes={
            "rows and columns are swapped: before chooses the row.": lambda truth, before, after: (
                flips(truth, before, after).T
            ),
            "row 0 is wrong and row 1 is right; yours is the other way round.": lambda truth, before, after: flips(
                truth, before, after
            ).flip(0, 1),
            "those are shares; count the pixels.": lambda truth, before, after: (
                flips(truth, before, after).double() / (truth != IGNORE).sum()
            ),
            "a pixel whose truth is 255 is neither right nor wrong: leave it out.": _everywhere,
        },
    ),
    "13.2": Exercise(
        expected=net_gain,
        inputs=_places,
        hint="per pixel (after == truth) - (before == truth) is 1, 0 or -1; add it up by bin, then divide.",
        mistakes={
            "divide by the pixels of the bin, not by all.": lambda places, bins, truth, before, after: (
                net_gain(places, bins, truth, before, after)
                * torch.bincount(places[truth != IGNORE], minlength=bins)
                / (truth != IGNORE).sum()
            ),
            "those are counts; divide by the pixels of the bin.": lambda places, bins, truth, before, after: (
                net_gain(places, bins, truth, before, after) * torch.bincount(places[truth != IGNORE], minlength=bins)
            ),
            "that is what became right; subtract what became wrong.": lambda places, bins, truth, before, after: (
                net_gain(places, bins, truth, torch.where(before == truth, after, before), after)
            ),
            "a bin without pixels gets 0, not NaN.": lambda places, bins, truth, before, after: net_gain(
                places, bins, truth, before, after
            ).where(torch.bincount(places[truth != IGNORE], minlength=bins) > 0, torch.nan),
            "before and after are swapped.": lambda places, bins, truth, before, after: net_gain(
                places, bins, truth, after, before
            ),
            "leave the pixels out whose truth is 255, of the bin's pixels too.": (
                lambda places, bins, truth, before, after: net_gain(
                    places, bins, truth.where(truth != IGNORE, -1), before, after
                )
            ),
        },
    ),
}
