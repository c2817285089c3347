"""How time and memory grow with the sizes of a step and of a grid: slopes in a log-log plot (docs/growth.md)."""

from collections.abc import Iterable, Sequence

import numpy as np

# What is made larger, in words: the first five are sizes of a step, the others of a grid of runs
OF_STEP = {
    "batch": "images in a step",
    "pixels": "pixels of an image",
    "classes": "classes",
    "taps": "taps that ARFD compares",
    "unlabelled": "images without labels, of 16 in a step",
}
WORKERS = "Dask workers of a grid (time a run)"
WHAT = {
    **OF_STEP,
    "workers": WORKERS,
    "asked again": "runs of a grid, all of them finished",
    "append": "lines in the file to which one is added",
}


def slope(xs: Sequence[float], ys: Sequence[float]) -> tuple[float, float]:
    """Slope and intercept of log y over log x, by least squares.

    Raises:
        ValueError: there are fewer than two different x, or a number has no logarithm.
    """
    if len(set(xs)) < 2 or min(*xs, *ys) <= 0:
        raise ValueError(f"a slope needs two different x and numbers above 0, found x {list(xs)} and y {list(ys)}")
    steepness, intercept = np.polyfit(np.log(xs), np.log(ys), 1)
    return float(steepness), float(intercept)


def by_series(lines: Iterable[dict]) -> dict[str, list[dict]]:
    """The lines of each series by its name, in the order of `WHAT`, its values growing."""
    lines = list(lines)
    found = {name: [line for line in lines if line["series"] == name] for name in WHAT}
    return {name: sorted(own, key=lambda line: line["x"]) for name, own in found.items() if own}


def panels(lines: Iterable[dict]) -> dict[str, dict[str, tuple[list[float], list[float]]]]:
    """Time and memory as `lixlib.plots.growth` takes them, each a multiple of the first value of its series.

    A third panel has the time of a run by the workers of its grid, where it was measured.
    """
    series = by_series(lines)
    steps = {words: series[name] for name, words in OF_STEP.items() if name in series}
    found = {
        "time of a step": {words: _relative(own, "seconds") for words, own in steps.items()},
        "peak memory of a step": {words: _relative(own, "peak_mib") for words, own in steps.items()},
    }
    if own := series.get("workers"):
        found["time of a run in a grid"] = {WORKERS: _relative(own, "seconds")}
    return found


def slopes(lines: Iterable[dict]) -> dict[str, dict[str, float]]:
    """The slopes of time and, where it was measured, of memory, by what grows, in words."""
    return {
        WHAT[name]: {
            what: slope([line["x"] for line in own], [line[key] for line in own])[0]
            for what, key in (("time", "seconds"), ("memory", "peak_mib"))
            if key in own[0]
        }
        for name, own in by_series(lines).items()
    }


def _relative(own: Sequence[dict], what: str) -> tuple[list[float], list[float]]:
    return [line["x"] / own[0]["x"] for line in own], [line[what] / own[0][what] for line in own]
