"""The experiment "reversal" (results/protocol.md, E5): does more weight on the non-target classes win in the long run?

Every arm was trained at several lengths, each time by a teacher as long. Arms of one length and seed share their
teacher; so a difference is taken within a length, where what a seed and its teacher add cancels.
"""

import math
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import scipy  # its parts are loaded at their first use, which takes most of a second

from lixlib.lab import main_table
from lixlib.lab.evidence import EVIDENCE
from lixlib.lab.record import Record
from lixlib.lab.results import Runs, scored
from lixlib.lab.statistics import Paired, block, differ

# by arm, by updates: the name that the experiment gives them
CELLS: dict[str, dict[int, str]] = {}
for _name in EVIDENCE["reversal"].variants:
    _arm, _updates = _name.removesuffix(" updates").rsplit(", ", 1)
    CELLS.setdefault(_arm, {})[int(_updates)] = _name
LENGTHS = tuple(CELLS["student"])
# The contrast of the paper's claim: the same loss with a larger constant, minus the constant of 1
HEAVIER = {"DKD 5.5": 0.5, "DKD 10": 0.5, "DKD 1": -1.0}


def read(folder: Path | str) -> Runs:
    """The lines of the experiment by the names in `CELLS` and by seed; names without lines where there are none."""
    return main_table.read("reversal", folder)


def score(line: Record, classes: Collection[str] = ()) -> float:
    """The mean IoU of some classes, in %; of none that are named the mIoU. A class that never occurs is left out.

    NaN of a run that diverged.
    """
    found = [line["per_class"][name][0] for name in classes] if classes else [line["metrics"]["mIoU"]]
    known = [iou for iou in found if iou is not None]
    return 100 * float(np.mean(known)) if known else math.nan


def contrast(runs: Runs, coefficients: Mapping[str, float], classes: Collection[str] = ()) -> Paired | None:
    """A weighted sum of scores, with the scatter that all arms share once arm, seed and length are taken off.

    Unlike `lixlib.lab.statistics.contrast` it lets a seed add another amount at each length. At each length it uses the
    seeds with which all of its arms have a score; `n` is the smallest number of them. None where there is no such seed.

    Args:
        coefficients: by names of `CELLS`; those of one length add up to 0.
        classes: whose mean IoU is the score; none: all, which is mIoU.

    Raises:
        ValueError: coefficients of a length whose sum is not 0.
    """
    mean, share, numbers = 0.0, 0.0, []
    for updates in LENGTHS:
        part = {by[updates]: coefficients[by[updates]] for by in CELLS.values() if by[updates] in coefficients}
        if abs(total := sum(part.values())) > 1e-9:
            raise ValueError(f"the coefficients of a length add up to 0, those of {updates} updates to {total:g}")
        if part:
            lines = {name: runs.get(name, {}) for name in part}
            seeds = set.intersection(*(set(scored(each)) for each in lines.values()))
            if not seeds:
                return None
            numbers.append(len(seeds))
            mean += sum(part[name] * float(np.mean([score(lines[name][s], classes) for s in seeds])) for name in part)
            share += sum(weight**2 for weight in part.values()) / len(seeds)
    n = min(numbers)
    deviation, freedom = _scatter(runs, classes)
    if not freedom:
        return Paired(n, mean, math.nan, math.nan, (math.nan, math.nan))
    error = deviation * math.sqrt(share)
    p = float(2 * scipy.stats.t.sf(abs(mean) / error, freedom)) if error else float(mean == 0)
    half = float(scipy.stats.t.ppf(0.975, freedom)) * error
    return Paired(n, mean, error * math.sqrt(n), p, (mean - half, mean + half))


def _scatter(runs: Runs, classes: Collection[str]) -> tuple[float, int]:
    """The standard deviation of one score, of the largest complete block of each length, and its degrees of freedom."""
    freedom, squares = 0, 0.0
    for updates in LENGTHS:
        there = {by[updates]: runs[by[updates]] for by in CELLS.values() if runs.get(by[updates])}
        scores, names = block(there)
        seeds = sorted({seed for lines in there.values() for seed in lines})[: scores.shape[1]]
        luck = differ([[score(there[name][seed], classes) for seed in seeds] for name in names] or [[0.0]])
        if luck.freedom:
            freedom += luck.freedom
            squares += luck.freedom * luck.deviation**2
    return (math.sqrt(squares / freedom) if freedom else math.nan), freedom


def at(runs: Runs, arms: Mapping[str, float], updates: int, classes: Collection[str] = ()) -> Paired | None:
    """A contrast of arms, e.g. `HEAVIER`, at one length."""
    return contrast(runs, {CELLS[arm][updates]: weight for arm, weight in arms.items()}, classes)


def slope(runs: Runs, arms: Mapping[str, float], classes: Collection[str] = ()) -> Paired | None:
    """By how many points a contrast of arms changes with every doubling of the length: least squares over log2."""
    x = np.log2(LENGTHS) - np.mean(np.log2(LENGTHS))
    steps = dict(zip(LENGTHS, x / (x @ x), strict=True))
    cells = {CELLS[arm][updates]: weight * steps[updates] for arm, weight in arms.items() for updates in LENGTHS}
    return contrast(runs, {name: weight for name, weight in cells.items() if weight}, classes)


def minus(arm: str, other: str) -> dict[str, float]:
    """The contrast of two arms."""
    return {arm: 1.0, other: -1.0}


def written(test: Paired | None, digits: int = 1) -> str:
    """A contrast in words: its mean and interval in points."""
    if test is None:
        return "not run yet"
    mean, low, high = (f"{round(points, digits) + 0.0:+.{digits}f}" for points in (test.mean, *test.interval))
    return f"{mean} (one seed)" if math.isnan(test.p) else f"{mean} ({low} to {high})"


def conclusion(runs: Runs, arms: Mapping[str, float] = HEAVIER) -> str:
    """What the experiment says of its question, in the words that the intervals allow."""
    first, last, trend = at(runs, arms, LENGTHS[0]), at(runs, arms, LENGTHS[-1]), slope(runs, arms)
    if first is None or last is None or trend is None:
        return "Not all of the arms that this sentence needs have been run yet."
    said = f"More weight minus less: {written(first)} points after {LENGTHS[0]} updates, {written(last)} after "
    said += f"{LENGTHS[-1]}, and {written(trend, 2)} with every doubling. "
    if math.isnan(trend.p):
        return said + "One seed says nothing about luck, so nothing is concluded."
    turned = first.interval[1] < 0 < last.interval[0]
    if trend.interval[0] > 0:
        found = "more weight gains on less weight as training gets longer"
        ends = ", and **the sign turns** within these lengths" if turned else "; the sign is not shown to turn here"
        return f"{said}So **{found}**{ends}."
    if trend.interval[1] < 0:
        return f"{said}So **more weight loses ground as training gets longer**: the reverse of the claim."
    return f"{said}The interval of the slope holds 0: **no change with the length is shown**, in either direction."
