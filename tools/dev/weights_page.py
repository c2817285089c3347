"""The table of the weights that come with the library, on docs/predict.md after `<!-- weights -->`."""

from pathlib import Path

from lixlib import checkpoints
from lixlib.lab.results import title
from tools.dev.marks import between

HEADER = ("name", "learnt by", "size", "updates", "split", "mIoU", "its teacher's")


def update(page: str, _results: Path) -> str:
    """The page with the table of today's weights."""
    return between(page, "<!-- weights -->", table(checkpoints.index()))


def table(index: dict[str, dict]) -> str:
    """A row for each of the weights; scores in %, on the split that is named.

    Args:
        index: see `lixlib.checkpoints.index`.
    """
    rows = [_row(name, about["result"], about.get("teacher")) for name, about in index.items()]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (HEADER, ("---",) * len(HEADER), *rows))


def _row(name: str, line: dict, teacher: dict | None) -> tuple[str, ...]:
    size = " x ".join(map(str, line["size"]))
    score, taught = (f"{100 * each['metrics']['mIoU']:.1f}" if each else "" for each in (line, teacher))
    return f"`{name}`", title(line), size, str(line["updates"]), line["split"], score, taught
