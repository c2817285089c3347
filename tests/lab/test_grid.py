"""The grid: what it holds, what it leaves out, who is trained first, and what a failure or a kill does to it."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import dask
import psutil
import pytest
from distributed import Client, LocalCluster
from distributed.utils import get_mp_context
from in_process import Done, InProcess

import lixlib.cli
import lixlib.lab.grid
import lixlib.lab.run
from lixlib.core.files import read_json_lines
from lixlib.distillers import METHODS
from lixlib.lab import results
from lixlib.lab.grid import compare, grid
from lixlib.lab.inputs import Inputs
from lixlib.lab.plan import folder_of
from lixlib.lab.recipe import Recipe, all_methods
from lixlib.lab.record import identity, result_header
from lixlib.lab.run import run
from lixlib.lab.workers import command_of

pytestmark = pytest.mark.usefixtures("runs")

TOYDRIVE = {"size": (32, 48), "batch_size": 8, "dataset_options": {"count": 16, "eval_count": 2}, "unlabelled": 4}


@pytest.fixture
def few(camvid_root) -> dict:
    """Options of a small grid."""
    shared = {"size": (32, 48), "epochs": 1, "batch_size": 4, "splits": ("train", None, "val")}
    return {"datasets": ["camvid"], "roots": {"camvid": str(camvid_root)}, **shared}


class Here(InProcess):
    """Runs in this process, in the order in which they are started; each is asked twice whether it is done."""

    jobs = 2

    def __init__(self, *_):
        self.trained = []

    def start(self, step):
        self.trained.append(step.recipe.method)
        return Task(step)


class Task(Done):
    looks = 0

    def done(self):
        self.looks += 1
        return self.looks > 1


@pytest.fixture
def here(monkeypatch) -> Here:
    workers = Here()
    monkeypatch.setattr(lixlib.lab.grid, "_Processes", lambda *_: workers)
    monkeypatch.setattr(lixlib.lab.grid, "POLL", 0)
    return workers


def test_a_grid_has_every_combination_seed_by_seed():
    recipes = grid(datasets=["camvid", "toydrive"], methods=["kd", "student"], seeds=[3, 4], epochs=2)
    found = [(recipe.seed, recipe.dataset, recipe.method) for recipe in recipes]
    assert found == [(s, d, m) for s in (3, 4) for d in ("camvid", "toydrive") for m in ("kd", "student")]
    assert all(recipe.epochs == 2 for recipe in recipes)
    assert [recipe.method for recipe in grid()] == ["teacher", "student", "mean-teacher", *METHODS]


def test_the_teacher_of_a_grid_is_that_of_its_students():
    recipes = grid(seeds=[0, 1], epochs=2, teacher={"epochs": 5, "seed": 7})
    (teacher,) = (recipe for recipe in recipes if recipe.method == "teacher")
    assert (teacher.epochs, teacher.seed) == (5, 7)
    distilled = [recipe for recipe in recipes if recipe.distils]
    assert {folder_of(recipe.of_teacher()) for recipe in distilled} == {folder_of(teacher)}
    students = [recipe for recipe in recipes if recipe.method == "student"]
    assert students == [Recipe(method="student", seed=seed, epochs=2) for seed in (0, 1)], "no teacher, no change"


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(),
        Recipe(method="kd", seed=2, epochs=50, teacher={"epochs": 100}, splits=("train", None, "test"), unlabelled=8),
        Recipe(
            "camvid",
            root="some where",
            method="dkd",
            size=(32, 48),
            method_options={"weight": 2.0},
            precision="bf16-mixed",
        ),
        Recipe(method="teacher", dataset_options={"count": 3}, batch_size=2, lr=0.1, patience=3),
    ],
)
def test_the_command_of_a_recipe_makes_its_run(recipe, monkeypatch):
    seen = []
    monkeypatch.setattr(
        lixlib.cli.train, "run", lambda recipe, **options: seen.append((recipe, options["device"])) or 1 / 0
    )
    words = shlex.split(command_of(recipe, device="cpu", threads=1, root=recipe.root))
    assert words[0] == "OMP_NUM_THREADS=1"
    monkeypatch.setattr(sys, "argv", words[1:])
    with pytest.raises(ZeroDivisionError):
        lixlib.cli.main()
    assert seen == [(recipe, "cpu")]
    assert recipe.root is None or "some where" not in command_of(recipe)


def test_a_line_is_known_before_it_is_trained(few, tmp_path):
    (recipe,) = grid(methods=["kd"], **few)
    line = run(recipe, device="cpu").line
    known = result_header(Inputs(recipe))
    assert {name: line[name] for name in known} == {**known, "size": [32, 48], "recipe": line["recipe"]}
    assert identity(known) == identity(line)
    changes = (
        {"lr": 0.1},
        {"precision": "bf16-mixed"},
        {"teacher": {"epochs": 2}},
        {"method_options": {"weight": 3.0}},
    )
    for change in ({"epochs": 2}, {"patience": 1, "splits": ("train", "val", "val")}, *changes):
        assert identity(result_header(Inputs(replace(recipe, **change)))) != identity(line)
    elsewhere = shutil.copytree(recipe.root, tmp_path / "elsewhere")
    assert identity(result_header(Inputs(replace(recipe, root=str(elsewhere))))) == identity(line)
    same = replace(recipe, method_options={"weight": line["hyper"]["weight"]})
    assert identity(result_header(Inputs(same))) == identity(line)


def test_a_teacher_comes_first_and_what_is_there_is_left_alone(here, few, tmp_path):
    methods = ["kd", "dkd", "student", "teacher"]
    report = compare(grid(methods=methods, **few), results_dir=tmp_path / "results")
    assert here.trained == ["teacher", "student", "kd", "dkd"]
    assert [line["method"] for line in report.lines] == methods
    assert (report.trained, report.failures) == (4, [])
    assert sorted(line["method"] for line in results.read(tmp_path / "results", "camvid")) == sorted(methods)

    more = grid(methods=[*methods, "lix"], **few)
    report = compare(more, results_dir=tmp_path / "results")
    assert here.trained[4:] == ["lix"], "its teacher is there"
    assert [line["method"] for line in report.lines] == [*methods, "lix"]
    here.trained.clear()
    assert len(compare(more, results_dir=tmp_path / "results").lines) == 5
    assert len(compare(more, results_dir=tmp_path / "elsewhere").lines) == 5, "finished runs have their lines"
    assert here.trained == [] and len(results.read(tmp_path / "elsewhere", "camvid")) == 5


def test_other_data_are_another_grid(here, few, tmp_path, camvid_root):
    recipes = grid(methods=["teacher", "student"], **few)
    first = compare(recipes, results_dir=tmp_path / "results")
    assert (first.trained, first.loaded, first.written) == (2, 0, 0)
    copy = shutil.copytree(camvid_root, tmp_path / "copy")
    moved = {**few, "roots": {"camvid": str(copy)}}
    again = compare(grid(methods=["teacher", "student"], **moved), results_dir=tmp_path / "results")
    assert (again.trained, again.loaded, again.written) == (0, 0, 2), "the same images elsewhere"
    (copy / "trainannot" / "0001TP_00001.png").write_bytes((copy / "trainannot" / "0001TP_00000.png").read_bytes())
    other = compare(grid(methods=["teacher", "student"], **moved), results_dir=tmp_path / "results")
    assert (other.trained, other.loaded, other.written) == (2, 0, 0)
    assert {line["data_digest"] for line in other.lines}.isdisjoint(line["data_digest"] for line in first.lines)
    assert len(results.read(tmp_path / "results", "camvid")) == 4, "side by side"
    elsewhere = compare(recipes, results_dir=tmp_path / "elsewhere")
    assert (elsewhere.trained, elsewhere.loaded, elsewhere.written) == (0, 2, 0)


def test_a_line_without_a_digest_is_of_toydrive_alone(here, few, tmp_path):
    (camvid,), (toydrive,) = grid(methods=["student"], **few), grid(methods=["student"], epochs=3)
    for recipe in (camvid, toydrive):
        line = {**result_header(Inputs(recipe)), "updates": 8, "metrics": dict.fromkeys(results.METRICS, 0.5)}
        results.append({name: value for name, value in line.items() if name != "data_digest"}, tmp_path)
    assert lixlib.lab.grid.lines_of([camvid, toydrive], tmp_path).keys() == {folder_of(toydrive)}
    report = compare([camvid, toydrive], results_dir=tmp_path)
    assert here.trained == ["student"] and (report.trained, report.written) == (1, 1)
    assert len(results.read(tmp_path, "camvid")) == 2


@pytest.mark.parametrize("content", ["", "[1]\n", "3\n", "null\n", '{"recipe": 3}\n', "twice"])
def test_a_damaged_line_of_a_run_is_made_again(content, here, few, runs, tmp_path):
    (recipe,) = grid(methods=["student"], **few)
    first = run(recipe, device="cpu", progress=False)
    path = first.folder / "result.jsonl"
    path.write_text(2 * path.read_text() if content == "twice" else content)
    with pytest.warns(UserWarning, match="result.jsonl is damaged"):
        report = compare([recipe], results_dir=tmp_path)
    assert report.lines == results.read(tmp_path, "camvid") and not report.failures
    assert report.lines == [{**first.line, "confusion": report.lines[0]["confusion"]}]


def test_a_wrong_line_in_the_results_stops_before_anything_trains(here, tmp_path, monkeypatch, capsys):
    path = tmp_path / "toydrive" / "mfnet.jsonl"
    path.parent.mkdir()
    path.write_text("[1]\n")
    words = ["lix", "compare", "--methods", "student", "--results", str(tmp_path), "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as stop:
        lixlib.cli.main()
    errors = capsys.readouterr().err
    assert stop.value.code == 2 and here.trained == []
    assert f"{path}, line 1 is no JSON object but of type list" in errors and len(errors.splitlines()) == 1


def test_a_teacher_of_which_only_the_line_is_there_is_trained_again(here, few, runs, tmp_path):
    compare(grid(methods=["teacher"], **few), results_dir=tmp_path)
    runs.rename(tmp_path / "gone")
    report = compare(grid(methods=["teacher", "kd"], **few), results_dir=tmp_path)
    assert here.trained == ["teacher", "teacher", "kd"]
    assert len(report.lines) == len(results.read(tmp_path, "camvid")) == 2


def test_a_teacher_that_nobody_asked_for_is_trained_and_has_no_line(here, few, tmp_path):
    report = compare(grid(methods=["kd"], **few), results_dir=tmp_path)
    assert here.trained == ["teacher", "kd"] and report.trained == 2
    assert [line["method"] for line in report.lines] == ["kd"]
    assert [line["method"] for line in results.read(tmp_path, "camvid")] == ["kd"]


def test_a_run_that_fails_takes_only_its_students_with_it(here, few, tmp_path, capsys):
    options = {**few, "splits": ("train", None, "test")}  # a split without X
    report = compare(grid(methods=["teacher", "kd", "student"], **options), results_dir=tmp_path)
    assert [line["method"] for line in report.lines] == ["student"]
    teacher, student = report.failures
    assert (teacher.recipe.method, student.recipe.method) == ("teacher", "kd")
    assert "testdisp" in teacher.error and "\n" not in teacher.error
    assert student.error.startswith("no folder"), "found before anything is trained"
    assert few["roots"]["camvid"] in teacher.command and "--method teacher" in teacher.command
    assert "camvid mfnet student, seed 0: mIoU" in capsys.readouterr().out


def test_an_unexpected_error_is_reported_too(here, few, tmp_path, monkeypatch):
    monkeypatch.setattr(lixlib.lab.run, "fit", lambda *_, **__: 1 / 0)
    (failure,) = compare(grid(methods=["student"], **few), results_dir=tmp_path).failures
    assert failure.error == "ZeroDivisionError: division by zero"


@pytest.mark.slow
def test_processes_side_by_side_give_the_numbers_of_one(tmp_path, monkeypatch):
    recipes = grid(methods=["teacher", "student"], epochs=2, **TOYDRIVE)
    report = compare(recipes, results_dir=tmp_path / "results", jobs=2, device="cpu")
    assert [line["method"] for line in report.lines] == ["teacher", "student"] and not report.failures
    assert all(line["device"].endswith("1 threads") for line in report.lines)
    assert report.lines[1]["command"].startswith("OMP_NUM_THREADS=1 lix train --dataset toydrive --method student")
    monkeypatch.setenv("LIX_RUNS", str(tmp_path / "alone"))
    alone = run(recipes[1], device="cpu").line
    assert report.lines[1]["metrics"] == pytest.approx(alone["metrics"])


def test_a_process_that_is_killed_is_a_failure(few, tmp_path, monkeypatch):
    start = lixlib.lab.grid._Processes.start

    def start_and_kill(workers, recipe):
        process = start(workers, recipe)
        os.kill(process.process.pid, signal.SIGKILL)
        return process

    monkeypatch.setattr(lixlib.lab.grid._Processes, "start", start_and_kill)
    recipes = grid(methods=["student"], **few)
    (failure,) = compare(recipes, results_dir=tmp_path, jobs=1).failures
    assert failure.error == "its process was killed by signal 9"
    monkeypatch.setattr(lixlib.lab.grid._Processes, "start", start)
    report = compare(recipes, results_dir=tmp_path, jobs=1)
    assert (report.trained, report.failures) == (1, []), "the same command again goes on"


def test_a_script_without_its_guard_is_told_what_it_lacks(tmp_path):
    script = tmp_path / "script.py"
    call = f"compare([Recipe(epochs=1)], results_dir={str(tmp_path)!r}, jobs=1)"
    lines = ("from lixlib.lab.grid import compare", "from lixlib.lab.recipe import Recipe")
    script.write_text("\n".join([*lines, f"print({call}.failures[0].error)"]))
    environment = {**os.environ, "LIX_RUNS": str(tmp_path / "runs"), "LIX_CACHE": str(tmp_path / "cache")}
    found = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, timeout=100)
    assert 'exit code 1 before it trained: a script calls compare below `if __name__ == "__main__":`' in found.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--jobs", "0"], "jobs is 0"),
        (["--methods", "magic"], "unknown method 'magic'"),
        (["--datasets", "ade20k"], "unknown data set 'ade20k'"),
        (["--root", "data/camvid"], "--root data/camvid: write DATASET=DIR with one of potholes, camvid"),
        (["--root", "camvid=a", "camvid=b"], "--root names a data set twice in camvid=a camvid=b"),
        (["--datasets", "camvid"], "data set 'camvid' is read from files: give its folder as --root camvid=DIR"),
        (["--seeds"], "--seeds is empty: nothing would be trained"),
        (["--methods"], "--methods is empty: nothing would be trained"),
        (["--root", "ade20k=x"], "--root ade20k=x: write DATASET=DIR"),
        (["--teacher", '{"method_options": {}}'], "a teacher has no 'method_options'"),
    ],
)
def test_a_wrong_option_is_one_line(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["lix", "compare", *words, "--results", str(tmp_path)])
    with pytest.raises(SystemExit) as stop:
        lixlib.cli.main()
    assert stop.value.code == 2
    errors = capsys.readouterr().err
    assert message in errors and len(errors.splitlines()) == 1


def test_the_command_fails_if_a_run_did(here, camvid_root, tmp_path, monkeypatch, capsys):
    words = ["--datasets", "camvid", "--methods", "student", "teacher", "--size", "32", "48", "--epochs", "1"]
    words += ["--splits", "train", "None", "test", "--batch-size", "4", "--results", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["lix", "compare", *words, "--root", f"camvid={camvid_root}"])
    with pytest.raises(SystemExit) as stop:
        lixlib.cli.main()
    output, errors = capsys.readouterr()
    assert stop.value.code == 1
    assert "1 of 2 runs are in" in output and "; 1 trained now, 0 loaded from " in output
    assert f", 0 already in {tmp_path}" in output
    assert f"failed: lix train --dataset camvid --method teacher --seed 0 --root {camvid_root}" in errors
    assert f" --results {tmp_path}\n" in errors, "the command that repeats it adds its line, too"
    assert errors.splitlines()[-1].endswith("or give the same compare command again")
    assert all_methods()[0] == "teacher" and errors.splitlines()[-2].strip().startswith("no folder")


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_what_is_stopped_leaves_no_process_and_goes_on(stop, runs, here, tmp_path):
    words = ["--methods", "student", "--epochs", "30", "--size", "32", "48", "--device", "cpu", "--jobs", "1"]
    words += ["--dataset-options", '{"count": 16, "eval_count": 2}', "--unlabelled", "4"]
    recipes = grid(methods=["student"], epochs=30, **TOYDRIVE)
    log = runs / folder_of(recipes[0]) / "log.jsonl"
    command = [sys.executable, "-m", "lixlib.cli", "compare", *words, "--results", str(tmp_path / "results")]
    # a shell starts what it puts in the background deaf to Ctrl-C, and children would inherit that
    hears = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)} if os.name == "posix" else {}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, **hears)
    children = []
    try:
        deadline = time.monotonic() + 200
        while process.poll() is None and not log.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        children = psutil.Process(process.pid).children(recursive=True)
    finally:
        process.send_signal(stop)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == (130 if stop == signal.SIGINT else -signal.SIGKILL), errors
    assert stop == signal.SIGKILL or "goes on after the last finished epoch" in errors
    assert psutil.wait_procs(children, timeout=20)[1] == []
    rows = read_json_lines(log)
    assert children and len(rows) < 30

    report = compare(recipes, results_dir=tmp_path / "results", device="cpu")
    assert here.trained == [line["method"] for line in report.lines] == ["student"]
    assert read_json_lines(log)[: len(rows)] == rows and len(read_json_lines(log)) == 30


@contextmanager
def imported_once(*modules):
    """Workers of a cluster on this machine are forks of a process that has imported these."""
    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        get_mp_context().set_forkserver_preload(list(modules))
        yield


@pytest.mark.slow
def test_a_killed_worker_of_a_cluster_has_its_run_done_by_another(runs, tmp_path):
    recipes = grid(methods=["teacher", "student"], epochs=12, **TOYDRIVE)
    log = runs / folder_of(recipes[1]) / "log.jsonl"
    with (
        imported_once("lixlib.lab.workers", "lightning_fabric", "distributed"),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
        ThreadPoolExecutor() as pool,
    ):
        address = cluster.scheduler_address
        grid_run = pool.submit(compare, recipes, results_dir=tmp_path / "results", scheduler=address, device="cpu")
        deadline = time.monotonic() + 200
        while not log.exists() and not grid_run.done():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        pids = client.run(os.getpid)
        (worker,) = (at for at, keys in client.processing().items() if str(folder_of(recipes[1])) in keys)
        os.kill(pids[worker], signal.SIGKILL)
        rows = read_json_lines(log)
        report = grid_run.result(timeout=200)
    assert [line["method"] for line in report.lines] == ["teacher", "student"] and not report.failures
    assert len(results.read(tmp_path / "results", "toydrive")) == 2
    found = read_json_lines(log)
    assert 0 < len(rows) < 12 == len(found) and found[: len(rows)] == rows, "it went on, and did not begin again"


def test_a_cluster_without_dask_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ValueError, match=r"needs Dask: install it by `pip install -e '.\[cluster\]'`"):
        compare(grid(methods=["student"]), results_dir=tmp_path, scheduler="tcp://127.0.0.1:1")
