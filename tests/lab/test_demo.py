"""The four networks of the demo are one comparison: each differs from the next in what it says."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from in_process import InProcess

import lixlib.lab.grid
from lixlib.lab.demo import four_networks, share, train_four
from lixlib.lab.plan import folder_of
from lixlib.lab.regime import DEMO, PUBLISHED, REGIME
from lixlib.lab.run import run

HALVES = [
    ("lix-ours", {"lambda_l": 2.0, "lambda_f": 3.0}),
    ("lix", {"lambda_l": 2.0, "lambda_f": 3.0}),
    ("arfd", {"weight": 3.0}),
    ("kd", {"weight": 2.0}),
]


@pytest.mark.parametrize(("method", "options"), HALVES)
def test_the_four_are_one_comparison(method, options):
    found = four_networks(method=method, seed=4, lambda_l=2.0, lambda_f=3.0)
    assert list(found) == ["teacher", "student", "taught without X", "distilled"]
    teacher, student, without, distilled = found.values()
    assert distilled.method == method and distilled.method_options == {**PUBLISHED.get(method, {}), **options}
    assert teacher == distilled.of_teacher() and teacher.x
    assert student == replace(distilled, method="student", method_options={})
    assert without.of_teacher() == replace(teacher, x=False)
    assert replace(without, teacher={}) == distilled


def test_the_demo_is_the_regime_of_the_tables_but_for_its_length_and_recordings():
    distilled = four_networks()["distilled"]
    same = ("size", "batch_size", "network_options", "class_weights", "ema")
    assert {name: getattr(distilled, name) for name in same} == {name: REGIME[name] for name in same}
    assert distilled.dataset_options["count"] == REGIME["dataset_options"]["count"]
    assert (distilled.epochs, distilled.unlabelled) == (DEMO["epochs"], DEMO["unlabelled"])


def test_what_is_given_counts():
    given = four_networks(epochs=3, size=(32, 64), batch_size=2, precision="32-true", network="off-net")["distilled"]
    assert (given.epochs, given.size, given.batch_size, given.precision) == (3, (32, 64), 2, "32-true")
    assert given.network_options == {}
    assert {each.epochs for each in four_networks(quick=True, epochs=50).values()} == {2}
    photographs = four_networks("camvid", root="somewhere")["student"]
    assert photographs.network_options == {} and photographs.class_weights == "sqrt" and photographs.epochs == 15


def test_bfloat16_is_taken_where_the_processor_has_it(monkeypatch):
    for has in (False, True):
        monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda has=has: has)
        monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: False)
        monkeypatch.setattr("torch.cuda.is_available", lambda: False)
        assert four_networks()["student"].precision == ("bf16-mixed" if has else "32-true")


@pytest.fixture
def small():
    options = {"network_options": {"width": 0.25}, "size": (24, 32), "epochs": 1, "batch_size": 4, "unlabelled": 4}
    few = {"count": 4, "eval_count": 2}
    return {role: replace(each, dataset_options=few, **options) for role, each in four_networks().items()}


def test_the_student_is_the_teacher_of_rgb_alone_and_trained_once(small, runs, tmp_path, monkeypatch):
    monkeypatch.setattr(lixlib.lab.grid, "_Processes", InProcess)
    train_four(small, results_dir=tmp_path / "results", device="cpu")
    recipe = small["taught without X"].of_teacher()
    found = [run(each, device="cpu") for each in (recipe, *small.values())]
    assert not any(each.trained for each in found)
    assert found[3].line["teacher"] == folder_of(recipe).as_posix()
    monkeypatch.setenv("LIX_RUNS", str(tmp_path / "trained"))
    shared, trained = found[0], run(recipe, device="cpu", progress=False)
    assert trained.trained and all(map(torch.equal, *(each.net.state_dict().values() for each in (shared, trained))))
    told = [{**each.line, "seconds": 0, "command": ""} for each in (shared, trained)]
    assert told[0] == told[1]
    matrices = [np.load(each.folder / "confusion.npz")["matrices"] for each in (shared, trained)]
    assert np.array_equal(*matrices)


def test_what_differs_in_more_than_its_name_is_not_shared(small, runs):
    student = run(small["student"], device="cpu", progress=False)
    with pytest.raises(ValueError, match="they may differ in method and x"):
        share(student, replace(small["taught without X"], seed=1).of_teacher())
    assert not (runs / folder_of(replace(small["teacher"], seed=1, x=False))).exists()
    matrices = student.folder / "confusion.npz"
    before = np.load(matrices)["matrices"]
    matrices.unlink()
    share(student, small["taught without X"].of_teacher())
    shared = runs / folder_of(small["taught without X"].of_teacher()) / "confusion.npz"
    assert np.array_equal(np.load(shared)["matrices"], before), "matrices that are gone are made again"
