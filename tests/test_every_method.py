"""Every method trains end to end on ToyDrive: two short epochs, every loss term finite, and their sum falling."""

import math
from dataclasses import replace

import pytest

from lixlib.distillers import METHODS
from lixlib.run import Recipe, run

QUICK = Recipe(
    size=(32, 96),
    epochs=2,
    splits=("train", None, "test"),
    data={"count": 32, "eval_count": 8},
    unlabelled=32,
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One folder for all, so that the teacher is trained once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIX_RUNS", str(tmp_path_factory.mktemp("runs")))
        yield


@pytest.mark.parametrize("method", ["teacher", "student", *(name for name in METHODS if name != "none")])
def test_loss_is_finite_and_falls(method, runs):
    hyper = {"stage_epochs": 2} if method in ("ft", "maskd") else {}
    recipe = QUICK.of_teacher() if method == "teacher" else replace(QUICK, method=method, hyper=hyper)
    finished = run(recipe, device="cpu", progress=False)
    first, second = (sum(v for k, v in row.items() if k not in ("epoch", "seconds")) for row in finished.log)
    assert math.isfinite(first) and second < first
    assert all(math.isfinite(value) for row in finished.log for value in row.values())
    assert finished.line["method"] == method and 0 < finished.line["metrics"]["mIoU"] < 1
    assert ("stage_seconds" in finished.line) == (method in ("ft", "maskd"))
