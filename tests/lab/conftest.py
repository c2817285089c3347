"""What the tests of the lab share: a runs folder of their own, and the rendered frames."""

from pathlib import Path

import pytest

from lixlib.lab.recipe import Recipe


@pytest.fixture(scope="session")
def frames(tmp_path_factory) -> Path:
    """Where ToyDrive's frames are kept; all tests share them, since rendering takes longer than training here."""
    return tmp_path_factory.mktemp("frames")


@pytest.fixture
def runs(tmp_path, monkeypatch, frames) -> Path:
    monkeypatch.setenv("LIX_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("LIX_CACHE", str(frames))
    return tmp_path / "runs"


@pytest.fixture
def recipe(camvid_root) -> Recipe:
    splits = ("train", "val", "val")
    return Recipe("camvid", root=str(camvid_root), size=(32, 48), epochs=2, batch_size=4, splits=splits)
