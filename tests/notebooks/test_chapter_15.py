"""Chapter 15: its arithmetic, its commands, and what it says of cards, networks and the paper's schedule."""

import os
import shlex
import subprocess

import pytest
from notebook_code import cells_of, definitions, run

from lixlib.core.files import read_json_lines
from lixlib.course.exercises import EXERCISES
from lixlib.course.full_run import CARDS, Work
from lixlib.course.watch import Watch
from lixlib.lab.recipe import Recipe
from tools.dev.execute_notebooks import FOLDER

CHAPTER = definitions("15_gpu_run")
WORK = {"mfnet": (Work(19, 57 * 10**9, 4 * 10**8), Work(27 * 10**9, 0, 0))}


@pytest.fixture
def known(monkeypatch):
    """What its functions read of the notebook, and those of them that have a setting for a default."""
    values = {
        "OPTIONS": {"sne-roadseg": {"encoder": "resnet18"}, "mfnet": {}},
        **{"CLASSES": 15, "work": WORK, "method_factor": {"mfnet": 2.0}, "updates": {"mfnet": 31_000}},
        **{"BATCH": {"mfnet": 8}, "SIZE": (32, 64), "share": 0.5},
    }
    namespace = CHAPTER["floors"].__globals__
    for name, value in values.items():
        monkeypatch.setitem(namespace, name, value)
    for cell in cells_of("15_gpu_run"):
        if "def work_of(" in cell.source or "def hours(" in cell.source:
            run(cell.source, namespace)
    return namespace


def test_work_grows_with_the_pixels(known):
    for network in ("mfnet", "sne-roadseg"):
        (small, teacher), (large, _) = (known["work_of"](network, size) for size in ((32, 64), (64, 128)))
        assert large.forward == pytest.approx(4 * small.forward, rel=1e-6)
        assert small.training == pytest.approx(3 * small.forward, rel=0.03)
        assert teacher.forward > small.forward and teacher.kept == 0, "the teacher's backward pass is not counted"


def test_floors_by_hand():
    arithmetic, moving = CHAPTER["floors"](60e9, 11e9, 936e6, CARDS["NVIDIA GeForce RTX 3090"])
    assert (arithmetic, moving) == pytest.approx((1e-3, 2.5e-3))


def test_hours_agree_with_the_exercise(known):
    card = CARDS["NVIDIA GeForce RTX 3090"]._replace(bandwidth=1e9)  # only arithmetic counts
    expected = 2 * EXERCISES["15.1"].expected(500, 8, 500, 84e9, 71e12, 0.5)
    assert known["hours"]("mfnet", card) == pytest.approx(expected)
    assert known["hours"]("mfnet", card, 0.25) == pytest.approx(2 * expected)


def test_a_line_of_make_gpu_takes_the_place_of_the_assumption(known):
    row = {"network": "mfnet", "method": "lix", "images_per_second": 100.0}
    line = {"device": "NVIDIA H200", "parts": {"networks": {"rows": [row, {**row, "method": "none"}]}}}
    floor = max(CHAPTER["floors"](57e9, 27e9, 4e8, CARDS["NVIDIA H200"]))
    assert CHAPTER["measured_shares"](line) == {"mfnet": pytest.approx(100 * 2 * floor)}
    assert CHAPTER["measured_shares"]({**line, "device": "a card that nobody knows"}) == {}


def test_the_committed_steps_are_those_that_it_reads():
    steps = read_json_lines(FOLDER.parent / "results" / "cost" / "paper_size.jsonl")
    steps = [line for line in steps if line["precision"] == "bf16-mixed" and line["fits"]]
    CHAPTER["step"].__globals__["steps"] = steps
    assert CHAPTER["step"]("sne-roadseg", "lix", 3)["options"] == {"encoder": "resnet152"}, "without checkpointing"
    assert CHAPTER["step"]("mfnet", "lix", 8)["size"] == [384, 1248]


def test_xargs_gives_every_job_a_card_of_its_own(tmp_path):
    jobs = CHAPTER["jobs"](("kd", "lix"), (0, 1), extra=" -p quick True")
    assert jobs[0] == "kd-0.ipynb -p method kd -p seed 0 -p quick True" and len(set(jobs)) == 4
    (tmp_path / "jobs.txt").write_text("".join(f"{job}\n" for job in jobs))
    papermill = tmp_path / "papermill"
    papermill.write_text('#!/bin/sh\necho "$CUDA_VISIBLE_DEVICES $LIX_HEADLESS $@" >> ran.txt\nsleep 0.3\n')
    papermill.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(CHAPTER["spread"]("jobs.txt", 2), shell=True, check=True, cwd=tmp_path, env=environment)
    ran = sorted(shlex.split(line) for line in (tmp_path / "ran.txt").read_text().splitlines())
    assert {words[0] for words in ran} == {"0", "1"} and {words[1] for words in ran} == {"1"}
    assert sorted(words[4] for words in ran) == ["kd-0.ipynb", "kd-1.ipynb", "lix-0.ipynb", "lix-1.ipynb"]
    assert all(words[2:4] == ["--no-progress-bar", "09_distillation_run.ipynb"] for words in ran)


def test_the_script_of_torchrun_is_a_run_that_is_watched(monkeypatch):
    (cell,) = (cell for cell in cells_of("15_gpu_run") if cell.source.count("SCRIPT = "))
    namespace: dict = {}
    exec(cell.source, namespace)
    seen = {}
    monkeypatch.setattr("lixlib.lab.run.run", lambda recipe, **options: seen.update(recipe=recipe, **options))
    exec(namespace["SCRIPT"].format(options=namespace["full"], device="cuda"), {})
    assert seen["recipe"] == Recipe(**namespace["full"]) and seen["recipe"].epochs == 500
    assert isinstance(seen["observe"], Watch) and seen["device"] == "cuda"
