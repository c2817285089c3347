"""No Python file of the project is longer than a reader takes in at one go."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 400  # lines
# Files that are still to be split. A line goes as soon as its file is short enough, and none is added.
STILL_TO_BE_SPLIT = (
    "lixlib/lab/run.py",  # recipes, runs and what is kept of them
    "tests/cli/test_cli.py",  # all commands
    "tests/data/test_data.py",  # data sets, splits and augmentation
    "tests/data/test_readers.py",  # all readers
    "tests/lab/test_run.py",  # recipes, runs and what is kept of them
)


def length(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_no_file_is_longer_than_400_lines():
    files = [path for folder in ("lixlib", "tools", "data_scripts", "tests") for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 100
    lengths = {path.relative_to(ROOT).as_posix(): length(path) for path in files}
    found = {name: lines for name, lines in lengths.items() if lines > LONGEST and name not in STILL_TO_BE_SPLIT}
    assert not found, f"more than {LONGEST} lines: split them by subject"


@pytest.mark.parametrize("name", STILL_TO_BE_SPLIT)
def test_a_file_that_was_split_leaves_the_list(name):
    path = ROOT / name
    assert path.is_file() and length(path) > LONGEST, f"{name} is no longer too long: take it off the list above"
