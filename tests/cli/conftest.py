"""What the tests of the commands share."""

import sys

import pytest
from commands import save

import lixlib.cli
from lixlib.data.classes import CAMVID


@pytest.fixture
def lix(monkeypatch, capsys, tmp_path):
    """Run a command in this process; return its exit code, stdout and stderr."""
    monkeypatch.setenv("LIX_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("LIX_CACHE", str(tmp_path / "cache"))

    def command(*words):
        monkeypatch.setattr(sys, "argv", ["lix", *map(str, words)])
        code = 0
        try:
            lixlib.cli.main()
        except SystemExit as stop:
            code = stop.code or 0
        return code, *capsys.readouterr()

    return command


@pytest.fixture
def student(tmp_path):
    return save(tmp_path / "student.safetensors", CAMVID)
