"""What is made larger, one thing at a time: the sizes of a step, and those of a grid of runs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch

from lixlib.distillers import METHODS
from lixlib.lab.growth import OF_STEP
from tools.benchmarks.gpu.jobs import Place
from tools.benchmarks.gpu.steps import step_of
from tools.benchmarks.measure import MIB, median_seconds, peak_bytes

BASE = {"size": (48, 160), "batch": 8, "precision": "32-true"}
TAPS = ("conv5", "decode4", "conv4", "decode3", "conv3", "decode2", "conv2")  # of MFNet, from the smallest map on
HEIGHTS = (24, 48, 96, 192)


@dataclass(frozen=True)
class Series:
    """Steps of LIX with MFNet in which one thing grows.

    Args:
        what: it, in words.
        points: what each of its values changes in `BASE`.
    """

    what: str
    points: dict[int, dict] = field(default_factory=dict)


STEPS = {
    "batch": Series(OF_STEP["batch"], {images: {"batch": images} for images in (2, 4, 8, 16, 32)}),
    "pixels": Series(OF_STEP["pixels"], {10 * h * h // 3: {"size": (h, 10 * h // 3), "batch": 4} for h in HEIGHTS}),
    "classes": Series(OF_STEP["classes"], {classes: {"num_classes": classes} for classes in (5, 10, 20, 40, 80)}),
    "taps": Series(OF_STEP["taps"], {count: {"taps": TAPS[:count]} for count in (1, 2, 4, 7)}),
    "unlabelled": Series(OF_STEP["unlabelled"], {images: {"batch": 16, "unlabelled": images} for images in (1, 4, 15)}),
}


def measure_steps(series: Series, quick: bool) -> list[dict]:
    """Time and peak memory of a step at every point, the steps made in turn in one process."""
    steps = {str(x): step_at(**changes) for x, changes in chosen(series.points, quick).items()}
    device = torch.device("cpu")
    seconds = median_seconds(steps, 1 if quick else 5, device)
    return [
        {"x": int(x), "seconds": round(seconds[x], 6), "peak_mib": round(peak_bytes(step, device) / MIB, 3)}
        for x, step in steps.items()
    ]


def step_at(**changes) -> Callable[[], object]:
    """A step of LIX that differs from the others in these settings."""
    settings = {**BASE, **changes}
    if taps := settings.pop("taps", None):
        settings["feature"] = {**METHODS["lix"].tuned["feature"], "taps": taps}
    return partial(step_of, "mfnet", "lix", Place(torch.device("cpu")))(**settings)


def chosen(points: dict[int, dict], quick: bool) -> dict[int, dict]:
    """The points; of a quick measurement the two smallest."""
    return dict(list(points.items())[:2]) if quick else points
