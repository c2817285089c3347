"""The experiments: valid and distinct recipes that share what must be shared, quick ones, and lines that are found."""

import json
import shlex
import sys
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from statistics import mean

import pytest
from test_grid import here  # noqa: F401  a fixture

import lixlib.cli
import lixlib.lab.run
from lixlib.core.files import read_json_lines, write_json_lines
from lixlib.lab.experiments import ARFD, AUXILIARY, DWLD, EXPERIMENTS, PRETRAIN, SCHEDULE, TUNING, read, recipes
from lixlib.lab.grid import lines_of
from lixlib.lab.inputs import Inputs
from lixlib.lab.plan import folder_of
from lixlib.lab.recipe import Recipe
from lixlib.lab.record import result_header
from lixlib.lab.results import METRICS, append, gains
from lixlib.lab.run import run
from lixlib.lab.workers import command_of

every = pytest.mark.parametrize("name", EXPERIMENTS)


def committed(recipe: Recipe, miou: float) -> dict:
    """A result line as it comes back from a file."""
    line = {**result_header(Inputs(recipe)), "updates": 8, "metrics": dict.fromkeys(METRICS, miou)}
    return json.loads(json.dumps(line))


@every
@pytest.mark.parametrize("quick", [False, True])
def test_the_recipes_of_an_experiment_are_valid_and_distinct(name, quick):
    found = recipes(name, seeds=(0, 1), quick=quick)
    assert list(found) == list(EXPERIMENTS[name])
    assert all(list(by_seed) == [0, 1] for by_seed in found.values())
    if not quick:  # where all teachers see the same few frames, say
        folders = {folder_of(recipe) for by_seed in found.values() for recipe in by_seed.values()}
        assert len(folders) == 2 * len(found), "no variant is another one by another name"
    for by_seed in found.values():
        assert {recipe.seed for recipe in by_seed.values()} == {0, 1}
        assert replace(by_seed[1], seed=0) == by_seed[0], "the seeds differ in nothing else"


@every
def test_a_variant_differs_from_the_schedule_in_what_it_says(name):
    for variant, by_seed in recipes(name).items():
        changes, recipe = EXPERIMENTS[name][variant], by_seed[0]
        assert recipe.method == changes["method"]
        assert (recipe.size, recipe.batch_size) == (SCHEDULE["size"], SCHEDULE["batch_size"])
        assert recipe.splits == changes.get("splits", SCHEDULE["splits"])
        of_teacher = recipe if recipe.method == "teacher" else recipe.of_teacher()
        if recipe.method not in ("teacher", "student"):
            assert of_teacher.epochs == changes.get("teacher", {}).get("epochs", SCHEDULE["teacher"]["epochs"])
            assert {**recipe.options, **changes.get("method_options", {})} == recipe.options
        if recipe.method != "teacher":
            assert recipe.epochs == SCHEDULE["epochs"]
            assert {
                **recipe.dataset_options,
                **SCHEDULE["dataset_options"],
                **changes.get("dataset_options", {}),
            } == recipe.dataset_options


def test_the_rivals_have_the_weights_that_won_on_validation_frames():
    folder = Path(__file__).resolve().parents[2] / "results" / "experiments"
    miou = {
        variant: mean(by_seed[seed]["metrics"]["mIoU"] for seed in TUNING)
        for variant, by_seed in read("tuning", folder, TUNING).items()
    }
    kd, auxiliary, pretrained = (
        {v: score for v, score in miou.items() if v.startswith(way)} for way in ("KD", "predicts X", "pretrained on X")
    )
    assert max(auxiliary, key=auxiliary.get) == f"predicts X, weight {AUXILIARY:g}"
    assert max(pretrained, key=pretrained.get) == f"pretrained on X, {PRETRAIN} epochs"
    assert miou["KD, weight 1"] > max(kd.values()) - 0.001, "a tenth of a point"
    assert len(kd) == len(auxiliary) == len(pretrained), "the same budget"


def test_experiments_share_their_runs():
    """One teacher and one student a seed serve all, and paper-literal DWLD is trained once."""
    (teacher,) = recipes("baselines")["teacher"].values()
    for name in ("beta", "table-iv", "weighting", "controller", "table-v", "samples", "taps", "bandwidth"):
        assert {folder_of(by_seed[0].of_teacher()) for by_seed in recipes(name).values()} == {folder_of(teacher)}, name
    assert recipes("table-iv")["fixed weight"] == recipes("beta")["DKD 4"]
    literal = [("beta", "DWLD, as published"), ("table-iv", "H = [P, c]"), ("weighting", "joint, kl")]
    literal += [("controller", "3, student"), ("temperature", "T = 1"), ("lambda-l", f"{DWLD['weight']:g}")]
    chosen = [("table-v", "laplace, cka"), ("samples", "positions"), ("lambda-f", f"{ARFD['weight']:g}")]
    chosen += [("grid", "64"), ("bandwidth", "1"), ("adapters", "student"), ("taps", "all")]
    for group in (literal, chosen):
        for (a, one), (b, other) in combinations(group, 2):
            assert folder_of(recipes(a)[one][0]) == folder_of(recipes(b)[other][0]), (a, b)


@every
def test_a_quick_experiment_is_small(name):
    for by_seed in recipes(name, quick=True).values():
        for recipe in (by_seed[0], by_seed[0] if by_seed[0].method == "teacher" else by_seed[0].of_teacher()):
            assert recipe.epochs == 2 and recipe.unlabelled <= 8 and recipe.pretrain <= 2
            assert recipe.dataset_options["count"] <= 8 and recipe.dataset_options["eval_count"] <= 8


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    """A folder for the lines of quick runs, which share their teachers."""
    folder = tmp_path_factory.mktemp("quick")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIX_RUNS", str(folder / "runs"))
        patch.setenv("LIX_CACHE", str(folder / "cache"))
        yield folder / "results"


@every
def test_a_quick_experiment_trains_and_is_found(name, scratch):
    small = {"quick": True, "size": (32, 48)}
    for by_seed in recipes(name, **small).values():
        append(run(by_seed[0], device="cpu", progress=False).line, scratch)
    found = read(name, scratch, (0,), **small)
    assert all(0 <= by_seed[0]["metrics"]["mIoU"] <= 1 for by_seed in found.values())


def test_common_options_go_over_the_schedule():
    (recipe,) = recipes("samples", (3,), size=(48, 64), precision="bf16-mixed")["channels"].values()
    assert (recipe.size, recipe.precision, recipe.seed) == ((48, 64), "bf16-mixed", 3)
    assert recipe.of_teacher().size == (48, 64)


def test_an_unknown_experiment_lists_those_that_there_are():
    with pytest.raises(ValueError, match="unknown experiment 'table-vi': choose one of baselines, beta, .*table-v,"):
        recipes("table-vi")


def test_read_finds_the_lines_that_are_there(tmp_path):
    assert read("samples", tmp_path) == {"positions": {}, "channels": {}}
    asked = recipes("samples", (0, 1))
    lines = [committed(asked[name][seed], miou) for name, seed, miou in (("positions", 0, 0.5), ("channels", 1, 0.25))]
    lines.append(committed(asked["positions"][1], 0.75))
    path = tmp_path / "toydrive" / "mfnet.jsonl"
    write_json_lines(path, [*lines, committed(recipes("samples", quick=True)["channels"][0], 0.1)])
    found = read("samples", tmp_path)
    assert found == {"positions": {0: lines[0], 1: lines[2]}, "channels": {1: lines[1]}}
    assert gains(found, "positions", against="channels") == {1: 50.0}, "in points"
    assert read("samples", tmp_path, (1,)) == {"positions": {1: lines[2]}, "channels": {1: lines[1]}}
    assert list(read("samples", tmp_path, quick=True)["channels"]) == [0], "the quick line is another run's"


def test_lines_of_takes_the_files_of_its_recipes(tmp_path, camvid_root):
    one = Recipe(method="kd", epochs=3)
    other = Recipe("camvid", root=str(camvid_root), network="off-net", method="student")
    assert lines_of([one, other], tmp_path) == {}
    for recipe in (one, other):
        path = tmp_path / recipe.dataset / f"{recipe.network}.jsonl"
        write_json_lines(path, [committed(replace(recipe, seed=5), 0.1), committed(recipe, 0.5)])
    found = lines_of(iter([one, other, replace(one, epochs=4)]), tmp_path)
    assert {folder: line["seed"] for folder, line in found.items()} == {folder_of(one): 0, folder_of(other): 0}
    named = replace(one, method_options=dict(reversed(one.options.items())))
    assert lines_of([named], tmp_path).keys() == {folder_of(one)}, "options that are the chosen ones are the same run"


@pytest.mark.parametrize("name", ["adapters", "auxiliary", "faults", "small-student", "teacher-data", "x"])
def test_the_command_of_a_variant_makes_its_run(name, monkeypatch):
    seen = []
    monkeypatch.setattr(lixlib.cli.train, "run", lambda recipe, **options: seen.append(recipe) or 1 / 0)
    for by_seed in recipes(name).values():
        monkeypatch.setattr(sys, "argv", shlex.split(command_of(by_seed[0])))
        with pytest.raises(ZeroDivisionError):
            lixlib.cli.main()
        assert folder_of(seen.pop()) == folder_of(by_seed[0]), sys.argv


def test_lix_experiment_trains_what_is_missing(here, tmp_path, monkeypatch, capsys):  # noqa: F811
    monkeypatch.setenv("LIX_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("LIX_CACHE", str(tmp_path / "cache"))
    words = ["lix", "experiment", "samples", "adapters", "--quick", "--seeds", "0", "--device", "cpu"]
    words += ["--results", str(tmp_path / "results")]
    monkeypatch.setattr(sys, "argv", [*words, "--only", "channels"])
    lixlib.cli.main()
    assert "1 of 1 runs are in" in capsys.readouterr().out and here.trained == ["teacher", "arfd"]
    here.trained.clear()
    monkeypatch.setattr(sys, "argv", words)
    lixlib.cli.main()
    said = capsys.readouterr().out
    assert f"3 of 3 runs are in {tmp_path / 'results'}; 2 trained now" in said
    assert here.trained == ["arfd", "arfd"], "two variants are one run, and one was there"
    lines = read_json_lines(tmp_path / "results" / "toydrive" / "mfnet.jsonl")
    assert len(lines) == 3 and all(line["epochs"] == 2 for line in lines)
    found = read("adapters", tmp_path / "results", (0,), quick=True)
    assert [list(by_seed) for by_seed in found.values()] == [[0], [0]]
    assert found["both"][0]["hyper"]["adapters"] == "both"

    lixlib.cli.main()
    assert "3 of 3 runs are in" in (text := capsys.readouterr().out) and "; 0 trained now" in text
    rows = [line.partition(", seed")[0].split("  ")[0] for line in said.splitlines()[-6:]]
    assert rows == [
        *("samples, in %", "toydrive mfnet positions", "toydrive mfnet channels"),
        *("adapters, in %", "toydrive mfnet student", "toydrive mfnet both"),
    ], "a row has the name of its variant; all are ARFD"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["table-vi"], "unknown experiment 'table-vi': choose one of baselines"),
        (["beta", "--jobs", "0"], "jobs is 0"),
        (["beta", "--only", "--jobs", "0"], "--only is empty: nothing would be trained"),
        (
            ["samples", "beta", "--only", "chanels"],
            "unknown variant 'chanels': choose one of 'positions', 'channels', 'DKD 1',",
        ),
        (["beta", "camvid"], "data set 'camvid' is read from files: give its folder as --root DIR"),
    ],
)
def test_a_wrong_option_of_experiment_is_one_line(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LIX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "argv", ["lix", "experiment", *words, "--results", str(tmp_path)])
    with pytest.raises(SystemExit) as stop:
        lixlib.cli.main()
    errors = capsys.readouterr().err
    assert stop.value.code == 2 and message in errors and len(errors.splitlines()) == 1


def test_a_wrong_root_is_told_with_the_command_of_every_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LIX_RUNS", str(tmp_path / "runs"))
    words = ["lix", "experiment", "nyuv2-150", "--only", "KD", "--seeds", "0", "--root", str(tmp_path / "not there")]
    monkeypatch.setattr(sys, "argv", [*words, "--results", str(tmp_path)])
    with pytest.raises(SystemExit) as stop:
        lixlib.cli.main()
    told = capsys.readouterr().err
    assert stop.value.code == 1 and f"--root '{tmp_path / 'not there'}'" in told and "no folder" in told
