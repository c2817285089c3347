"""Every notebook runs from top to bottom in a kernel of its own, and the outputs stored in it are the ones it gives.

The run with `quick` also looks at every figure and at every demo: `tests/support/figure_checks.py`. Where `quick` does
all that is done without it, and more, that run is compared with the stored outputs, and there is no other. The ends of
every control are visited once: by the run without `quick` if there is one.
"""

import os
import re

import figure_checks
import nbformat
import pytest
from in_process import InProcess
from notebook_code import demo_cells
from own_folder import COUNTS, own_folder

import lixlib.lab.grid
from lixlib.lab.grid import compare, grid
from tools.dev.execute_notebooks import FOLDER, NO_PICTURES, execute, headless, notebook_files

pytestmark = [pytest.mark.notebook, pytest.mark.usefixtures("forked_kernels")]

# train for minutes unless `quick`: two quick runs are compared with each other
LONG = {"09_distillation_run.ipynb", "15_gpu_run.ipynb"}
CHECKED = re.compile(r"^\s*# NBVAL_CHECK_OUTPUT\b", re.MULTILINE)
SECONDS_PER_CELL = 600
# the parameter, blocks that only `quick` runs or that no default runs, and the word in calls
ADDS = re.compile(r"quick: bool = False|if quick:$|if (rerun|deploy) and not quick:$|\bquick=True\b")


def only_adds(path):
    """Whether the notebook does everything with `quick` that it does without."""
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    told = [cell for cell in cells if re.search(r"\bquick\b", cell)]
    lines = [line for cell in told for line in cell.splitlines() if re.search(r"\bquick\b", line)]
    return all(map(ADDS.search, lines)) and not any(re.search(r"\bel(se|if)\b", cell) for cell in told)


BOTH = {path.name for path in notebook_files() if path.name not in LONG and only_adds(path)}
SHORT = [path.name for path in notebook_files() if path.name not in LONG | BOTH]


def checked_outputs(notebook):
    """The text that the cells marked with NBVAL_CHECK_OUTPUT give, by their sources."""
    outputs = {}
    for cell in notebook.cells:
        if cell.cell_type == "code" and CHECKED.search(cell.source):
            texts = [output.get("text") or output.get("data", {}).get("text/plain") for output in cell.outputs]
            outputs[cell.source] = "".join(text for text in texts if text)
    return outputs


def run(name, startup=NO_PICTURES, **parameters):
    return execute(FOLDER / name, SECONDS_PER_CELL, startup=startup, **parameters)


@pytest.mark.parametrize("name", [path.name for path in notebook_files()])
def test_papermill_runs_it_with_quick_and_its_figures_show_everything(name, monkeypatch, tmp_path):
    monkeypatch.delenv("LIX_RUNS", raising=False)  # no run is there already
    report = tmp_path / "figures.jsonl"
    notebook = run(name, figure_checks.startup(report, name, ends=name not in SHORT), quick=True)
    wrong, figures, demos = figure_checks.read(report)
    if wrong:
        pytest.fail("\n".join(wrong), pytrace=False)
    assert figures and demos == len(demo_cells(notebook))
    first = checked_outputs(notebook)
    assert first, "mark at least one cell, whose output is exact, with # NBVAL_CHECK_OUTPUT"
    assert all(first.values()), "a cell marked with # NBVAL_CHECK_OUTPUT prints nothing"
    if name in LONG:
        assert checked_outputs(run(name, quick=True)) == first
    if name in BOTH:
        assert checked_outputs(nbformat.read(FOLDER / name, as_version=4)) == first, "Run `make notebooks`."


@pytest.mark.parametrize("name", SHORT)
def test_nbval_finds_the_committed_outputs_current(name, monkeypatch, tmp_path):
    monkeypatch.delenv("LIX_RUNS", raising=False)
    for key in [key for key in os.environ if key.startswith("PYTEST_")]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    options = ["-q", "--nbval-lax", "--nbval-current-env", f"--nbval-cell-timeout={SECONDS_PER_CELL}"]
    plain = ["--capture=no", "-p", "no:cacheprovider", "-p", "no:faulthandler", "-p", "nbval.plugin"]
    with headless(tmp_path, NO_PICTURES):  # in this process: one of its own takes five seconds to start
        assert pytest.main([*options, *plain, str(FOLDER / name)]) == 0, "Run `make notebooks`."


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
    run("10_comparison.ipynb", results_folder=str(tmp_path / "results"), dataset="folder", quick=True)
