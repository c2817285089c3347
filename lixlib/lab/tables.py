"""Result lines as Markdown tables, and as plain text for a terminal."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import mean, stdev

from lixlib.core.text import signed
from lixlib.lab.record import Record
from lixlib.lab.results import Runs, gains, gap_closed, scored
from lixlib.lab.statistics import Comparison, Paired, compare_with, verdict
from lixlib.metrics import METRICS

ABSENT = "–"
Columns = Mapping[str, Callable[[str], str]]  # by the head of a column, its cell in the row of a name


def markdown(
    rows: Iterable[str],
    columns: Columns,
    *,
    corner: str = " ",
    words: Sequence[str] = (),
    label: Callable[[str], str] = str,
) -> str:
    """A Markdown table: what every column says of every row; columns of `words` are flush left, numbers flush right.

    Args:
        label: how the name of a row is written.
    """
    rule = "".join("---|" if head in words else "---:|" for head in columns)
    text = [f"|{corner}| {' | '.join(columns)} |", f"|---|{rule}"]
    cells = ((label(name), *(cell(name) for cell in columns.values())) for name in rows)
    return "\n".join([*text, *(f"| {' | '.join(each)} |" for each in cells)])


def bold(text: str, wanted: bool) -> str:
    return f"**{text}**" if wanted else text


def score_cell(lines: Mapping[int, Record], metric: str = "mIoU") -> str:
    """Mean and standard deviation of a score in %; a dash without runs, and a word where all of them diverged."""
    values = [100 * value for value in scored(lines, metric).values()]
    if not values:
        return "diverged" if lines else ABSENT
    return f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")


def seeds_cell(lines: Mapping[int, Record]) -> str:
    """How many seeds, and how many of them gave no score."""
    lost = len(lines) - len(scored(lines))
    return f"{len(lines)}, {lost} diverged" if lost else str(len(lines) or ABSENT)


def interval(test: Paired | Comparison | None) -> str:
    """An interval in points, e.g. "+0.5 to +1.2"; a dash where one seed, or none, says nothing about scatter."""
    return ABSENT if test is None or math.isnan(test.interval[0]) else " to ".join(map(signed, test.interval))


def metric_table(
    teacher: Mapping,
    student: Mapping,
    distilled: Mapping,
    name: str = "distilled student",
    *,
    without_x: Mapping | None = None,
) -> str:
    """The four metrics of the runs as a Markdown table: in %, the gain in points, the share of the gap closed.

    Args:
        teacher, student, distilled: `metrics` of a result line, in [0, 1].
        name: of the distilled run.
        without_x: those of a student who was distilled in the same way by a teacher that sees RGB alone. The X gain is
            what the distilled student has more than that one.
    """
    shares = [gap_closed(teacher[key], student[key], distilled[key]) for key in METRICS]
    rows = {
        "teacher (RGB + X)": _percent(teacher),
        "student (RGB)": _percent(student),
        **({f"{name}, taught by RGB alone (RGB)": _percent(without_x)} if without_x else {}),
        f"**{name} (RGB)**": [f"**{score}**" for score in _percent(distilled)],
        "gain over the student, points": _points(distilled, student),
        **({"X gain, points": _points(distilled, without_x)} if without_x else {}),
        "share of the gap closed": ["no gap" if share is None else f"{round(100 * share)} %" for share in shares],
    }
    lines = [f"| | {' | '.join(METRICS)} |", "|---|" + "---:|" * len(METRICS)]
    return "\n".join([*lines, *(f"| {title} | {' | '.join(values)} |" for title, values in rows.items())])


def _percent(metrics: Mapping) -> list[str]:
    return [f"{100 * metrics[key]:.1f}" for key in METRICS]


def _points(metrics: Mapping, others: Mapping) -> list[str]:
    return [signed(100 * (metrics[key] - others[key])) for key in METRICS]


def gain_table(
    runs: Runs, rival: str, variants: Sequence[str] | None = None, *, metric: str = "mIoU", corner: str = ""
) -> str:
    """Variants against one of them as a Markdown table: score, gain paired by seed, 95 % interval, verdict.

    The interval is that of the pooled test where a variant has all seeds of the rival, else of the variant's own; a
    verdict is corrected for all variants of the table (`lixlib.lab.statistics`). A dash stands for what is missing.

    Args:
        variants: the rows; where not given, all of `runs`. The teacher and the student alone get no verdict.
        corner: what stands above the names of the rows.
    """
    rows = list(runs if variants is None else variants)
    there = {name: runs[name] for name in runs if runs[name] and name in (*rows, rival)}
    found = compare_with(there, rival, metric) if rival in there else {}

    def said(name: str) -> str:
        word = "" if name in (rival, "teacher", "student") else verdict(found.get(name))
        return bold(word, word in ("better", "worse"))

    columns = {
        f"{metric}, %": lambda name: score_cell(runs.get(name, {}), metric),
        "seeds": lambda name: seeds_cell(runs.get(name, {})),
        f"minus {rival}": lambda name: signed(found[name].own.mean) if name in found else ABSENT,
        "95 % interval": lambda name: interval(found.get(name)),
        "verdict": said,
    }
    return markdown(rows, columns, corner=f" {corner} ", words=["verdict"])


def over_seeds(named: Iterable[tuple[str, Record]]) -> str:
    """Runs over their seeds, as plain text: a block for each data set and network, a row for each name.

    A row has the mean ± standard deviation of every metric in %, and the gain in mIoU over the student alone in points,
    paired by seed. A dash stands for what is missing. The text is empty where every name has one seed, and where runs
    differ in more than data set, network, name and seed.

    Args:
        named: what a run is called, its method or a variant, and its line.
    """
    found: dict[tuple[str, str], dict[str, dict[int, Record]]] = {}
    named = list(named)
    for name, line in named:
        found.setdefault((line["dataset"], line["network"]), {}).setdefault(name, {})[line["seed"]] = line
    all_seeds = [seeds for block in found.values() for seeds in block.values()]
    if sum(map(len, all_seeds)) < len(named) or max(map(len, all_seeds), default=0) < 2:
        return ""
    return "\n\n".join(_over_seeds(f"{dataset} {network}", block) for (dataset, network), block in found.items())


def _over_seeds(name: str, runs: Runs) -> str:
    rows = [[name, *METRICS, "seeds", "gain in mIoU"]]
    for method, seeds in runs.items():
        values = [[line["metrics"][metric] for line in seeds.values()] for metric in METRICS]
        scores = [_spread([100 * value for value in each if value is not None], ".2f") for each in values]
        gain = gains(runs, method) if method not in ("teacher", "student") else {}
        rows.append([method, *scores, str(len(seeds)), _spread(list(gain.values()), "+.2f")])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    cells = [[text.rjust(width) for text, width in zip(row, widths, strict=True)] for row in rows]
    return "\n".join("  ".join([row[0].ljust(widths[0]), *padded[1:]]) for row, padded in zip(rows, cells, strict=True))


def _spread(values: Sequence[float], form: str) -> str:
    if not values:
        return "–"
    middle = f"{round(mean(values), 2) + 0.0:{form}}"  # + 0.0: never "-0.00"
    return middle + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")
