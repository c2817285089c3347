"""Measure how time and memory grow: a step with its sizes, and a grid of runs with its workers and its length.

Run it from the repository's root as `python -m tools.benchmarks.growth`, on a machine that does nothing else: about
three minutes on two cores. Each series is written to results/benchmark/growth.jsonl when it is done; one whose lines
are there, of the same commit and device, is not measured again. docs/growth.md shows the table, which
`python -m tools.dev.readme_tables` makes, and the picture, which is drawn at the end.
"""

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import tyro
from tqdm import tqdm

from lixlib.core.files import read_json_lines, write_json_lines
from lixlib.lab.growth import WHAT
from lixlib.lab.record import provenance
from tools.benchmarks.growth import page, runs
from tools.benchmarks.growth.series import STEPS, measure_steps

MEASURE: dict[str, Callable[[bool], list[dict]]] = {
    **{name: partial(measure_steps, series) for name, series in STEPS.items()},
    "workers": runs.measure_workers,
    "asked again": runs.measure_asked_again,
    "append": runs.measure_append,
}


@dataclass(frozen=True)
class Options:
    """What to measure.

    Args:
        series: Names of what grows; by default all. The lines of others are kept.
        again: Measure also what this commit has measured already.
        quick: Take the two smallest values of each series and few calls, to check that everything works.
        results: Folder to which the measurements are written.
        picture: File of the picture.
    """

    series: tuple[str, ...] = tuple(WHAT)
    again: bool = False
    quick: bool = False
    results: Path = Path("results/benchmark")
    picture: Path = Path("docs/growth.png")


def main(options: Options) -> None:
    unknown = [name for name in options.series if name not in MEASURE]
    if unknown:
        sys.exit(f"unknown series {unknown[0]!r}: choose of {', '.join(map(repr, MEASURE))}")
    torch.set_num_threads(1)
    command = shlex.join(["python", "-m", "tools.benchmarks.growth", *sys.argv[1:]])
    origin = {**provenance(torch.device("cpu")), "quick": options.quick, "command": command}
    path = options.results / "growth.jsonl"
    with tqdm(options.series, unit="series") as bar:
        for name in bar:
            bar.set_description(name)
            lines = read_json_lines(path) if path.exists() else []
            if not options.again and any(line["series"] == name and _same(line, origin) for line in lines):
                continue
            found = [{"series": name, **row, **origin} for row in MEASURE[name](options.quick)]
            write_json_lines(path, [*(line for line in lines if line["series"] != name), *found])
    lines = read_json_lines(path)
    page.draw(lines, options.picture)
    print(page.page(lines))


def _same(line: dict, origin: dict) -> bool:
    """Whether a line comes from the same code on the same device; a commit is dirty also by this file."""
    return all(
        str(line[name]).removesuffix("-dirty") == str(origin[name]).removesuffix("-dirty")
        for name in ("commit", "device", "quick")
    )


if __name__ == "__main__":
    main(tyro.cli(Options))
