"""Scores as tables."""

import math
from collections.abc import Collection, Mapping, Sequence
from html import escape
from statistics import mean, stdev

from lixlib.lab.results import METRICS, Runs, gap_closed
from lixlib.lab.statistics import compare_with, verdict
from lixlib.plots.base import signed


def metric_table(teacher: Mapping, student: Mapping, distilled: Mapping, name: str = "distilled student") -> str:
    """The four metrics of three runs as a Markdown table: in %, the gain in points, the share of the gap closed.

    Args:
        teacher, student, distilled: `metrics` of a result line, in [0, 1].
        name: of the distilled run.
    """
    shares = [gap_closed(teacher[key], student[key], distilled[key]) for key in METRICS]
    rows = {
        "teacher (RGB + X)": [f"{100 * teacher[key]:.1f}" for key in METRICS],
        "student (RGB)": [f"{100 * student[key]:.1f}" for key in METRICS],
        f"**{name} (RGB)**": [f"**{100 * distilled[key]:.1f}**" for key in METRICS],
        "gain over the student, points": [signed(100 * (distilled[key] - student[key])) for key in METRICS],
        "share of the gap closed": ["no gap" if share is None else f"{round(100 * share)} %" for share in shares],
    }
    lines = [f"| | {' | '.join(METRICS)} |", "|---|" + "---:|" * len(METRICS)]
    return "\n".join([*lines, *(f"| {title} | {' | '.join(values)} |" for title, values in rows.items())])


def score_table(
    groups: Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]],
    *,
    columns: Sequence[str] = METRICS,
    unranked: Collection[str] = (),
    corner: str = "",
    seeds: bool = True,
) -> str:
    """Scores over seeds as an HTML table: mean ± standard deviation, a column's best bold, its second underlined.

    Args:
        groups: the values of every column, one a seed, by column, by row, by group of rows; a dash stands for what
            is missing.
        columns: those that are shown, and their order.
        unranked: groups whose rows are neither best nor second.
        corner: what stands above the names of the groups.
        seeds: whether a last column counts them.
    """
    middles = {
        (group, row, column): mean(values)
        for group, rows in groups.items()
        for row, cells in rows.items()
        for column, values in cells.items()
        if len(values)
    }
    marks = {}
    for column in columns:
        ranked = sorted((k for k in middles if k[2] == column and k[0] not in unranked), key=middles.get, reverse=True)
        marks |= dict(zip(ranked[:2], ("<b>{}</b>", "<u>{}</u>"), strict=False))

    def cell(group: str, row: str, column: str) -> str:
        values = groups[group][row].get(column, ())
        if not len(values):
            return "–"
        spread = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
        return marks.get((group, row, column), "{}").format(f"{mean(values):.2f}") + spread

    lines = [_row("th", [corner, "", *columns, *["seeds"] * seeds])]
    for group, rows in groups.items():
        for place, (row, cells) in enumerate(rows.items()):
            first = [escape(group) if not place else "", escape(row)]
            count = str(max((len(values) for values in cells.values()), default=0) or "–")
            lines.append(_row("td", [*first, *(cell(group, row, column) for column in columns), *[count] * seeds]))
    return "\n".join(["<table>", *lines, "</table>"])


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
    lines = [
        f"| {corner} | {metric}, % | seeds | minus {rival} | 95 % interval | verdict |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for name in rows:
        values = [100 * line["metrics"][metric] for line in runs.get(name, {}).values()]
        score = f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "") if values else "–"
        test = found.get(name)
        low, high = test.interval if test else (math.nan, math.nan)
        interval = "–" if math.isnan(low) else f"{signed(low)} to {signed(high)}"
        said = "" if name in (rival, "teacher", "student") else verdict(test)
        said = f"**{said}**" if said in ("better", "worse") else said
        cells = [name, score, str(len(values) or "–"), signed(test.own.mean) if test else "–", interval, said]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _row(tag: str, cells: Sequence[str]) -> str:
    aligned = [f'<{tag} style="text-align: {"left" if i < 2 else "right"}">{c}</{tag}>' for i, c in enumerate(cells)]
    return f"<tr>{''.join(aligned)}</tr>"
