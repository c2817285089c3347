"""The confusion matrices of a run's test images: beside its line, in the results, and made of a run without them."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from in_process import InProcess
from small_runs import SMALL

import lixlib.core.files
import lixlib.lab.grid
import lixlib.lab.run
from lixlib.core.files import read_json_lines, write_atomically, write_json_lines
from lixlib.lab import confusions, record, results
from lixlib.lab.grid import compare
from lixlib.lab.plan import folder_of
from lixlib.lab.recipe import Recipe
from lixlib.lab.run import run, score_images
from lixlib.metrics import confusion_matrix, scores
from lixlib.training import evaluate, evaluate_images

RECIPE = Recipe(method="student", **SMALL)


@pytest.fixture
def finished(runs):
    return run(RECIPE, device="cpu", progress=False)


def without_matrices(finished):
    """A run's folder as it was before there were matrices."""
    (finished.folder / "confusion.npz").unlink()
    line = {name: value for name, value in finished.line.items() if name != "confusion"}
    write_json_lines(finished.folder / "result.jsonl", [line])
    return line


def test_every_image_has_its_matrix_and_their_sum_gives_the_scores_of_the_line(finished, runs):
    path = finished.folder / "confusion.npz"
    assert finished.line["confusion"] == str(path.relative_to(runs))
    names, matrices = confusions.read(path)
    test = lixlib.lab.inputs.Inputs(RECIPE).test
    assert names == [test[i].name for i in range(len(test))] and len(set(names)) == len(names) > 1
    for i, matrix in enumerate(matrices):
        prediction = finished.net(test[i].rgb[None]).logits[0].argmax(0)
        assert np.array_equal(matrix, confusion_matrix(prediction, test[i].label, matrices.shape[-1]).numpy())
    total = scores(torch.from_numpy(matrices.sum(0)))
    assert record.scored(total, test.classes.names) == {name: finished.line[name] for name in ("metrics", "per_class")}
    assert repr(total) == repr(evaluate(finished.net, test, batch=3)), "to the last bit, whatever the batch"
    assert np.array_equal(results.confusions(finished.line, runs), matrices)
    assert results.images(finished.line, runs) == names


def test_one_pass_gives_scores_and_matrices(finished, monkeypatch):
    seen = []
    finished.net.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    test = lixlib.lab.inputs.Inputs(RECIPE).test
    names, matrices = evaluate_images(finished.net, test, batch=2)
    assert sum(seen) == len(test) == len(names) == len(matrices)


@pytest.mark.parametrize(("largest", "dtype"), [(255, "uint8"), (256, "uint16"), (70_000, "uint32")])
def test_a_file_has_the_smallest_type_that_holds_its_counts(tmp_path, largest, dtype):
    matrices = np.zeros((3, 2, 2), dtype=np.int64)
    matrices[1, 0, 1] = largest
    confusions.write(tmp_path / "confusion.npz", ["a", "ä", "c/d"], matrices)
    assert np.load(tmp_path / "confusion.npz")["matrices"].dtype == dtype
    names, found = confusions.read(tmp_path / "confusion.npz")
    assert names == ["a", "ä", "c/d"] and found.dtype == np.int64 and np.array_equal(found, matrices)
    assert [path.name for path in tmp_path.iterdir()] == ["confusion.npz"]


def test_what_is_no_file_of_matrices(tmp_path):
    path = tmp_path / "confusion.npz"
    with pytest.raises(FileNotFoundError, match=r"confusion.npz: .*score_images"):
        confusions.read(path)
    confusions.write(path, ["a"], np.ones((1, 2, 2), dtype=int))
    whole = path.read_bytes()
    for damaged in (b"", b"no zip", whole[: len(whole) // 2], whole[:80] + b"\xff" * 40 + whole[120:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"confusion.npz holds no names and matrices"):
            confusions.read(path)
    for wrong in ({"names": ["a", "b"], "matrices": np.ones((1, 2, 2), np.uint8)}, {"names": [], "matrices": 1.5}):
        with open(path, "wb") as file:
            np.savez(file, **wrong)
        with pytest.raises(ValueError, match=r"confusion.npz has matrices of .* \(N, C, C\)"):
            confusions.read(path)


def test_results_have_a_copy_that_outlives_the_runs(finished, runs, tmp_path):
    expected = results.confusions(finished.line, runs)
    root = tmp_path / "results"
    results.append(finished.line, root)
    results.append(finished.line, root)
    shutil.rmtree(runs)
    (line,) = results.read(root, "toydrive")
    assert line == {**finished.line, "confusion": line["confusion"]}
    assert np.array_equal(results.confusions(line, root), expected)
    assert [path.name for path in (root / "toydrive" / "confusion").iterdir()] == [line["confusion"].split("/")[-1]]
    results.append({**line, "note": "of a study"}, root)  # read, measured, and written back
    other = results.add({**line, "method": "kd"}, root)
    assert other["confusion"] != line["confusion"]
    for each in results.read(root, "toydrive"):
        assert np.array_equal(results.confusions(each, root), expected)


def test_the_line_comes_after_its_matrices(finished, tmp_path, monkeypatch):
    write = write_atomically

    def killed(path, *rest):
        if path.name in ("result.jsonl", "mfnet.jsonl"):
            raise KeyboardInterrupt
        write(path, *rest)

    for module, act in (
        (results, lambda: results.append(finished.line, tmp_path / "results")),
        (lixlib.core.files, lambda: run(replace(RECIPE, seed=1), device="cpu", progress=False)),
    ):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(module, "write_atomically", killed)
            act()
    assert len(list((tmp_path / "results").rglob("*.npz"))) == 1 and not list((tmp_path / "results").rglob("*.jsonl"))
    folder = finished.folder.parents[2] / folder_of(replace(RECIPE, seed=1))
    assert (folder / "confusion.npz").exists() and not (folder / "result.jsonl").exists()
    assert run(replace(RECIPE, seed=1), device="cpu", progress=False).trained


def test_lines_without_matrices_are_added_and_say_so_when_they_are_asked(finished, runs, tmp_path):
    old = without_matrices(finished)
    assert run(RECIPE, device="cpu", progress=False).line == old, "an old run is loaded"
    results.append(old, tmp_path)
    assert results.read(tmp_path, "toydrive") == [old]
    with pytest.raises(FileNotFoundError, match=r"student, seed 0: its line names no confusion matrices.*score_images"):
        results.confusions(old, tmp_path)
    with pytest.warns(UserWarning, match=r"confusion.npz is gone: the line goes without"):
        results.append(finished.line, tmp_path)
    assert results.read(tmp_path, "toydrive") == [old]


def test_matrices_of_an_old_run_are_made_of_its_weights(finished, runs, monkeypatch):
    matrices = results.confusions(finished.line, runs)
    without_matrices(finished)
    line = score_images(RECIPE, device="cpu")
    assert line == finished.line == read_json_lines(finished.folder / "result.jsonl")[0]
    assert np.array_equal(results.confusions(line, runs), matrices)
    with monkeypatch.context() as patch:
        patch.setattr(lixlib.lab.run, "evaluate_images", None)
        assert score_images(RECIPE, device="cpu") == line, "nothing is left to do"
    (finished.folder / "confusion.npz").unlink()
    assert score_images(RECIPE, device="cpu") == line and (finished.folder / "confusion.npz").exists()


def test_matrices_that_cannot_be_those_of_the_line_are_not_made(finished):
    line = without_matrices(finished)
    line["metrics"]["mIoU"] += 0.1
    write_json_lines(finished.folder / "result.jsonl", [line])
    with pytest.raises(ValueError, match=r"has an mIoU of 0\.\d+ today and of 0\.\d+ in its line"):
        score_images(RECIPE, device="cpu")
    assert not (finished.folder / "confusion.npz").exists()
    with pytest.raises(FileNotFoundError, match="no finished run in .*: train it first"):
        score_images(replace(RECIPE, seed=5), device="cpu")


def test_a_grid_copies_the_matrices_of_what_it_trains_and_of_what_it_finds(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(lixlib.lab.grid, "_Processes", InProcess)
    monkeypatch.setattr(lixlib.lab.grid, "POLL", 0)
    recipes = [RECIPE, replace(RECIPE, seed=1)]
    report = compare(recipes, results_dir=tmp_path / "results")
    assert (report.loaded, report.trained) == (1, 1)
    lines = results.read(tmp_path / "results", "toydrive")
    assert report.lines == lines and len({line["confusion"] for line in lines}) == 2
    for line in lines:
        total = results.confusions(line, tmp_path / "results").sum(0)
        assert record.scored(scores(torch.from_numpy(total)), tuple(line["per_class"]))["metrics"] == line["metrics"]
    assert compare(recipes, results_dir=tmp_path / "results").written == 2
