"""Every notebook runs from top to bottom in a kernel of its own, and the outputs stored in it are the ones it gives.

With `quick` every notebook runs in test_notebook_figures.py, and in a browser in test_notebooks_browser.py.
"""

import re

import nbformat
import pytest
from in_process import InProcess
from own_folder import COUNTS, own_folder

import lixlib.lab.grid
from lixlib.lab.grid import compare, grid
from tools.dev.execute_notebooks import FOLDER, execute, notebook_files

pytestmark = pytest.mark.notebook

LONG = {"09_distillation_run.ipynb"}  # train for minutes unless `quick`: two quick runs are compared with each other
CHECKED = re.compile(r"^\s*# NBVAL_CHECK_OUTPUT\b", re.MULTILINE)
SHORT = [path.name for path in notebook_files() if path.name not in LONG]
SECONDS_PER_CELL = 600


def checked_outputs(notebook):
    """The text that the cells marked with NBVAL_CHECK_OUTPUT give, by their sources."""
    outputs = {}
    for cell in notebook.cells:
        if cell.cell_type == "code" and CHECKED.search(cell.source):
            texts = [output.get("text") or output.get("data", {}).get("text/plain") for output in cell.outputs]
            outputs[cell.source] = "".join(text for text in texts if text)
    return outputs


def run(name, **parameters):
    return execute(FOLDER / name, SECONDS_PER_CELL, pictures=False, **parameters)


@pytest.mark.parametrize("name", SHORT)
def test_committed_outputs_are_current(name, monkeypatch):
    monkeypatch.delenv("LIX_RUNS", raising=False)  # no run is there already
    committed = checked_outputs(nbformat.read(FOLDER / name, as_version=4))
    assert committed, "mark at least one cell, whose output is exact, with # NBVAL_CHECK_OUTPUT"
    assert all(committed.values()), "a cell marked with # NBVAL_CHECK_OUTPUT prints nothing"
    assert checked_outputs(run(name)) == committed, "run `make notebooks`"


@pytest.mark.parametrize("name", sorted(LONG))
def test_two_quick_runs_give_the_same_outputs(name, monkeypatch):
    monkeypatch.delenv("LIX_RUNS", raising=False)
    first, second = (checked_outputs(run(name, quick=True)) for _ in range(2))
    assert first and all(first.values()) and first == second


def test_the_run_and_the_comparison_take_a_data_set_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.setenv("LIX_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(lixlib.lab.grid, "_Processes", InProcess)
    root = own_folder(tmp_path / "mine", COUNTS | {"train": 8})
    about = {"dataset": "folder", "root": str(root), "quick": True}
    run("09_distillation_run.ipynb", **about)
    small = {"size": (24, 32), "epochs": 1, "batch_size": 4, "network_options": {"width": 0.25}}
    roots, methods = {"folder": str(root)}, ("teacher", "student", "kd", "lix")
    recipes = grid(datasets=("folder",), methods=methods, seeds=(0, 1), roots=roots, **small)
    assert not compare(recipes, results_dir=tmp_path / "results", jobs=1, device="cpu").failures
    run("10_comparison.ipynb", results_folder=str(tmp_path / "results"), **about)
