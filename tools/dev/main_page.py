"""The main table of the protocol, in short and in full, and what we recommend, as the pages show them."""

from pathlib import Path

from lixlib.core.files import read_json_lines
from lixlib.lab import main_table
from lixlib.lab.advice import recommendation
from lixlib.lab.results import by_method, read
from tools.dev.marks import between

MAIN, SHORT, ADVICE = "<!-- main -->", "<!-- summary -->", "<!-- recommendation -->"
# The rows and columns of the main table that README.md shows
ARMS = ("teacher", "student", "student, four times", "KD", "DIST", "LIX, as published", "**LIX, ours**")
HEADS = ("", "mIoU, %", "seeds", "gain over student, four times", "95 % interval", "rare classes", "X gain")


def update(page: str, results: Path) -> str:
    """A page with the three, where it has marks for them."""
    if not any(mark in page for mark in (MAIN, SHORT, ADVICE)):
        return page
    asked = main_table.read("main", results / "evidence")
    runs = main_table.complete(asked)
    x_gain = main_table.x_gains(main_table.read("is-it-x", results / "evidence"))
    cost = main_table.costs(read_json_lines(results / "cost" / "regime" / "toydrive" / "mfnet.jsonl"))
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


def _short(table: str) -> str:
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()]
    places = [place for place, head in enumerate(rows[0]) if head in HEADS]
    kept = [*rows[:2], *(row for row in rows[2:] if row[0] in ARMS)]
    return "\n".join(f"| {' | '.join(row[place] for place in places)} |" for row in kept)
