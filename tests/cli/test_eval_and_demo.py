"""`lix eval` and `lix demo`."""

import json

import nbformat
import pytest
from commands import fails_with_one_line, save

import lixlib.cli
import lixlib.cli.photographs
from lixlib.core.files import read_json_lines
from lixlib.data.classes import CAMVID, POTHOLES


def test_eval_of_a_student_needs_no_x(lix, camvid_root, student):
    options = ["--weights", student, "--dataset", "camvid", "--root", camvid_root, "--split", "test"]
    code, text, _ = lix("eval", *options)
    assert code == 0
    assert text.startswith("camvid test, 4 images of 32 x 48")
    assert all(name in text for name in ("mIoU", "fwIoU", "mFsc", "fwFsc", *CAMVID.names))
    code, text, _ = lix("eval", *options, "--json", "--size", 16, 32)
    found = json.loads(text)
    assert code == 0 and len(text.splitlines()) == 1
    assert found["size"] == [16, 32] and found["images"] == 4 and set(found["per_class"]) == set(CAMVID.names)
    assert 0 <= found["metrics"]["mIoU"] <= 1


def test_eval_gives_the_numbers_of_the_run(lix, tmp_path):
    options = ["--method", "teacher", "--dataset-options", '{"count": 4, "eval_count": 3, "difficulty": 0.9}']
    options += ["--size", 32, 48, "--batch-size", 2, "--epochs", 1]
    code, text, _ = lix("train", *options, "--device", "cpu", "--results", tmp_path)
    file = text.split("weights: ")[1].splitlines()[0]
    (line,) = read_json_lines(tmp_path / "toydrive" / "mfnet.jsonl")
    arguments = ["--weights", file, "--dataset", "toydrive", "--device", "cpu", "--json"]
    found = json.loads(lix("eval", *arguments, "--split", "test")[1])
    assert found["images"] == 3
    assert found["metrics"] == pytest.approx(line["metrics"])
    assert found["per_class"] == {name: pytest.approx(values) for name, values in line["per_class"].items()}
    assert json.loads(lix("eval", *arguments, "--split", "train")[1])["images"] == 4


def test_eval_of_a_teacher_needs_x(lix, tmp_path, camvid_root):
    file = save(tmp_path / "teacher.safetensors", CAMVID, 1)
    options = ["--weights", file, "--dataset", "camvid", "--root", camvid_root]
    assert lix("eval", *options, "--split", "val")[0] == 0
    fails_with_one_line(lix("eval", *options, "--split", "test"), "testdisp")


def test_wrong_input_of_eval_is_one_line(lix, tmp_path, camvid_root, student):
    camvid = ["--dataset", "camvid", "--root", camvid_root]
    file = save(tmp_path / "potholes.safetensors", POTHOLES, None)
    outcome = lix("eval", "--weights", file, *camvid, "--split", "val")
    fails_with_one_line(outcome, "knows the classes road, pothole, but camvid has sky, building")
    fails_with_one_line(lix("eval", "--weights", "nothing", *camvid, "--split", "val"), "no weights file nothing")
    fails_with_one_line(lix("eval", "--weights", student, *camvid, "--split", "dusk"), "no folder", "dusk")
    huge = ["--split", "val", "--size", 8000, 8000]
    fails_with_one_line(lix("eval", "--weights", student, *camvid, *huge), "size 8000 x 8000 is more than")
    file = save(tmp_path / "odd.safetensors", CAMVID, None, {"dataset": "camvid", "data": {"with_x": True}})
    fails_with_one_line(lix("eval", "--weights", file, *camvid, "--split", "val"), "with_x is no option of its own")
    fails_with_one_line(lix("eval", "--weights", student, "--dataset", "ade20k", "--split", "val"), "unknown data set")


@pytest.mark.notebook
def test_demo_trains_runs_the_notebook_and_prints_the_table(lix, forks, tmp_path, monkeypatch):
    parameters = """
dataset: str = "toydrive"  # one comment a line, as in the real one
size: tuple = (32, 48)
batch_size: int = 8
seed: int = 1
method: str = "lix-ours"
lambda_l: float = 0.5
lambda_f: float = 2.0
device: str = "cpu"
quick: bool = False
"""
    check = """
import lixlib.lab.run as lab
from lixlib.lab.demo import four_networks
lab.fit = None  # every run is there already
options = dict(size=size, batch_size=batch_size, seed=seed, lambda_l=lambda_l, lambda_f=lambda_f, quick=quick)
recipes = four_networks(dataset, **options).values()
print([lab.run(recipe, device=device).line["method"] for recipe in recipes])
"""
    notebook = nbformat.v4.new_notebook(
        metadata={"language_info": {"name": "python"}},
        cells=[
            nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}),
            nbformat.v4.new_code_cell(check),
        ],
    )
    monkeypatch.setattr(lixlib.cli.demo, "DEMO", tmp_path / "source" / "09_distillation_run.ipynb")
    lixlib.cli.demo.DEMO.parent.mkdir()
    nbformat.write(notebook, lixlib.cli.demo.DEMO)
    code, text, errors = lix("demo", "--quick")
    assert code == 0, errors
    assert all(word in text for word in ("mIoU", "fwFsc", "teacher", "student", "lix-ours", "gain", "gap", "X gain"))
    executed = tmp_path / "runs" / "demo" / "09_distillation_run.ipynb"
    assert "WARNING" not in errors
    assert "executed notebook: " in text and executed.name in text
    assert "['teacher', 'student', 'lix-ours', 'lix-ours']" in executed.read_text()


def test_demo_outside_a_clone_says_so(lix, tmp_path, monkeypatch):
    monkeypatch.setattr(lixlib.cli.demo, "DEMO", tmp_path / "09_distillation_run.ipynb")
    fails_with_one_line(lix("demo"), "needs a clone")
