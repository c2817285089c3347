"""The main table (results/protocol.md): every arm with its gain, its classes, its cost, and who is first."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from lixlib.core.text import signed
from lixlib.lab import experiments
from lixlib.lab.contrasts import Gain, bootstrap_gain, dunnett, stacked
from lixlib.lab.evidence import EVIDENCE, SAME_COMPUTE
from lixlib.lab.record import Record
from lixlib.lab.regime import RARE
from lixlib.lab.results import Runs, class_gains, gains, scored, shares, title
from lixlib.lab.statistics import Paired, block, contrast, holm, paired
from lixlib.lab.tables import ABSENT, Columns, bold, interval, markdown, score_cell, seeds_cell

OURS = "LIX, ours"
TEACHERS = ("teacher", "RGB teacher")
BASELINES = (*TEACHERS, "student", SAME_COMPUTE)
OF_RGB = ", RGB teacher"  # how the arms of "is-it-x" end whose teacher saw RGB alone


class XGain(NamedTuple):
    """What a method taught by RGB and X has more than the same method taught by RGB alone; `p` is corrected by Holm."""

    test: Paired
    p: float


def read(experiment: str, folder: Path | str) -> Runs:
    """The lines of an experiment of the protocol by arm and seed; arms without lines where there is no such folder."""
    if not Path(folder).exists():
        return {name: {} for name in EVIDENCE[experiment].variants}
    return experiments.read(experiment, folder, EVIDENCE[experiment].seeds)


def complete(runs: Runs) -> Runs:
    """The arms with a line, with the seeds of the largest complete block (`lixlib.lab.statistics.block`).

    While an experiment runs, some arms have fewer seeds than the block: they keep those, and are in no test. Nor is an
    arm with a run that diverged, which has no score: it keeps that run, for its row.
    """
    there = {name: lines for name, lines in runs.items() if lines}
    seeds = sorted({seed for lines in there.values() for seed in lines})[: block(there)[0].shape[1]]
    kept = {name: {seed: lines[seed] for seed in seeds if seed in lines} for name, lines in there.items()}
    return {name: lines for name, lines in kept.items() if lines}


def by_title(runs: Runs) -> Runs:
    """Runs by the titles of their methods in place of the methods' names."""
    return {title(next(iter(lines.values()))): lines for lines in runs.values() if lines}


def missing(runs: Runs) -> list[str]:
    """The arms that have no line yet."""
    return [name for name, lines in runs.items() if not lines]


def methods(runs: Runs) -> list[str]:
    """What competes: the arms with a score but for teachers and students alone."""
    return [name for name, lines in runs.items() if scored(lines) and name not in BASELINES]


def control_of(runs: Runs) -> str:
    """What gains are measured against: the student with the computation of all, if there is one."""
    return SAME_COMPUTE if scored(runs.get(SAME_COMPUTE, {})) else "student"


def score(runs: Runs, arm: str) -> float:
    """Mean mIoU of an arm over the seeds that have one, in %."""
    return mean(100 * value for value in scored(runs[arm]).values())


def ranked(runs: Runs) -> list[str]:
    """The methods by their mean mIoU, the best first."""
    return sorted(methods(runs), key=lambda name: -score(runs, name))


def against(runs: Runs, control: str) -> dict[str, Paired]:
    """Dunnett's test of all methods against one arm, with the scatter that all arms of the complete block share.

    Without the control's runs, and for a method that lacks a seed, there is none.
    """
    scores, names = block(runs)
    family = [name for name in methods(runs) if name != control]
    return dunnett(dict(zip(names, scores, strict=True)), control, family) if control in names else {}


def unlike(runs: Runs, control: str) -> dict[str, Paired]:
    """The methods whose gain scatters more than twice as much as the shared scatter says: each with its own test."""
    tests = against(runs, control)
    own = {name: paired(list(gains(runs, name, against=control).values())) for name in tests}
    return {name: test for name, test in own.items() if test.deviation > 2 * tests[name].deviation}


def over_images(runs: Runs, arm: str, control: str, root: Path | str, draws: int = 2000) -> Gain | None:
    """The gain of an arm over another, with the bootstrap over seeds and images; None where it cannot be known.

    It takes two seeds that both have, and the confusion matrices of their images.

    Args:
        root: the folder that the lines were read from.
    """
    seeds = sorted(gains(runs, arm, against=control))
    if arm == control or len(seeds) < 2:
        return None
    try:
        pair = [stacked([runs[name][seed] for seed in seeds], root) for name in (arm, control)]
    except FileNotFoundError:
        return None
    return bootstrap_gain(*pair, draws=draws)


def split(runs: Runs, arm: str, control: str, rare: Sequence[str] = RARE) -> tuple[float, float]:
    """The mean gain in IoU of the common and of the rare classes, in points; NaN where there are none."""
    by_class = class_gains(runs, arm, against=control)
    groups = ([v for name, v in by_class.items() if (name in rare) == wanted] for wanted in (False, True))
    common, uncommon = (mean(group) if group else math.nan for group in groups)
    return common, uncommon


def x_gains(runs: Runs) -> dict[str, XGain]:
    """The X gain of every method of "is-it-x" that was taught by either teacher, with the scatter that all arms share.

    Args:
        runs: of that experiment; arms outside of its complete block are left out.
    """
    scores, names = block({name: lines for name, lines in runs.items() if lines})
    by_name = dict(zip(names, scores, strict=True))
    found = {name: contrast(by_name, {name: 1.0, name + OF_RGB: -1.0}) for name in by_name if name + OF_RGB in by_name}
    corrected = holm({name: test.p for name, test in found.items()})
    return {name: XGain(test, corrected[name]) for name, test in found.items()}


def costs(lines: Iterable[Record]) -> dict[str, float]:
    """The time of a step over that of the student alone, by the title of the method in the form that was measured."""
    return {title(line): line["time_ratio"] for line in lines}


def cost_of(runs: Runs, arm: str, cost: Mapping[str, float]) -> float | None:
    """The cost of an arm whose method was measured in the same form; None if it was not."""
    return cost.get(title(next(iter(runs[arm].values()))))


def table(runs: Runs, x_gain: Mapping[str, XGain] | None = None, cost: Mapping[str, float] | None = None) -> str:
    """The main table as Markdown: a row for each arm with a line, first the baselines, then the methods by mIoU, and
    last those that always diverged.

    The interval of a gain is Dunnett's; where it does not contain 0 the gain is bold. A dash stands for what was not
    run or not measured.

    Args:
        runs: as `complete` returns them.
        x_gain: as `x_gains` returns them.
        cost: as `costs` returns them.
    """
    control = control_of(runs)
    x_gain, cost = x_gain or {}, cost or {}

    def of_classes(name: str) -> list[str]:
        if name == control or not gains(runs, name, against=control):
            return [ABSENT] * 2
        return [ABSENT if math.isnan(part) else signed(part) for part in split(runs, name, control)]

    def time(name: str) -> str:
        ratio = cost_of(runs, name, cost) if name not in TEACHERS else None
        return f"{ratio:.1f}" if ratio else ABSENT

    def of_x(name: str) -> str:
        test, p = x_gain.get(name, (None, math.nan))
        return bold(f"{signed(test.mean)} ({interval(test)})", p < 0.05) if test else ABSENT

    classes = {"common classes": lambda name: of_classes(name)[0], "rare classes": lambda name: of_classes(name)[1]}
    columns = {**gain_columns(runs, control, "95 % interval", classes), "time of a step": time, "X gain": of_x}
    return markdown(rows(runs), columns, label=lambda name: bold(name, name == OURS))


def gain_columns(runs: Runs, control: str, sure: str, after: Columns) -> Columns:
    """What tables of arms have in common: score, gain over one arm, in bold where it is beyond luck, and gap closed.

    Args:
        sure: the head of the interval of the gain, which is Dunnett's.
        after: the columns after it.
    """
    tests = against(runs, control)

    def gain(name: str) -> str:
        by_seed = gains(runs, name, against=control) if name != control else {}
        return bold(signed(mean(by_seed.values())), told_apart(tests.get(name))) if by_seed else ABSENT

    def gap(name: str) -> str:
        closed = [share for share in shares(runs, name).values() if share is not None]
        return f"{round(100 * mean(closed))} %" if closed and name not in (*TEACHERS, "student") else ABSENT

    score = {"mIoU, %": lambda name: score_cell(runs[name]), "seeds": lambda name: seeds_cell(runs[name])}
    gained = {f"gain over {control}": gain, sure: lambda name: interval(tests.get(name))}
    return {**score, **gained, **after, "gap closed": gap}


def rows(runs: Runs) -> list[str]:
    """The arms with a line in the order of a table: the baselines, the methods by mIoU, and those that diverged."""
    order = [*(name for name in BASELINES if runs.get(name)), *ranked(runs)]
    return [*order, *(name for name, lines in runs.items() if lines and name not in order)]


def told_apart(test: Paired | None) -> bool:
    return test is not None and test.p < 0.05


def first(runs: Runs) -> str:
    """Who is first, and whether that is more than luck: a sentence or three, with the test that was declared."""
    order = ranked(runs)
    if not order:
        return "No method has been run yet."
    if len(order) < 2:
        return f"*{order[0]}* is the only method that has been run yet."
    best, second = order[:2]
    said = f"**{best}** has the highest mean: {score(runs, best):.1f} %, and *{second}* {score(runs, second):.1f} %."
    if OURS not in order:
        return f"{said} *{OURS}* has not been run yet."
    if best != OURS:
        said += f" *{OURS}* has place {order.index(OURS) + 1} of {len(order)}."
    tests = against(runs, OURS)
    if not tests or any(math.isnan(test.p) for test in tests.values()):
        return f"{said} With one seed, nothing can be said about luck."
    rivals = {
        "better than": [name for name, test in tests.items() if told_apart(test) and test.mean < 0],
        "worse than": [name for name, test in tests.items() if told_apart(test) and test.mean > 0],
        "not told apart from": [name for name, test in tests.items() if not told_apart(test)],
    }
    told = "; ".join(f"{words} {listed(names)}" for words, names in rivals.items() if names)
    return f"{said} By Dunnett's test, *{OURS}* is {told}."


def listed(names: Sequence[str]) -> str:
    """Names in a sentence; in italics, as some have a comma."""
    return ", ".join(f"*{name}*" for name in names)
