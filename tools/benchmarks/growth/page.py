"""The table and the picture of docs/growth.md: how time and memory grow, as slopes in a log-log plot."""

import io
from pathlib import Path

import numpy as np

from lixlib import plots
from lixlib.core.files import write_atomically
from lixlib.lab import growth
from lixlib.lab.growth import WHAT, by_series, slope

NOBODY = "Nobody has measured it yet: there is no `growth.jsonl` in `results/benchmark/`."
MANY = 1000  # runs, for which the costs are told


def page(lines: list[dict]) -> str:
    """The table of all series that there are lines of, what 1,000 runs cost, and where this was measured."""
    series = by_series(lines)
    if not series:
        return NOBODY
    text = ["| what grows | from | to | time, from | to | slope of time | slope of memory |", "|---|" + "---:|" * 6]
    text += [f"| {WHAT[name]} | {' | '.join(_cells(own))} |" for name, own in series.items()]
    devices = " and ".join(sorted({line["device"] for line in lines}))
    commits = " and ".join(sorted({str(line["commit"]) for line in lines}))
    return "\n".join([*text, "", *_on_paper(series), f"{devices}; commit {commits}."])


def draw(lines: list[dict], path: Path) -> None:
    """Write the picture: time and memory over what grows, each as a multiple of its first value."""
    figure = plots.growth(growth.panels(lines))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight", facecolor="white")
    write_atomically(path, lambda temporary: temporary.write_bytes(buffer.getvalue()))


def _cells(own: list[dict]) -> list[str]:
    xs = [line["x"] for line in own]
    times = [line["seconds"] for line in own]
    memory = [line["peak_mib"] for line in own if "peak_mib" in line]
    slopes = [f"{round(slope(xs, values)[0], 2) + 0.0:.2f}" if values else "" for values in (times, memory)]
    return [f"{xs[0]:,}", f"{xs[-1]:,}", _time(times[0]), _time(times[-1]), *slopes]


def _on_paper(series: dict[str, list[dict]]) -> list[str]:
    """What a grid of 1,000 runs costs beyond its training, by the measured slopes."""
    text = []
    if own := series.get("workers"):
        overheads = [f"{line['overhead']:.2f} s with {line['x']}" for line in own]
        cores = own[0]["cores"]
        full = max((line for line in own if line["x"] <= cores), key=lambda line: line["x"])
        text.append(
            f"A run that takes {own[0]['alone']:.2f} s alone keeps one of {cores} cores longer in a grid, by "
            f"{', '.join(overheads)} workers. With {full['x']}, {MANY:,} runs take "
            f"{_time(MANY * full['overhead'] / full['x'])} longer for it, whatever each of them trains."
        )
    if "append" in series and "asked again" in series:
        again = _at(series["asked again"], MANY)
        append = sum(_at(series["append"], lines) for lines in range(1, MANY + 1))
        text.append(
            f"A grid of {MANY:,} runs takes {_time(again)} to see which of them are finished, and adding their lines "
            f"one by one takes {_time(append)} in all."
        )
    return [*text, ""] if text else []


def _at(own: list[dict], x: float) -> float:
    """The time at x, by the fitted line."""
    steepness, intercept = slope([line["x"] for line in own], [line["seconds"] for line in own])
    return float(np.exp(intercept) * x**steepness)


def _time(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"
