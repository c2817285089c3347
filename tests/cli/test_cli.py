"""The command line: help for a person, results for a pipe, one line for a mistake."""

import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import trees
from commands import fails_with_one_line, save
from PIL import Image

import lixlib.cli
import lixlib.cli.photographs
from lixlib import checkpoints
from lixlib.core.files import read_json_lines
from lixlib.data import splits
from lixlib.data.classes import CAMVID, CITYSCAPES

SMALL = ["--dataset-options", '{"count": 2, "eval_count": 2}', "--size", "32", "48"]
TINY = [*SMALL, "--unlabelled", "2"]
ARGUMENTS = {
    "demo": ["--quick"],
    "train": [
        *("--dataset", "--root", "--network", "--method", "--seed", "--size", "--epochs", "--batch-size", "--lr"),
        *(
            "--patience",
            "--precision",
            "--splits",
            "--method-options",
            "--dataset-options",
            "--teacher",
            "--unlabelled",
            "--device",
        ),
        *("--auxiliary", "--pretrain"),
        "--results",
    ],
    "compare": [
        *("--datasets", "--networks", "--methods", "--seeds", "--root", "--size", "--epochs", "--batch-size", "--lr"),
        *(
            "--patience",
            "--precision",
            "--splits",
            "--dataset-options",
            "--teacher",
            "--unlabelled",
            "--jobs",
            "--scheduler",
        ),
        *("--device", "--results"),
    ],
    "experiment": [
        *("NAME...", "--only", "--seeds", "--size", "--epochs", "--precision", "--quick", "--jobs", "--scheduler"),
        *("--device", "--results"),
    ],
    "eval": ["--weights", "--dataset", "--root", "--split", "--size", "--json", "--trust", "--device"],
    "export": ["WEIGHTS", "--onnx", "--opset", "--trust"],
    "predict": [
        *("IMAGE|DIR...", "--weights", "--dataset", "--size", "--scale", "--labels", "--confidence", "--no-legend"),
        *("--out", "--trust", "--device"),
    ],
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_help_explains_every_argument(lix, name):
    code, text, _ = lix(name, "--help")
    assert code == 0
    assert "Example: lix " + name in text
    for argument in ARGUMENTS[name]:
        assert argument in text
    assert text.count("--") >= len(ARGUMENTS[name])


def test_help_lists_the_commands(lix):
    code, text, _ = lix("--help")
    assert code == 0 and all(name in text for name in ARGUMENTS)


@pytest.mark.slow
def test_the_installed_command_runs_from_anywhere(tmp_path):
    command = shutil.which("lix", path=str(Path(sys.executable).parent))
    assert command, "install with `pip install -e .`"
    result = subprocess.run([command, "predict", "nothing.png"], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 2
    *about, error = result.stderr.splitlines()
    assert error.startswith("lix: no image nothing.png") and all(line.startswith("lix: weights: ") for line in about)


def test_train_writes_a_run_and_a_result_line(lix, tmp_path, camvid_root):
    options = ["--dataset", "camvid", "--root", camvid_root, "--size", 32, 48, "--epochs", 1, "--batch-size", 8]
    options += [
        "--method",
        "dwld",
        "--method-options",
        '{"weight": 0.5}',
        "--splits",
        "train",
        "None",
        "val",
        "--device",
        "cpu",
    ]
    code, text, _ = lix("train", *options, "--results", tmp_path / "results")
    assert code == 0
    assert "mIoU" in text and "weights.safetensors" in text
    (line,) = read_json_lines(tmp_path / "results" / "camvid" / "mfnet.jsonl")
    assert (line["method"], line["hyper"]["weight"], line["split"], line["epochs"]) == ("dwld", 0.5, "val", 1)
    assert line["command"].startswith("lix train --dataset camvid --root ROOT --size 32 48")
    assert line["command"].endswith("--results results") and str(tmp_path) not in json.dumps(line)
    assert "teacher: trained now, " in text and "dwld: trained now, " in text
    assert 'options of dwld (tuned for labelled images alone; given by you: weight): {"weight": 0.5' in text
    code, text, _ = lix("train", *options, "--results", tmp_path / "results")
    assert code == 0 and "dwld: loaded, " in text and "trained now" not in text
    assert read_json_lines(tmp_path / "results" / "camvid" / "mfnet.jsonl") == [line]


def test_a_student_of_virtual_kitti_from_training_to_coloured_photographs(lix, tmp_path):
    """Its teacher reads normals; the student is scored, and colours one of the photographs."""
    root = trees.vkitti2(tmp_path / "vkitti2")
    names = [f"Scene01/clone/{i:05d}" for i in range(4)]
    splits.write_list(root / splits.LIST, {"train": names, "val": ["Scene20/15-deg-left/00000"]})
    of = ["--dataset", "vkitti2", "--root", root]
    options = [
        "--size",
        16,
        32,
        "--epochs",
        1,
        "--batch-size",
        2,
        "--method",
        "kd",
        "--dataset-options",
        '{"x": "normals"}',
    ]
    code, text, errors = lix("train", *of, *options, "--device", "cpu")
    assert code == 0, errors
    file = text.split("weights: ")[1].strip()
    (teacher,) = tmp_path.glob("runs/vkitti2/mfnet/teacher-*/weights.safetensors")
    assert checkpoints.load(teacher)[0].x_channels == 3
    for trained in (file, teacher):
        code, text, _ = lix("eval", "--weights", trained, *of, "--split", "val", "--json")
        scored = json.loads(text)
        assert code == 0 and scored["images"] == 1 and len(scored["per_class"]) == 15
    photo = root / "Scene01/clone/frames/rgb/Camera_0/rgb_00000.jpg"
    assert lix("predict", photo, "--weights", file, "--out", tmp_path)[0] == 0
    assert Image.open(tmp_path / "rgb_00000_labels.png").size[0] == 80


def test_eval_on_another_data_set_gives_a_teacher_the_x_that_it_knows(lix, tmp_path):
    """KITTI and Cityscapes have the same classes."""
    root = trees.cityscapes(tmp_path / "cityscapes")
    file = save(tmp_path / "teacher.safetensors", CITYSCAPES, 3, {"dataset": "kitti", "data": {"x": "normals"}})
    options = ["--weights", file, "--dataset", "cityscapes", "--root", root, "--split", "val", "--json"]
    code, text, errors = lix("eval", *options)
    assert code == 0, errors
    assert json.loads(text)["images"] == 2


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--method", "magic"], ["unknown method 'magic': choose one of teacher"]),
        (["--dataset", "camvid"], ["give its folder as root (--root DIR)"]),
        (["--dataset", "camvid", "--root", "nowhere"], ["no folder nowhere/train; expected layout", "public source"]),
        (["--method-options", '{"lamda": 1}'], ["no option 'lamda'", "lambda_l"]),
        (["--dataset-options", '{"frames": 1}'], ["data set 'toydrive' has no option 'frames'", "count"]),
        (
            ["--dataset-options", '{"size": [1, 2]}'],
            ["size is no option of its own, it is chosen by size (--size H W)"],
        ),
        (["--epochs", "0", *TINY], ["epochs must be at least 1, found 0"]),
        (["--epochs", "1.5", *TINY], ["--epochs", "'1.5'"]),
        (["--size", "0", "0"], ["size[0] must be at least 1, found 0"]),
        (["--size", "-5", "3"], ["size[0] must be at least 1, found -5"]),
        (["--size", "100000", "100000"], ["size[0] must be at most 8192"]),
        (["--size", "3"], ["--size: expected INT INT, found ['3'];"]),
        (["--splits", "train", "val"], ["--splits: expected STR", "found ['train', 'val'];"]),
        (["--seed", str(2**63)], ["seed must be at most"]),
        (["--seed", "x"], ["--seed", "'x'", "lix --help"]),
        (["--lr", "nan"], ["lr must be a finite number, found nan"]),
        (["--patience", "-1"], ["patience must be at least 0, found -1"]),
        (["--method-options", '{"lambda_l": true}'], ["LIX: lambda_l must be a valid number, found True"]),
        (["--method-options", '{"lambda_l": 1e400}'], ["LIX: lambda_l must be a finite number, found inf"]),
        (["--method-options", '{"lambda_l": NaN}'], ["--method-options", "holds NaN, which is no number of JSON"]),
        (
            ["--method-options", '{"lambda_l": 1, "lambda_l": 2}'],
            ["--method-options", "says 'lambda_l' twice: say it once"],
        ),
        (["--method-options", '{"a": ' * 100_000], ["--method-options", "is no JSON object"]),
        (["--method-options", f'{{"lambda_l": {"9" * 5000}}}'], ["--method-options"]),
        (["--bogus", "1"], ["--bogus"]),
        (["--teacher", '{"lr": "fast"}'], ["teacher: Recipe: lr must be a valid number, found 'fast'"]),
        (["--precision", "64-true"], ["'64-true'", "'32-true', 'bf16-mixed', '16-mixed'"]),
        (["--precision", "16-mixed", "--device", "cpu", *TINY], ["16-mixed needs a GPU: on a CPU choose bf16-mixed"]),
        (["--device", "tpu"], ["'tpu'", "'auto', 'cpu', 'cuda'"]),
        (TINY, ["2 training images do not fill a batch of 8"]),
        (["--network", "resnet", *TINY], ["unknown network 'resnet'"]),
        (["--precision", "8", *TINY], ["precision"]),
        (["--unlabelled", "-1"], ["unlabelled must be at least 0, found -1"]),
    ],
)
def test_a_wrong_option_of_train_is_one_line(lix, options, parts):
    fails_with_one_line(lix("train", *options), *parts)


def test_who_learns_from_labels_alone_is_told_so(lix):
    for method, number, told in (("student", 2, True), ("teacher", 2, True), ("student", 0, False), ("kd", 2, False)):
        code, _, errors = lix("train", "--method", method, *SMALL, "--unlabelled", number, "--batch-size", 4)
        assert code == 2 and (f"--unlabelled 2 has no effect: a {method} learns from labels" in errors) == told


def test_a_training_that_fails_is_one_line(lix):
    options = [*SMALL, "--batch-size", 1, "--epochs", 4, "--lr", "1e17"]
    fails_with_one_line(lix("train", "--method", "student", *options), "is not finite", "Lower the learning rate")


@pytest.mark.parametrize(
    "words",
    [
        ("train", "--method-options", "lambda_l=1"),
        ("train", "--method-options", "[1]"),
        ("eval",),
        ("trian",),
        ("train", "--root"),
        (),
    ],
)
def test_what_cannot_be_parsed_is_one_line(lix, words):
    fails_with_one_line(lix(*words), "lix", "--help")


def test_a_warning_is_one_line(lix, monkeypatch):
    def warn(*_, **__):
        warnings.warn("of two\nlines", stacklevel=2)
        raise ValueError("and an error")

    monkeypatch.setattr(lixlib.cli.train, "run", warn)
    code, _, errors = lix("train", *TINY)
    assert (code, errors) == (2, "lix: warning: of two; lines\nlix: and an error\n")


@pytest.mark.parametrize(
    "error",
    [MemoryError("Unable to allocate"), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ...")],
)
def test_too_little_memory_is_one_line(lix, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(lixlib.cli.train, "run", fail)
    fails_with_one_line(lix("train", *TINY), "not enough memory: choose a smaller size or batch")


def make_void(folder):
    for path in folder.iterdir():
        Image.fromarray(np.full_like(np.asarray(Image.open(path)), 11)).save(path)  # CamVid's void


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_split_without_labels_is_one_line_before_the_teacher_trains(lix, tmp_path, camvid_root, split):
    root = shutil.copytree(camvid_root, tmp_path / "camvid")
    (root / "testdisp").mkdir()
    for photo in (root / "test").iterdir():  # the teacher is tested with X
        shutil.copy(next((root / "valdisp").iterdir()), root / "testdisp" / photo.name)
    make_void(root / f"{split}annot")
    of = ["--dataset", "camvid", "--root", root]
    options = [
        "--size",
        32,
        48,
        "--epochs",
        1,
        "--batch-size",
        4,
        "--splits",
        "train",
        "val",
        "test",
        "--device",
        "cpu",
    ]
    outcome = lix("train", *of, *options, "--method", "kd")
    fails_with_one_line(outcome, f"split camvid {split} has no labelled pixel in any of its")
    assert not list(tmp_path.rglob("checkpoint.pt")) and not list(tmp_path.rglob("log.jsonl"))
    student = save(tmp_path / "student.safetensors", CAMVID, None)
    for more in ([], ["--json"]):
        outcome = lix("eval", "--weights", student, *of, "--split", split, *more)
        fails_with_one_line(outcome, f"split camvid {split} has no labelled pixel")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--method", "arfd", "--method-options", '{"taps": ["conv9"]}'], "no common tap conv9: the student has conv2"),
        (["--method", "dwld", "--method-options", '{"beta_min": 3}'], "beta_min <= beta_max, found 3 and 1.0"),
        (
            ["--method", "arfd", "--method-options", '{"smoother": true, "kernel": "linear"}'],
            "a smoother needs weights",
        ),
        (["--method", "kd", "--teacher", '{"batch_size": 64}'], "2 training images do not fill a batch of 64"),
        (["--method", "kd", "--batch-size", 64], "2 training images do not fill a batch of 64"),
    ],
)
def test_what_does_not_fit_is_found_before_the_teacher_trains(lix, tmp_path, options, message):
    size = [] if "--batch-size" in options else ["--batch-size", 2]
    fails_with_one_line(lix("train", *TINY, *size, "--epochs", 1, *options, "--device", "cpu"), message)
    assert not list(tmp_path.rglob("checkpoint.pt"))


@pytest.mark.parametrize("wrong", ["a file", "a file on the way", "a line that is none"])
def test_results_that_cannot_be_added_to_are_found_before_anything_trains(lix, tmp_path, wrong):
    results = tmp_path / "results"
    if wrong == "a line that is none":
        (results / "toydrive").mkdir(parents=True)
        (results / "toydrive" / "mfnet.jsonl").write_text("[1]\n")
    else:
        results.touch()
    folder = results / "below" if wrong == "a file on the way" else results
    options = [*SMALL, "--method", "student", "--batch-size", 2, "--epochs", 1, "--device", "cpu", "--results", folder]
    fails_with_one_line(lix("train", *options), str(folder))
    assert not list(tmp_path.rglob("checkpoint.pt"))


def test_a_runs_folder_that_is_a_file(lix, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("LIX_RUNS", str(tmp_path / "file"))
    options = [*SMALL, "--method", "student", "--batch-size", 2, "--epochs", 1, "--device", "cpu"]
    fails_with_one_line(lix("train", *options), f"cannot make the folder {tmp_path / 'file'}", "choose another one")


@pytest.mark.parametrize("broken", ["valannot", "val"])
def test_a_broken_image_to_be_scored_is_found_before_anything_trains(lix, tmp_path, camvid_root, broken):
    root = shutil.copytree(camvid_root, tmp_path / "camvid")
    file = max((root / broken).iterdir())
    file.write_bytes(file.read_bytes()[:50])
    options = [
        "--dataset",
        "camvid",
        "--root",
        root,
        "--size",
        32,
        48,
        "--epochs",
        1,
        "--batch-size",
        4,
        "--device",
        "cpu",
    ]
    fails_with_one_line(lix("train", *options, "--method", "student"), str(file))
    assert not list(tmp_path.rglob("checkpoint.pt"))


def test_cuda_without_a_gpu(lix, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for command in (["train"], ["compare"], ["experiment", "beta"], ["predict", "a.png"]):
        fails_with_one_line(lix(*command, "--device", "cuda"), "no GPU")


def test_a_tilde_that_no_shell_has_seen(lix, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("LIX_RUNS", "~/runs")
    options = [*SMALL, "--method", "student", "--batch-size", 2, "--epochs", 1, "--device", "cpu"]
    assert lix("train", *options, "--results=~/results")[0] == 0
    assert (home / "results" / "toydrive" / "mfnet.jsonl").is_file()
    file = next((home / "runs").rglob("weights.safetensors"))
    assert lix("eval", f"--weights=~/{file.relative_to(home)}", "--dataset", "toydrive", "--split", "val")[0] == 0
    (home / "text.pth").write_text("none")
    net = ["--network", "sne-roadseg", "--network-options", '{"pretrained": "~/text.pth"}']
    fails_with_one_line(lix("train", *options, *net), "text.pth is no file of weights")
    of_nobody = ["--dataset", "camvid", "--root", "~nobody-of-this-name/x"]
    fails_with_one_line(lix("train", *of_nobody), "no folder ~nobody-of-this-name/x")
    assert not (tmp_path / "~").exists()


def test_the_former_names_of_flags(lix, monkeypatch):
    seen = []
    monkeypatch.setattr(lixlib.cli.train, "run", lambda recipe, **_: seen.append(recipe) or 1 / 0)
    for words in (["--hyper", '{"weight": 2.0}', "--batch", "4"], ['--method-options={"weight": 2.0}', "--batch=4"]):
        with pytest.raises(ZeroDivisionError):
            lix("train", "--method", "kd", *words)
    assert seen[0] == seen[1] and (seen[0].method_options, seen[0].batch_size) == ({"weight": 2.0}, 4)
    code, _, errors = lix("train", "--batch", "4", "--batch-size", "8")
    assert code == 2 and "--batch is the former name of --batch-size: give it once" in errors
