"""The main table of the protocol and what we recommend, as README.md, docs/results.md and chapter 10 show them."""

from pathlib import Path

from lixlib.core.files import read_json_lines
from lixlib.lab import main_table
from lixlib.lab.advice import recommendation
from lixlib.lab.results import by_method, read
from tools.dev.marks import between

MAIN, ADVICE = "<!-- main -->", "<!-- recommendation -->"


def update(page: str, results: Path) -> str:
    """A page with the two, where it has marks for them."""
    if MAIN not in page and ADVICE not in page:
        return page
    asked = main_table.read("main", results / "evidence")
    runs = main_table.complete(asked)
    x_gain = main_table.x_gains(main_table.read("is-it-x", results / "evidence"))
    cost = main_table.costs(read_json_lines(results / "cost" / "regime" / "toydrive" / "mfnet.jsonl"))
    if MAIN in page:
        page = between(page, MAIN, _table(asked, main_table.table(runs, x_gain, cost), main_table.first(runs)))
    if ADVICE in page:
        former = by_method(read(results, "toydrive"))
        page = between(page, ADVICE, recommendation(runs, former=former, x_gain=x_gain, cost=cost))
    return page


def _table(asked: dict, table: str, first: str) -> str:
    absent = main_table.missing(asked)
    if len(absent) == len(asked):
        return "It has not been run yet: `lix experiment main --seeds 0 1 2 3 4 5 --results results/evidence` makes it."
    said = f" Not run yet: {main_table.listed(absent)}." if absent else ""
    return f"{table}\n\n{first}{said}"
