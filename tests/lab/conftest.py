"""What the tests of the lab share: a runs folder and a cache of their own."""

from pathlib import Path

import pytest

from lixlib.lab.recipe import Recipe


@pytest.fixture(autouse=True)
def runs(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("LIX_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("LIX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "runs"


@pytest.fixture
def recipe(camvid_root) -> Recipe:
    splits = ("train", "val", "val")
    return Recipe("camvid", root=str(camvid_root), size=(32, 48), epochs=2, batch_size=4, splits=splits)
