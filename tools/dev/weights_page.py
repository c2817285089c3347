"""The table of the weights that come with the library, on docs/predict.md after `<!-- weights -->`."""

from pathlib import Path

from lixlib import checkpoints
from lixlib.lab.results import title
from lixlib.lab.tables import ABSENT, markdown
from tools.dev.marks import between


def update(page: str, _results: Path) -> str:
    """The page with the table of today's weights."""
    return between(page, "<!-- weights -->", table(checkpoints.index()))


def table(index: dict[str, dict]) -> str:
    """A row for each of the weights; scores in %, on the split that is named.

    Args:
        index: see `lixlib.checkpoints.index`.
    """
    lines = {name: about["result"] for name, about in index.items()}
    columns = {
        "learnt by": lambda name: title(lines[name]),
        "size": lambda name: " x ".join(map(str, lines[name]["size"])),
        "updates": lambda name: str(lines[name]["updates"]),
        "split": lambda name: lines[name]["split"],
        "mIoU": lambda name: _score(lines[name]),
        "its teacher's": lambda name: _score(index[name].get("teacher")),
    }
    return markdown(index, columns, words=("learnt by", "split"), label="`{}`".format)


def _score(line: dict | None) -> str:
    return f"{100 * line['metrics']['mIoU']:.1f}" if line else ABSENT
