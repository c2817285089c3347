"""Chapter 00: the share of the gap."""

import torch

from lixlib.course.checker import Exercise, Inputs
from lixlib.lab.results import gap_closed


def _scores(generator: torch.Generator) -> Inputs:
    return {
        "teacher 0.80, student 0.60, distilled 0.65": (0.80, 0.60, 0.65),
        "a student that distillation made worse": (0.80, 0.60, 0.55),
    }


EXERCISES = {
    "00.1": Exercise(
        expected=gap_closed,
        inputs=_scores,
        hint="how long is the whole way, and how far did we get?",
        mistakes={
            "that is the way still left; both differences start at the student.": lambda t, s, d: (t - d) / (t - s),
            "that is the gain in points; divide it by the whole gap.": lambda t, s, d: d - s,
            "those are per cent; the share of the whole gap is 1.": lambda t, s, d: 100 * (d - s) / (t - s),
            "divide by the gap between student and teacher, not by a score.": lambda t, s, d: (d - s) / t,
            "that is the score relative to the teacher's; both differences start at the student.": lambda t, s, d: (
                d / t
            ),
            "that is upside down: the gain over the whole gap.": lambda t, s, d: (t - s) / (d - s),
        },
    ),
}
