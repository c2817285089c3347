"""Who installs the library gets its annotations: py.typed says that they count, and mypy keeps them true."""

import tomllib
from fnmatch import fnmatch
from pathlib import Path

import lixlib

ROOT = Path(__file__).resolve().parents[2]
TOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]


def test_the_mark_of_annotations_is_packed():
    assert (Path(lixlib.__file__).parent / "py.typed").is_file()
    assert any(fnmatch("py.typed", pattern) for pattern in TOOLS["setuptools"]["package-data"]["*"])


def test_the_lower_floors_are_checked_strictly_in_make_test():
    assert TOOLS["mypy"]["strict"] and "$(BIN)/mypy" in (ROOT / "Makefile").read_text()
    assert {"lixlib/core", "lixlib/functional", "lixlib/nets", "lixlib/distillers"} <= set(TOOLS["mypy"]["files"])
    assert all((ROOT / path).exists() for path in TOOLS["mypy"]["files"])
