"""The experiments of the protocol as README.md and docs/results.md show them: tables, and what we recommend."""

import math
from pathlib import Path
from statistics import mean

from lixlib.core.files import read_json_lines
from lixlib.lab import beyond, main_table, reversal
from lixlib.lab.advice import recommendation
from lixlib.lab.results import by_method, read, scored
from tools.dev.marks import between

MAIN, SHORT, ADVICE = "<!-- main -->", "<!-- summary -->", "<!-- recommendation -->"
NOTHING = "It has not been run yet."
# The rows and columns of the main table that README.md shows
ARMS = ("teacher", "student", "student, four times", "KD", "DIST", "LIX, as published", "**LIX, ours**")
HEADS = ("", "mIoU, %", "seeds", "gain over student, four times", "95 % interval", "rare classes", "X gain")


def update(page: str, results: Path) -> str:
    """A page with the tables that it has marks for."""
    for mark, table in OTHERS.items():
        if mark in page:
            page = between(page, mark, table(results))
    if not any(mark in page for mark in (MAIN, SHORT, ADVICE)):
        return page
    asked = main_table.read("main", results / "evidence")
    runs = main_table.complete(asked)
    x_gain = main_table.x_gains(main_table.read("is-it-x", results / "evidence"))
    cost = _costs(results)
    table = main_table.table(runs, x_gain, cost)
    if MAIN in page:
        page = between(page, MAIN, _table(asked, table, main_table.first(runs)))
    if SHORT in page:
        page = between(page, SHORT, _short(table))
    if ADVICE in page:
        former = by_method(read(results / "history", "toydrive"))
        page = between(page, ADVICE, recommendation(runs, former=former, x_gain=x_gain, cost=cost))
    return page


def _table(asked: dict, table: str, first: str) -> str:
    absent = main_table.missing(asked)
    if len(absent) == len(asked):
        return "It has not been run yet: `lix experiment main --seeds 0 1 2 3 4 5 --results results/evidence` makes it."
    said = f" Not run yet: {main_table.listed(absent)}." if absent else ""
    return f"{table}\n\n{first}{said}"


def is_it_x(results: Path) -> str:
    """Every method of E1 by either teacher."""
    folder = results / "evidence"
    return beyond.x_table(main_table.read("is-it-x", folder), folder)


def nyuv2(results: Path) -> str:
    """The arms of E6 with 150 labelled images; a machine without NYUv2's files has it, too."""
    folder = results / "evidence"
    asked = beyond.read_without_data("nyuv2-150", folder)
    runs = main_table.complete(asked)
    if not runs:
        return NOTHING
    said = f"{beyond.gain_table(runs, 'student', folder)}\n\n{main_table.first(runs)}"
    absent = main_table.missing(asked)
    return said + (f" Not run yet: {main_table.listed(absent)}." if absent else "")


def more_weight(results: Path) -> str:
    """The arms of E5 at every length, mean mIoU in %, and what follows."""
    runs = reversal.read(results / "evidence")
    heads = [f"{updates} updates" for updates in reversal.LENGTHS]
    text = [f"| | {' | '.join(heads)} | seeds |", "|---|" + "---:|" * (len(heads) + 1)]
    for arm, by_updates in reversal.CELLS.items():
        lines = [runs.get(by_updates[updates], {}) for updates in reversal.LENGTHS]
        means = [[100 * value for value in scored(each).values()] for each in lines]
        cells = [f"{mean(each):.1f}" if each else main_table.ABSENT for each in means]
        text.append(f"| {arm} | {' | '.join(cells)} | {', '.join(map(str, sorted({len(each) for each in lines})))} |")
    return "\n".join([*text, "", reversal.conclusion(runs)])


def length(results: Path) -> str:
    """The students of E9 by updates and by computation."""
    found = beyond.lengths(main_table.read("length", results / "evidence"), _costs(results))
    text = ["| | updates | computation | mIoU, % | seeds |", "|---|---:|---:|---:|---:|"]
    for name, each in found.items():
        for one in each:
            computation = main_table.ABSENT if math.isnan(one.computation) else f"{one.computation / 1600:.1f}"
            cells = [str(one.updates), computation, f"{mean(one.scores):.1f}", str(len(one.scores))]
            text.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(text) if found else NOTHING


def _costs(results: Path) -> dict[str, float]:
    return main_table.costs(read_json_lines(results / "cost" / "regime" / "toydrive" / "mfnet.jsonl"))


def _short(table: str) -> str:
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()]
    places = [place for place, head in enumerate(rows[0]) if head in HEADS]
    kept = [*rows[:2], *(row for row in rows[2:] if row[0] in ARMS)]
    return "\n".join(f"| {' | '.join(row[place] for place in places)} |" for row in kept)


OTHERS = {
    "<!-- is it x -->": is_it_x,
    "<!-- nyuv2 -->": nyuv2,
    "<!-- more weight -->": more_weight,
    "<!-- length -->": length,
}
