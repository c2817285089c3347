"""Chapter 14: do two gains add up, and how far can probabilities be believed."""

import torch
from torch import Tensor

from lixlib.course.checker import Exercise, Inputs, randn
from lixlib.metrics import calibration_error


def _four_trainings(generator: torch.Generator) -> Inputs:
    student = 33 + randn(generator, 3)
    a, b = student + 1 + 0.3 * randn(generator, 3), student + 2 + 0.3 * randn(generator, 3)
    return {
        "two treatments that help each other": (student, a, b, a + b - student + 0.5),
        "two treatments that do the same": (student, a, b, torch.maximum(a, b) + 0.1 * randn(generator, 3)),
    }


def _beliefs(generator: torch.Generator) -> Inputs:
    confidence = 1 - 0.9 * torch.rand(400, dtype=torch.float64, generator=generator) ** 2
    right = torch.rand(400, dtype=torch.float64, generator=generator) < 0.35 + 0.5 * confidence
    edges = torch.arange(1, 6, dtype=torch.float64).repeat(6) / 5
    return {
        "400 pixels, too timid and too bold": (confidence, right, 15),
        "confidences that are all the same": (torch.full((8,), 0.75).double(), torch.arange(8) < 5, 10),
        "confidences on the edges of the bins": (edges, edges < 1, 5),
    }


def _calibration(confidence: Tensor, right: Tensor, bins: int, *, below: bool = True) -> Tensor:
    """Rows of `lixlib.metrics.reliability`; `below`: whether an edge belongs to the bin below it."""
    edges = torch.arange(1, bins, dtype=torch.float64) / bins
    place = torch.bucketize(confidence, edges, right=not below)
    rows = (torch.ones_like(confidence), confidence, right.double())
    return torch.stack([torch.bincount(place, weights=row, minlength=bins) for row in rows])


def _calibration_error(confidence: Tensor, right: Tensor, bins: int, **edges) -> Tensor:
    return torch.tensor(calibration_error(_calibration(confidence, right, bins, **edges)), dtype=torch.float64)


def _gaps(confidence: Tensor, right: Tensor, bins: int) -> Tensor:
    count, sure, correct = _calibration(confidence, right, bins)
    return ((correct - sure) / count)[count > 0]


EXERCISES = {
    "14.1": Exercise(
        expected=lambda student, a, b, both: both - a - b + student,
        inputs=_four_trainings,
        hint="what would both score if the gain of a and the gain of b simply added up? Subtract that.",
        mistakes={
            "that is the gain of both; subtract what the two gain alone.": lambda student, a, b, both: both - student,
            "a and b both stand on the student: without it, it is subtracted twice.": lambda student, a, b, both: (
                both - a - b
            ),
            "that is the lead over the better of the two; do their gains add up?": lambda student, a, b, both: (
                both - torch.maximum(a, b)
            ),
        },
    ),
    "14.2": Exercise(
        expected=_calibration_error,
        inputs=_beliefs,
        hint="in every bin: its share of the pixels times |share that is right - mean confidence|; add up.",
        mistakes={
            "weight every bin by its share of the pixels.": lambda confidence, right, bins: (
                _gaps(confidence, right, bins).abs().mean()
            ),
            "take the absolute value in every bin, before you add up: gaps of both signs must not cancel.": (
                lambda confidence, right, bins: (right.double().mean() - confidence.mean()).abs()
            ),
            "that is the largest gap of a bin; take the weighted mean.": lambda confidence, right, bins: (
                _gaps(confidence, right, bins).abs().amax()
            ),
            "an edge belongs to the bin below: (m - 1) / M < c <= m / M.": lambda confidence, right, bins: (
                _calibration_error(confidence, right, bins, below=False)
            ),
        },
    ),
}
