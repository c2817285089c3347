"""The pages in results: every folder has its command, the commands are accepted, and make what is committed."""

import importlib
import re
import shlex
import sys
from pathlib import Path

import pytest
import tyro

import lixlib.cli
from lixlib.lab.experiments import EXPERIMENTS
from lixlib.lab.grid import lines_of

ROOT = Path(__file__).resolve().parents[2]
RESULTS, HISTORY = ROOT / "results", ROOT / "results" / "history"
PAGES = {folder: (folder / "README.md").read_text(encoding="utf-8") for folder in (RESULTS, HISTORY)}
ROW = re.compile(r"^\| `(\w+)` \|.*?\| ([^|]+) \|$", re.MULTILINE)
ROWS = {name: made_by for page in PAGES.values() for name, made_by in ROW.findall(page)}
TABLE = re.search(r"^lix compare .*$", PAGES[HISTORY], re.MULTILINE)[0]
COMMANDS = [command for made_by in ROWS.values() for command in re.findall(r"`([^`]+)`", made_by)]
MADE_BY_HAND = {"tuning", "paper"}


@pytest.mark.parametrize("folder", PAGES, ids=lambda folder: folder.name)
def test_every_folder_has_its_row(folder):
    folders = {path.name for path in folder.iterdir() if path.is_dir()}
    assert {name for name, _ in ROW.findall(PAGES[folder])} == folders


def test_made_by_hand_is_said():
    without = {name for name, made_by in ROWS.items() if "`" not in made_by and "command" not in made_by}
    assert without == MADE_BY_HAND


def test_the_first_lines_say_what_makes_the_main_table():
    assert PAGES[RESULTS].index("`lix experiment main --seeds 0 1 2 3 4 5 ") < 200


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith(("python", "LIX_RUNS"))])
def test_a_tool_takes_its_options(command):
    words = shlex.split(command.removeprefix("LIX_RUNS=RUNS "))[1:]
    name, *given = words[1:] if words[0] == "-m" else words
    path = ROOT / (name if name.endswith(".py") else f"{name.replace('.', '/')}.py")
    assert path.is_file()
    tool = importlib.import_module(path.relative_to(ROOT).with_suffix("").as_posix().replace("/", "."))
    if given:
        tyro.cli(tool.Options, args=given)


@pytest.fixture
def asked(monkeypatch):
    """Runs a command of lix, and returns the recipes that it would train."""

    def run(command: str) -> list:
        found = []
        for name in ("compare", "experiment"):
            module = sys.modules[f"lixlib.cli.{name}"]
            monkeypatch.setattr(module, "train_grid", lambda recipes, *args, **options: found.extend(recipes))
        monkeypatch.setattr(sys, "argv", shlex.split(command))
        lixlib.cli.main()
        return found

    return run


@pytest.mark.parametrize("command", [TABLE, *(command for command in COMMANDS if "--networks" in command)])
def test_every_run_of_toydrive_has_its_line(command, asked):
    recipes = asked(command)
    assert len(recipes) >= 9 and len(lines_of(recipes, HISTORY)) == len(recipes)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_run_of_an_experiment_has_its_line(name, asked):
    (command,) = (
        each
        for each in COMMANDS
        if each.startswith("lix experiment") and ("tuning" if name == "tuning" else "NAME") in each
    )
    recipes = asked(command.replace("NAME", name))
    assert recipes and len(lines_of(recipes, RESULTS / "experiments")) == len(recipes)


@pytest.mark.parametrize("command", [command for command in COMMANDS if "--root" in command and "lix" in command[:4]])
def test_the_runs_of_real_data_are_those_of_the_lines(command, asked):
    recipes = asked(command)
    (dataset,) = {recipe.dataset for recipe in recipes}
    lines = (HISTORY / dataset / "mfnet.jsonl").read_text(encoding="utf-8")
    assert all(f"--method {recipe.method} --seed {recipe.seed} " in lines for recipe in recipes)
