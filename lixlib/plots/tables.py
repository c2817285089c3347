"""Scores as an HTML table."""

from collections.abc import Collection, Mapping, Sequence
from html import escape
from statistics import mean, stdev

from lixlib.metrics import METRICS


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
        groups: the values of every column, one for each seed, by column, by row, by group of rows; a dash stands
            for what is missing.
        columns: those that are shown, and their order.
        unranked: groups whose rows are neither best nor second.
        corner: the heading above the names of the groups.
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


def _row(tag: str, cells: Sequence[str]) -> str:
    aligned = [f'<{tag} style="text-align: {"left" if i < 2 else "right"}">{c}</{tag}>' for i, c in enumerate(cells)]
    return f"<tr>{''.join(aligned)}</tr>"
