"""The recommendation that chapter 10 and README.md show, made of the main table."""

import math
from collections.abc import Mapping, Sequence
from statistics import mean

from lixlib.core.text import signed
from lixlib.lab.evidence import SAME_COMPUTE
from lixlib.lab.main_table import (
    XGain,
    against,
    control_of,
    cost_of,
    interval,
    listed,
    methods,
    ranked,
    split,
    told_apart,
)
from lixlib.lab.regime import RARE
from lixlib.lab.results import Runs, gains
from lixlib.lab.statistics import paired

NOTHING = "The main table has not been run yet: `lix experiment main --results results/evidence` makes it."


def recommendation(
    runs: Runs,
    *,
    former: Runs | None = None,
    x_gain: Mapping[str, XGain] | None = None,
    cost: Mapping[str, float] | None = None,
) -> str:
    """What to do with labels alone, with recordings, with rare classes, and what to leave, as a Markdown table.

    Args:
        runs: of the main table, as `lixlib.lab.main_table.complete` returns them.
        former: those of the former regime, whose cross-entropy had no weights of classes.
        x_gain, cost: as in `lixlib.lab.main_table.table`.
    """
    if not methods(runs) or not runs.get("student"):
        return NOTHING
    rows = {
        "labels alone": _labels_alone(runs),
        "recordings of RGB and X, too": _recordings(runs, x_gain or {}, cost or {}),
        "rare classes that matter": _rare(runs, former),
        "little time: leave": _leave(runs),
    }
    text = ["| you have | what we recommend |", "|---|---|"]
    return "\n".join([*text, *(f"| **{case}** | {said} |" for case, said in rows.items())])


def _labels_alone(runs: Runs) -> str:
    longer = list(gains(runs, SAME_COMPUTE).values())
    if not longer:
        return "Train until it stops paying. The student that trains four times as long has not been run yet."
    test = paired(longer)
    told = f"four times the updates change mIoU by {signed(test.mean)} points ({interval(test)}), without a teacher."
    return f"{'Train longer first' if test.mean > 0 else 'Longer is not better here'}: {told}"


def _recordings(runs: Runs, x_gain: Mapping[str, XGain], cost: Mapping[str, float]) -> str:
    control, order = control_of(runs), ranked(runs)
    best = order[0]
    over, rivals = against(runs, control).get(best), against(runs, best)
    if over is None or math.isnan(over.p):
        return f"**{best}** is ahead, but one seed says nothing about luck."
    if not told_apart(over) or over.mean < 0:
        return f"Train longer first: no method is better than *{control}* beyond luck."
    said = f"**{best}**: {signed(over.mean)} points over *{control}* ({interval(over)})."
    level = [name for name in order if name in rivals and not told_apart(rivals[name])]
    if level:
        said += f" Not told apart from it: {listed(level)}."
    priced = {name: price for name in (best, *level) if (price := cost_of(runs, name, cost))}
    if len(priced) > 1:
        cheapest = min(priced, key=priced.__getitem__)
        said += f" The cheapest step of these is that of *{cheapest}*: {priced[cheapest]:.1f} of a student's."
    if best not in x_gain:
        return f"{said} How much of it comes from X has not been measured yet."
    test, p = x_gain[best]
    sure = "" if p < 0.05 else "; not told apart from 0"
    return f"{said} The X of its teacher is worth {signed(test.mean)} points ({interval(test)}{sure})."


def _rare(runs: Runs, former: Runs | None) -> str:
    said = "Weigh the classes in the cross-entropy first"
    now, before = (_iou(each or {}, RARE) for each in (runs, former))
    if not math.isnan(now) and not math.isnan(before):
        said += f": a student alone has an IoU of {now:.0f} % on them, and had {before:.0f} % in the former regime"
    control = control_of(runs)
    parts = {name: split(runs, name, control) for name in methods(runs) if gains(runs, name, against=control)}
    parts = {name: part for name, part in parts.items() if not math.isnan(part[1])}
    if not parts:
        return f"{said}."
    best = max(parts, key=lambda name: parts[name][1])
    common, rare = map(signed, parts[best])
    return f"{said}. Then **{best}**: {rare} points on rare classes over *{control}*, {common} on common ones."


def _leave(runs: Runs) -> str:
    control = control_of(runs)
    tests = {name: test for name, test in against(runs, control).items() if not math.isnan(test.p)}
    if not tests:
        return "Not known yet: it takes two seeds."
    worse = [name for name, test in tests.items() if told_apart(test) and test.mean < 0]
    level = [name for name, test in tests.items() if not told_apart(test)]
    said = [f"worse than *{control}*: {listed(worse)}"] if worse else []
    said += [f"not told apart from *{control}*, who needs no teacher: {listed(level)}"] if level else []
    text = "; ".join(said) or f"none: all methods are better than *{control}*"
    return f"{text[0].upper()}{text[1:]}."


def _iou(runs: Runs, classes: Sequence[str]) -> float:
    """Mean IoU of some classes of the student alone, in %."""
    lines = runs.get("student", {}).values()
    values = [
        100 * (line["per_class"][name][0] or 0)
        for line in lines
        for name in classes
        if name in line.get("per_class", {})
    ]
    return mean(values) if values else math.nan
