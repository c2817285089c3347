"""Recipes and runs: what a recipe leaves open, paired initial weights, result lines, and a kill -9 in the middle."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trees
from PIL import Image

import lixlib.lab.run
import lixlib.training.checkpoint
from lixlib import checkpoints, data
from lixlib.core.files import write_json_lines
from lixlib.data import splits
from lixlib.data.toydrive.render import RENDERER_VERSION
from lixlib.data.unlabelled import WithUnlabelled
from lixlib.distillers import METHODS
from lixlib.lab import inputs, record, results
from lixlib.lab.plan import folder_of, pretraining_folder, runs_folder, stage_folder
from lixlib.lab.recipe import Recipe, teacher_student_distilled
from lixlib.lab.record import result_header
from lixlib.lab.run import run

SPECIFIED = {
    *("dataset", "network", "method", "seed", "split", "size", "epochs", "updates", "batch", "hyper", "metrics"),
    *("per_class", "teacher", "seconds", "device", "versions", "commit", "command", "reduced"),
    "data_digest",
}


@pytest.fixture(autouse=True)
def runs(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("LIX_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("LIX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "runs"


@pytest.fixture
def recipe(camvid_root) -> Recipe:
    splits = ("train", "val", "val")
    return Recipe("camvid", root=str(camvid_root), size=(32, 48), epochs=2, batch_size=4, splits=splits)


def log_without_seconds(finished):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in finished.log]


def test_a_recipe_takes_the_data_sets_defaults_where_it_says_nothing():
    recipe = Recipe("camvid", epochs=3)
    assert recipe.epochs == 3
    assert recipe.size == data.DATASETS["camvid"].size
    assert recipe.splits == data.DATASETS["camvid"].splits
    assert recipe.unlabelled == 0
    assert Recipe(unlabelled=0).unlabelled == 0
    toydrive = Recipe(dataset_options={"count": 3})
    assert toydrive.unlabelled == data.DATASETS["toydrive"].unlabelled > 0
    assert toydrive.dataset_options == {**data.DATASETS["toydrive"].options, "count": 3}


def test_hyper_goes_over_the_chosen_options_of_its_method():
    assert Recipe(method="dkd", method_options={"weight": 3.0}).options == {**METHODS["dkd"].tuned, "weight": 3.0}
    name, value = next(iter(METHODS["dkd"].tuned.items()))
    assert folder_of(Recipe(method="dkd", method_options={name: value})) == folder_of(Recipe(method="dkd")), (
        "the same run"
    )
    assert Recipe(method="student").options == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset": "ade20k"}, "unknown data set 'ade20k': choose one of toydrive"),
        ({"method": "none"}, "unknown method 'none': choose one of teacher, student"),
        ({"method_options": {"lamda_l": 1}}, "no option 'lamda_l': it takes lambda_l"),
        ({"method": "student", "method_options": {"weight": 1}}, "no option 'weight'"),
        (
            {"teacher": {"epoch": 1}},
            "no 'epoch' of its own: it may have its own network, network_options, dataset_options, seed, epochs",
        ),
        ({"network": "unet"}, "unknown network 'unet': choose one of mfnet, sne-roadseg, off-net"),
        (
            {"network_options": {"encoder": "resnet18"}},
            "network 'mfnet' has no option 'encoder': it takes activated_head",
        ),
        ({"teacher": {"splits": ("a", "b", "c")}}, "no 'splits' of its own"),
        ({"unlabelled": -1}, "unlabelled must be at least 0, found -1"),
        ({"method": "teacher", "auxiliary": 1.0}, "a teacher sees X: it has nothing to predict"),
        ({"method": "teacher", "pretrain": 2}, "a teacher sees X: it has nothing to predict"),
        ({"auxiliary": -1.0}, "auxiliary must be at least 0, found -1.0"),
        ({"pretrain": -1}, "pretrain must be at least 0, found -1"),
    ],
)
def test_a_wrong_recipe_is_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**options)


def test_a_runs_folder_changes_with_everything_but_the_place_of_the_data():
    recipe = Recipe(unlabelled=0)
    assert folder_of(replace(recipe, root="elsewhere")) == folder_of(recipe)
    changes = [{"seed": 1}, {"size": (32, 64)}, {"epochs": 7}, {"batch_size": 2}, {"lr": 0.1}, {"patience": 3}]
    changes += [
        {"precision": "bf16-mixed"},
        {"method_options": {"lambda_l": 2}},
        {"dataset_options": {"count": 3}},
        {"method": "kd"},
    ]
    changes += [
        {"splits": ("train", None, "val")},
        {"teacher": {"epochs": 9}},
        {"dataset": "camvid", "dataset_options": {}},
    ]
    changes += [{"unlabelled": 3}, {"network_options": {"activated_head": False}}, {"network": "off-net"}]
    changes += [{"auxiliary": 1.0}, {"auxiliary": 0.5}, {"pretrain": 2}, {"pretrain": 3}]
    folders = [folder_of(recipe), *(folder_of(replace(recipe, **change)) for change in changes)]
    assert len(set(folders)) == len(folders)
    assert folder_of(Recipe(size=[64, 208])) == folder_of(Recipe(size=(64, 208)))


def test_the_folders_of_committed_runs_keep_their_names():
    (*_, line) = results.read(Path(__file__).parents[2] / "results", "toydrive")
    recipe = Recipe.read({name: tuple(v) if isinstance(v, list) else v for name, v in line["recipe"].items()})
    assert str(folder_of(recipe.of_teacher())) == line["teacher"]


def test_a_result_line_tells_the_networks_options_and_no_folder_of_this_machine():
    options = {"encoder": "resnet18", "checkpointing": True}
    line = result_header(Recipe(network="sne-roadseg", network_options=options))
    assert line["hyper"]["net"] == line["recipe"]["net"] == options
    line = result_header(Recipe())
    assert "net" not in line["hyper"] and "net" not in line["recipe"]


def test_what_is_not_in_use_is_not_told():
    """So that the runs of before these options existed keep their folders and lines."""
    for recipe in (Recipe(), Recipe(auxiliary=0.0, pretrain=0)):
        assert not {"auxiliary", "pretrain", "net", "root"} & recipe.described.keys()
        assert not {"auxiliary", "pretrain"} & result_header(recipe)["hyper"].keys()
    told = Recipe(auxiliary=0.5, pretrain=3)
    assert (told.described["auxiliary"], told.described["pretrain"]) == (0.5, 3)
    assert result_header(told)["hyper"].items() >= {"auxiliary": 0.5, "pretrain": 3}.items()
    assert folder_of(told.of_teacher()) == folder_of(Recipe().of_teacher()), "one teacher for both"


def test_runs_that_start_from_one_pretraining_share_it():
    recipe = Recipe(method="kd", pretrain=3)
    for other in ({"method": "student"}, {"method": "lix"}, {"epochs": 9}, {"auxiliary": 1.0}, {"root": "elsewhere"}):
        assert pretraining_folder(replace(recipe, **other)) == pretraining_folder(recipe), other
    changes = [
        {"seed": 1},
        {"batch_size": 2},
        {"size": (32, 64)},
        {"pretrain": 2},
        {"precision": "bf16-mixed"},
        {"lr": 0.1},
    ]
    changes += [
        {"unlabelled": 8},
        {"dataset_options": {"count": 3}},
        {"network": "off-net"},
        {"splits": ("val", None, "val")},
    ]
    folders = [pretraining_folder(recipe), *(pretraining_folder(replace(recipe, **change)) for change in changes)]
    assert len(set(folders)) == len(folders)


def test_a_teacher_may_have_seen_other_frames_than_its_student():
    recipe = Recipe(method="kd", dataset_options={"count": 4}, teacher={"dataset_options": {"count": 8}, "epochs": 3})
    teacher = recipe.of_teacher()
    assert (
        teacher.dataset_options == {**data.DATASETS["toydrive"].options, "count": 8}
        and recipe.dataset_options["count"] == 4
    )
    assert folder_of(teacher) == folder_of(Recipe(method="teacher", dataset_options={"count": 8}, epochs=3))
    assert folder_of(recipe) != folder_of(replace(recipe, teacher={"epochs": 3}))
    small = {"size": (16, 32), "unlabelled": 2}
    recipe = replace(recipe, dataset_options={"count": 4, "eval_count": 2}, **small)
    recipe = replace(recipe, teacher={"dataset_options": {"count": 8, "eval_count": 2}})
    assert [len(inputs.load(each, "train", with_x=True)) for each in (recipe, recipe.of_teacher())] == [4, 8]


def test_a_teacher_of_another_network_has_none_of_the_students_options():
    student = Recipe(network="sne-roadseg", network_options={"encoder": "resnet18"})
    assert student.of_teacher().network_options == {"encoder": "resnet18"}
    assert replace(student, teacher={"network_options": {"encoder": "resnet50"}}).of_teacher().network_options == {
        "encoder": "resnet50"
    }
    assert replace(student, teacher={"network": "mfnet"}).of_teacher().network_options == {}


def test_a_teachers_recipe_has_its_own_schedule_and_nothing_of_the_method():
    recipe = Recipe(seed=3, method_options={"lambda_l": 2}, teacher={"epochs": 9})
    assert recipe.of_teacher() == replace(recipe, method="teacher", method_options={}, teacher={}, epochs=9)


@pytest.mark.parametrize(
    ("method", "hyper"),
    [("lix", {"lambda_l": 2.0, "lambda_f": 3.0}), ("arfd", {"weight": 3.0}), ("kd", {"weight": 2.0})],
)
def test_trio_is_one_comparison(method, hyper):
    teacher, student, distilled = teacher_student_distilled(method=method, seed=4, lambda_l=2.0, lambda_f=3.0)
    assert [each.method for each in (teacher, student, distilled)] == ["teacher", "student", method]
    assert distilled.method_options == hyper
    assert teacher == distilled.of_teacher()
    assert student == replace(distilled, method="student", method_options={})
    assert teacher_student_distilled(quick=True)[0].epochs == 2


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
    log = runs.with_name("killed") / pretraining_folder(recipe) / "log.jsonl"
    assert len(log.read_text().splitlines()) == 2, "in the middle"
    resumed = run(recipe, device="cpu", progress=False)
    assert len(log.read_text().splitlines()) == 3
    assert log_without_seconds(resumed) == log_without_seconds(whole)
    for name, tensor in whole.net.state_dict().items():
        assert torch.equal(resumed.net.state_dict()[name], tensor), name


def test_unlabelled_frames_keep_the_number_of_updates_and_have_no_label():
    recipe = Recipe(method="kd", size=(16, 32), dataset_options={"count": 8, "eval_count": 2}, unlabelled=4)
    frames = inputs.load_unlabelled(recipe)
    assert len(frames) == 4 and all((frames[i].label == 255).all() for i in range(4))
    train = inputs.load(recipe, "train", with_x=True)
    mixed = WithUnlabelled(train, frames)
    assert [bool((mixed[i].label == 255).all()) for i in range(len(mixed))] == [False] * 8 + [True] * 8
    names = {train[i].name for i in range(8)}
    assert names.isdisjoint(frames[i].name for i in range(4))


SMALL = {
    "size": (16, 32),
    "epochs": 1,
    "batch_size": 2,
    "dataset_options": {"count": 4, "eval_count": 2},
    "unlabelled": 4,
}


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


@pytest.mark.parametrize("method", ["teacher", "student"])
def test_who_is_not_distilled_learns_from_labels_alone(method):
    assert Recipe(method=method).unlabelled == 0
    assert replace(Recipe(unlabelled=4), method=method).unlabelled == 0
    assert folder_of(Recipe(unlabelled=4).of_teacher()) == folder_of(Recipe(unlabelled=8).of_teacher()), (
        "one teacher for both"
    )


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


# A run is its data, too


def repaint(path: Path, value: int = 1) -> None:
    """Change one pixel of an image, and neither its size in bytes nor its time."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    picture = np.array(Image.open(path))
    picture[0, 0] = (picture[0, 0] + value) % 11
    Image.fromarray(picture).save(path)
    if path.stat().st_size == len(content):
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.fixture
def copy(camvid_root, tmp_path) -> Path:
    return shutil.copytree(camvid_root, tmp_path / "copy")


def test_other_data_are_trained_anew_and_the_same_under_another_root_are_loaded(recipe, copy):
    recipe = replace(recipe, method="kd", epochs=1)
    first = run(recipe, device="cpu", progress=False)
    assert first.trained and first.teacher.trained
    moved = run(replace(recipe, root=str(copy)), device="cpu", progress=False)
    assert not moved.trained and moved.line == first.line and moved.folder == first.folder
    repaint(copy / "trainannot" / "0001TP_00000.png")
    other = run(replace(recipe, root=str(copy)), device="cpu", progress=False)
    assert other.trained and other.teacher.trained, "the teacher has learnt from these labels, too"
    assert other.folder != first.folder and other.line["data_digest"] != first.line["data_digest"]
    assert not run(recipe, device="cpu", progress=False).trained


def folders(recipe: Recipe) -> dict[str, Path]:
    recipes = {method: replace(recipe, method=method) for method in ("teacher", "student", "kd")}
    found = {method: folder_of(each) for method, each in recipes.items()}
    found["stage"] = stage_folder(replace(recipe, method="ft"))
    return found | {"pretraining": pretraining_folder(replace(recipe, method="kd", pretrain=1))}


def add(root):
    for part in ("train", "trainannot", "traindisp"):
        shutil.copy(root / part / "0001TP_00000.png", root / part / "0002XX_00000.png")


def rename(root):
    for part in ("train", "trainannot", "traindisp"):
        (root / part / "0001TP_00000.png").rename(root / part / "0000AA_00000.png")


ALL = {"teacher", "student", "kd", "stage", "pretraining"}


@pytest.mark.parametrize(
    ("change", "others"),
    [
        (lambda root: repaint(root / "train" / "0001TP_00003.png"), ALL),
        (lambda root: repaint(root / "trainannot" / "0001TP_00003.png"), ALL),
        (lambda root: repaint(root / "traindisp" / "0001TP_00003.png", 3), ALL - {"student"}),
        (lambda root: repaint(root / "valannot" / "0016E5_07000.png"), ALL - {"pretraining"}),
        (lambda root: repaint(root / "valdisp" / "0016E5_07000.png", 3), {"teacher", "kd", "stage"}),
        (lambda root: repaint(root / "test" / "Seq05VD_f000.png"), set()),
        (add, ALL),
        (rename, ALL),
        (lambda root: [shutil.copy(root / "val" / "0016E5_07000.png", root / "thumb.png")], set()),
    ],
)
def test_whose_folder_changes_with_the_data(change, others, recipe, copy):
    """Splits are train, val, val: nobody reads the test split, and a student reads no X."""
    recipe = replace(recipe, root=str(copy))
    before = folders(recipe)
    change(copy)
    after = folders(recipe)
    assert {name for name in before if before[name] != after[name]} == others


def test_a_list_of_splits_and_a_calibration_are_data(tmp_path):
    root = trees.kitti(tmp_path / "kitti", count=4)
    names = [path.stem.removesuffix("_10") for path in sorted((root / "training" / "image_2").iterdir())]
    splits.write_list(root / splits.LIST, {"train": names[:2], "val": names[2:]})
    recipe = Recipe("kitti", root=str(root), size=(24, 80), method="kd")
    student = replace(recipe, method="student")
    before = inputs.data_digest(recipe), inputs.data_digest(student)
    calibration = root / "training" / "calib_cam_to_cam" / f"{names[0]}.txt"
    calibration.write_text(calibration.read_text() + "\n")
    assert inputs.data_digest(recipe) != before[0] and inputs.data_digest(student) == before[1], "only who reads X"
    before = inputs.data_digest(recipe), inputs.data_digest(student)
    splits.write_list(root / splits.LIST, {"train": names[1:3], "val": [names[0], names[3]]})
    assert inputs.data_digest(recipe) != before[0] and inputs.data_digest(student) != before[1]
    splits.write_list(root / splits.LIST, {"train": names[1::-1], "val": names[2:]})
    assert inputs.data_digest(student) != before[1], "the order decides the batches"


def test_data_that_are_not_there_have_no_digest_and_a_folder_of_nobody(recipe, copy):
    (copy / "trainannot" / "0001TP_00003.png").unlink()
    lost = replace(recipe, root=str(copy))
    assert folder_of(lost) != folder_of(recipe)
    with pytest.raises(FileNotFoundError, match=r"no file .*0001TP_00003.png: fetch it, or correct the path"):
        run(lost, device="cpu")
    with pytest.raises(ValueError, match="give its folder as root"):
        run(replace(recipe, root=None), device="cpu")


def test_toydrives_data_are_its_request_and_the_version_of_its_renderer(monkeypatch):
    recipe = Recipe(method="kd", **SMALL)
    assert inputs.data_digest(recipe) == result_header(recipe)["data_digest"] == f"renderer {RENDERER_VERSION}"
    before = folder_of(recipe), pretraining_folder(recipe)
    with monkeypatch.context() as patch:
        patch.setattr(inputs, "RENDERER_VERSION", 99)
        assert folder_of(recipe) != before[0] and pretraining_folder(recipe) != before[1]
    digests = [inputs.load(recipe, "train", with_x=True).digest, inputs.load(recipe, "val", with_x=True).digest]
    for change in ({"difficulty": 0.3}, {"seed": 1}, {"x": "depth"}, {"fault": "noise"}, {"count": 3}):
        digests.append(
            inputs.load(
                replace(recipe, dataset_options={**recipe.dataset_options, **change}), "train", with_x=True
            ).digest
        )
    assert len(set(digests)) == len(digests)


def test_a_stage_depends_on_the_images_of_the_student():
    recipe = Recipe(method="ft", dataset_options={"count": 4}, teacher={"dataset_options": {"count": 8}})
    assert stage_folder(recipe) != stage_folder(replace(recipe, dataset_options={"count": 5}))


def test_no_cache_and_no_folder_of_this_machine_is_in_a_line(tmp_path, monkeypatch, camvid_root):
    cache = {"cache": str(tmp_path / "frames"), **SMALL["dataset_options"]}
    recipe = Recipe(method="kd", **SMALL | {"dataset_options": cache, "teacher": {"dataset_options": cache}})
    plain = Recipe(method="kd", **SMALL | {"teacher": {"dataset_options": SMALL["dataset_options"]}})
    assert folder_of(recipe) == folder_of(plain) and result_header(recipe) == result_header(plain)
    finished = run(recipe, device="cpu", progress=False)
    assert str(tmp_path) not in json.dumps(finished.line) and "cache" not in json.dumps(finished.line["recipe"])
    assert list((tmp_path / "frames" / "toydrive").glob("*.npz"))
    weights_file = tmp_path / "first.pth"
    weights_file.write_bytes(b"1")
    net = {"encoder": "resnet18", "pretrained": str(weights_file)}
    told = Recipe(
        "camvid", root=str(camvid_root), network="sne-roadseg", network_options=net, teacher={"network_options": net}
    )
    assert str(tmp_path) not in json.dumps(result_header(told))
    before = folder_of(told)
    weights_file.rename(tmp_path / "second.pth")
    moved = {**net, "pretrained": str(tmp_path / "second.pth")}
    assert folder_of(replace(told, network_options=moved, teacher={"network_options": moved})) == before, (
        "contents, not names"
    )
    (tmp_path / "second.pth").write_bytes(b"2")
    assert folder_of(replace(told, network_options=moved, teacher={"network_options": moved})) != before


def test_the_home_folder_may_be_a_tilde(monkeypatch, tmp_path, camvid_root):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LIX_RUNS", "~/runs")
    assert runs_folder() == tmp_path / "runs"
    shutil.copytree(camvid_root, tmp_path / "camvid")
    assert len(inputs.load(Recipe("camvid", root="~/camvid"), "val", with_x=False)) == 4


@pytest.mark.parametrize(
    ("changes", "reduced"),
    [
        ({}, False),
        ({"size": (400, 1300), "epochs": 600, "batch_size": 16}, False),
        ({"epochs": 499}, True),
        ({"size": (384, 1247)}, True),
        ({"size": (383, 1248)}, True),
        ({"batch_size": 7}, True),
        ({"network": "sne-roadseg", "batch_size": 3}, False),
        ({"network": "sne-roadseg", "batch_size": 2}, True),
        ({"patience": 20, "splits": ("train", "val", "val")}, False),
    ],
)
def test_reduced_is_measured_by_the_papers_schedule(changes, reduced):
    recipe = Recipe("kitti", **changes)
    line = {**recipe.described, "recipe": recipe.described}
    assert record.is_reduced(line) is reduced
    stopped_early = {**line, "epochs": 60}
    assert record.is_reduced(stopped_early) is reduced, "stopping early is no cut"


def test_every_default_of_a_small_data_set_is_reduced():
    for name in ("toydrive", "camvid", "potholes"):
        assert record.is_reduced(Recipe(name).described | {"recipe": {}}), name


def test_a_pipe_among_the_images_stops_nothing_for_ever(recipe, copy):
    photo = min((copy / "train").iterdir())
    photo.unlink()
    os.mkfifo(photo)
    with pytest.raises(ValueError, match=f"{photo.name} is a folder, a device or a pipe, and a file is needed"):
        run(replace(recipe, root=str(copy)), device="cpu", progress=False)
