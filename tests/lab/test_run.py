"""Runs: weights, log and line, paired initial weights, unlabelled frames, and a kill -9 in the middle."""

import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from small_runs import SMALL

import lixlib.lab.run
import lixlib.training.checkpoint
from lixlib import checkpoints, data
from lixlib.core.files import write_json_lines
from lixlib.data.unlabelled import WithUnlabelled
from lixlib.distillers import METHODS
from lixlib.lab import inputs
from lixlib.lab.plan import folder_of
from lixlib.lab.recipe import Recipe
from lixlib.lab.run import run

pytestmark = pytest.mark.usefixtures("runs")

SPECIFIED = {
    *("dataset", "network", "method", "seed", "split", "size", "epochs", "updates", "batch", "hyper", "metrics"),
    *("per_class", "teacher", "seconds", "device", "versions", "commit", "command", "reduced"),
    *("data_digest", "confusion"),
}


def log_without_seconds(finished):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in finished.log]


def test_a_run_gives_weights_a_log_and_a_line(recipe, runs, camvid_root):
    recipe = replace(recipe, method_options={"lambda_l": 0.5})
    finished = run(recipe, device="cpu", command="lix train")
    line = finished.line
    assert set(line) == SPECIFIED | {"recipe", "instructions"}
    assert line["hyper"] == {**METHODS["lix"].tuned, "lambda_l": 0.5}
    assert (line["split"], line["size"], line["epochs"], line["updates"]) == ("val", [32, 48], 2, 8)
    assert (line["method"], line["command"], line["reduced"]) == ("lix", "lix train", True)
    assert line["teacher"] == str(folder_of(recipe.of_teacher()))
    assert (runs / line["teacher"] / "result.jsonl").exists()
    assert set(line["metrics"]) == {"mIoU", "fwIoU", "mFsc", "fwFsc"}
    assert all(0 <= value <= 1 for value in line["metrics"].values())
    assert list(line["per_class"])[:2] == ["sky", "building"] and len(line["per_class"]) == 11
    assert [row["epoch"] for row in finished.log] == [1, 2]
    assert str(camvid_root) not in (finished.folder / "result.jsonl").read_text()
    net, description = checkpoints.load(finished.folder / "weights.safetensors")
    assert net.x_channels is None and not net.training
    assert description["classes"][0] == "sky" and description["size"] == [32, 48]
    assert str(camvid_root) not in str(description)


def test_a_finished_run_is_loaded(recipe, monkeypatch):
    recipe = replace(recipe, method="student", epochs=1)
    finished = run(recipe, device="cpu")
    monkeypatch.setattr(lixlib.lab.run, "fit", None)
    again = run(recipe, device="cpu")
    assert (again.line, again.log) == (finished.line, finished.log)
    assert not again.net.training


def test_two_who_ask_for_a_run_at_once_train_it_once(recipe, monkeypatch):
    trained, fit = [], lixlib.lab.run.fit
    monkeypatch.setattr(lixlib.lab.run, "fit", lambda *args, **options: trained.append(1) or fit(*args, **options))
    recipe = replace(recipe, method="student", epochs=1)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: run(recipe, device="cpu"), range(2))
    assert trained == [1] and first.line == second.line


def test_a_student_starts_the_same_whatever_the_method(recipe, monkeypatch):
    def no_training(distiller, *_, folder, **__):
        log = [{"epoch": 1, "seconds": 0.0}]
        write_json_lines(folder / "log.jsonl", log)
        return log

    def start(**changes):
        return run(replace(recipe, **changes), device="cpu").net.state_dict()

    monkeypatch.setattr(lixlib.lab.run, "fit", no_training)
    first = start(method="student")
    for method in ("kd", "dwld", "lix"):
        other = start(method=method)
        assert all(torch.equal(first[name], other[name]) for name in first)
    different = start(method="student", seed=1)
    assert not all(torch.equal(first[name], different[name]) for name in first)


def test_a_student_never_opens_x(recipe):
    recipe = replace(recipe, method="student", epochs=1, splits=("test", None, "test"))
    assert run(recipe, device="cpu").line["split"] == "test"
    with pytest.raises(FileNotFoundError, match="testdisp"):
        run(replace(recipe, method="teacher"), device="cpu")


@pytest.mark.slow
def test_a_killed_process_goes_on_to_the_same_bits(recipe, runs, monkeypatch):
    recipe = replace(recipe, epochs=4, patience=3, teacher={"epochs": 1, "patience": 0})
    run(recipe.of_teacher(), device="cpu")
    shutil.copytree(runs, runs.with_name("killed"))
    whole = run(recipe, device="cpu")

    monkeypatch.setenv("LIX_RUNS", str(runs.with_name("killed")))
    folder = runs.with_name("killed") / folder_of(recipe)
    program = f"from lixlib.lab.run import Recipe, run\nrun({recipe!r}, device='cpu')"
    process = subprocess.Popen([sys.executable, "-c", program], env=os.environ, stderr=subprocess.PIPE, text=True)
    try:
        log = folder / "log.jsonl"
        while process.poll() is None and not (log.exists() and log.read_text()):
            time.sleep(0.01)
        time.sleep(0.05)  # into the next epoch
    finally:
        process.send_signal(signal.SIGKILL)
        _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors
    assert not (folder / "result.jsonl").exists()

    resumed = run(recipe, device="cpu")
    assert (folder / "weights.safetensors").read_bytes() == (whole.folder / "weights.safetensors").read_bytes()
    assert log_without_seconds(resumed) == log_without_seconds(whole)
    assert {**resumed.line, "seconds": 0} == {**whole.line, "seconds": 0}
    assert not list(folder.glob(".*"))


def test_a_killed_pretraining_goes_on_to_the_same_bits(runs, monkeypatch):
    recipe = Recipe(method="student", pretrain=3, **SMALL)
    monkeypatch.setitem(data.DATASETS, "toydrive", replace(data.DATASETS["toydrive"], unlabelled=4))
    whole = run(recipe, device="cpu", progress=False)
    rows, save = [], lixlib.training.checkpoint.Checkpoint.save

    def killed(checkpoint, row):
        save(checkpoint, row)
        rows.append(row)
        if len(rows) == 2:
            raise KeyboardInterrupt

    monkeypatch.setenv("LIX_RUNS", str(runs.with_name("killed")))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(lixlib.training.checkpoint.Checkpoint, "save", killed)
        run(recipe, device="cpu", progress=False)
    log = runs.with_name("killed") / folder_of(recipe, "pretraining") / "log.jsonl"
    assert len(log.read_text().splitlines()) == 2, "in the middle"
    resumed = run(recipe, device="cpu", progress=False)
    assert len(log.read_text().splitlines()) == 3
    assert log_without_seconds(resumed) == log_without_seconds(whole)
    for name, tensor in whole.net.state_dict().items():
        assert torch.equal(resumed.net.state_dict()[name], tensor), name


def test_unlabelled_frames_keep_the_number_of_updates_and_have_no_label():
    recipe = Recipe(method="kd", size=(16, 32), dataset_options={"count": 8, "eval_count": 2}, unlabelled=4)
    frames = inputs.load_unlabelled(recipe, recipe.unlabelled, with_x=True)
    assert len(frames) == 4 and all((frames[i].label == 255).all() for i in range(4))
    train = inputs.load(recipe, "train", with_x=True)
    mixed = WithUnlabelled(train, frames)
    assert [bool((mixed[i].label == 255).all()) for i in range(len(mixed))] == [False] * 8 + [True] * 8
    names = {train[i].name for i in range(8)}
    assert names.isdisjoint(frames[i].name for i in range(4))


@pytest.mark.parametrize("method", ["student", "kd"])
def test_a_second_task_needs_no_label_and_leaves_nothing_behind(method):
    recipe = Recipe(method=method, auxiliary=0.5, **SMALL)
    assert recipe.unlabelled == 4, "a student who predicts X learns from unlabelled frames, too"
    finished = run(recipe, device="cpu", progress=False)
    assert {"ce", "x"} <= finished.log[0].keys() and finished.log[0]["x"] > 0
    assert finished.line["hyper"]["auxiliary"] == 0.5 and finished.line["updates"] == 2
    plain = run(replace(recipe, auxiliary=0.0), device="cpu", progress=False)
    assert plain.net.state_dict().keys() == finished.net.state_dict().keys(), "the head is thrown away"
    assert "x" not in plain.log[0] and "auxiliary" not in plain.line["recipe"]


def test_a_pretrained_student_starts_from_what_it_learnt(monkeypatch):
    recipe = Recipe(method="student", pretrain=2, **SMALL)
    monkeypatch.setitem(data.DATASETS, "toydrive", replace(data.DATASETS["toydrive"], unlabelled=4))
    starts, fit = {}, lixlib.lab.run.fit

    def spy(model, train, schedule, **options):
        starts[type(model).__name__] = {name: v.clone() for name, v in model.student.state_dict().items()}
        log = fit(model, train, schedule, **options)
        starts[f"after {type(model).__name__}"] = {name: v.clone() for name, v in model.student.state_dict().items()}
        return log

    monkeypatch.setattr(lixlib.lab.run, "fit", spy)
    finished = run(recipe, device="cpu", progress=False)
    assert list(starts) == ["PredictX", "after PredictX", "Distiller", "after Distiller"]
    for name, tensor in starts["after PredictX"].items():
        assert torch.equal(starts["Distiller"][name], tensor), name
    assert any(not torch.equal(starts["PredictX"][name], v) for name, v in starts["after PredictX"].items())
    assert 0 < finished.line["stage_seconds"] < finished.line["seconds"] and len(finished.log) == 1


def test_a_line_tells_of_unlabelled_frames_and_counts_labelled_ones():
    options = {"size": (32, 48), "epochs": 1, "batch_size": 2, "dataset_options": {"count": 4, "eval_count": 2}}
    recipe = Recipe(method="kd", unlabelled=4, **options)
    line = run(recipe, device="cpu").line
    assert (line["batch"], line["updates"], line["hyper"]["unlabelled"]) == (2, 2, 4)
    teacher = run(recipe.of_teacher(), device="cpu").line
    assert (teacher["batch"], teacher["updates"]) == (2, 2)
    assert "unlabelled" not in teacher["hyper"]
    assert "unlabelled" not in run(Recipe(method="kd", unlabelled=0, **options), device="cpu").line["hyper"]


def test_the_count_is_that_of_the_training_split():
    recipe = Recipe(method="student", size=(16, 32), dataset_options={"count": 4, "eval_count": 2})
    assert [len(inputs.load(recipe, split, with_x=False)) for split in recipe.splits] == [4, 2, 2]
