"""What chapter 14 asks of the experiments: what X adds to a gain, how sure that is, and what it takes."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, median
from typing import NamedTuple

from lixlib.core.files import as_name
from lixlib.core.text import signed
from lixlib.lab.contrasts import Gain
from lixlib.lab.evidence import EVIDENCE
from lixlib.lab.experiments import recipes
from lixlib.lab.inputs import Inputs
from lixlib.lab.main_table import OF_RGB, gain_columns, over_images, rows, x_gains
from lixlib.lab.record import identity, read_lines, result_header
from lixlib.lab.results import Runs, class_gains, scored
from lixlib.lab.tables import ABSENT, bold, interval, markdown, score_cell

SECOND, OF_X = "a second network", "its X"  # the two parts of a gain


class Length(NamedTuple):
    """Students of one length: updates, computation in updates of a student alone, and their scores in %, one a seed."""

    updates: int
    computation: float
    scores: list[float]


class _Unread(Inputs):
    """Data that nobody opens: their digest is not known."""

    digest = None


def read_without_data(experiment: str, folder: Path | str) -> Runs:
    """The lines of an experiment by arm and seed, also where its files are not on this machine.

    `lixlib.lab.main_table.read` looks for lines of the data that are there. Without them a recipe has the newest line
    that agrees in all else. Arms without lines where there is no such folder.
    """
    seeds = EVIDENCE[experiment].seeds
    asked = {name: dict(by_seed) for name, by_seed in recipes(experiment, seeds).items()}
    told = {(recipe.dataset, recipe.network) for by_seed in asked.values() for recipe in by_seed.values()}
    paths = [Path(folder) / dataset / f"{as_name(network)}.jsonl" for dataset, network in told]
    lines = [line for path in paths if path.exists() for line in read_lines(path)]
    found = {identity({**line, "data_digest": None}): line for line in lines}
    keys = {
        name: {seed: identity({**result_header(_Unread(recipe)), "data_digest": None}) for seed, recipe in each.items()}
        for name, each in asked.items()
    }
    return {name: {s: found[key] for s, key in each.items() if key in found} for name, each in keys.items()}


def gain_table(runs: Runs, control: str, folder: Path | str, draws: int = 2000) -> str:
    """All arms as Markdown: mIoU, gain over one arm with both intervals, gap closed. A dash: not run, or not known.

    The interval over seeds is Dunnett's, and a gain is bold where that does not contain 0.

    Args:
        runs: as `lixlib.lab.main_table.complete` returns them.
        folder: that the lines were read from.
    """
    wide = {"over seeds and images": lambda name: _wide(over_images(runs, name, control, folder, draws))}
    return markdown(rows(runs), gain_columns(runs, control, "over seeds", wide))


def x_table(taught: Runs, folder: Path | str, draws: int = 2000) -> str:
    """Every method of "is-it-x" as Markdown: by either teacher, the X gain with both intervals, and p after Holm.

    An X gain is bold where p is below 5 %. A dash stands for what was not run.

    Args:
        taught: with the arms that have no lines, so that the table names them.
    """
    heads = ["taught with X", "taught without X", "seeds", "X gain", "over seeds", "over seeds and images", "p, Holm"]
    text, found = [f"| | {' | '.join(heads)} |", "|---|" + "---:|" * len(heads)], x_gains(taught)
    for name in (name for name in taught if name + OF_RGB in taught):
        cells = [score_cell(taught[each]) for each in (name, name + OF_RGB)]
        if name in found:
            test, p = found[name]
            gain = signed(test.mean)
            wide = over_images(taught, name, name + OF_RGB, folder, draws)
            sure = ABSENT if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"
            cells += [str(test.n), bold(gain, p < 0.05), interval(test), _wide(wide), sure]
        else:
            cells += [ABSENT] * 5
        text.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(text)


def parts_of_gain(
    taught: Runs, arm: str, control: str = "student", classes: Sequence[str] | None = None
) -> dict[str, float]:
    """What a second network adds to a student, and what the X of that network adds on top; in points of IoU.

    A part is NaN where one of its arms has no score.

    Args:
        classes: whose mean it is; None: all.
    """
    steps = {SECOND: (arm + OF_RGB, control), OF_X: (arm, arm + OF_RGB)}
    each = {part: class_gains(taught, ours, against=theirs) for part, (ours, theirs) in steps.items()}
    kept = {part: [v for name, v in own.items() if classes is None or name in classes] for part, own in each.items()}
    return {part: mean(values) if values else math.nan for part, values in kept.items()}


def lengths(runs: Runs, cost: Mapping[str, float]) -> dict[str, list[Length]]:
    """The students of the experiment "length" by method, the shortest first; a run that diverged has no score.

    The computation is that of all updates of the student and, where it has one, of the teacher that trained as long:
    the time of a method's step as measured, the teacher's by what teacher and student took in these runs.

    Args:
        cost: as `lixlib.lab.main_table.costs` returns it; a method that is not in it costs NaN.
    """
    pairs = []
    for name, lines in runs.items():
        alone = runs.get(name.replace("teacher", "student"), {}) if name.startswith("teacher, ") else {}
        pairs += [(line["seconds"], alone[seed]["seconds"]) for seed, line in lines.items() if seed in alone]
    teacher = median(taught / alone for taught, alone in pairs) if pairs else math.nan
    found: dict[str, list[Length]] = {}
    for name, lines in runs.items():
        method = name.rpartition(", ")[0]
        scores = [100 * value for value in scored(lines).values()]
        if scores and method != "teacher":
            updates = next(iter(lines.values()))["updates"]
            step = 1.0 if method == "student" else cost.get(method, math.nan) + teacher
            found.setdefault(method, []).append(Length(updates, step * updates, scores))
    return {method: sorted(each) for method, each in found.items()}


def _wide(gain: Gain | None) -> str:
    return " to ".join(map(signed, gain.interval)) if gain else ABSENT
