"""`lix demo`: a teacher, a student and two LIX students, and the notebook that explains them."""

import ast
import json
import os
import sys
from pathlib import Path

import tyro

from lixlib.cli.app import app, command_line, origin
from lixlib.cli.photographs import say
from lixlib.lab import results
from lixlib.lab.demo import four_networks, train_four
from lixlib.lab.plan import runs_folder
from lixlib.lab.run import run
from lixlib.lab.tables import metric_table

REPOSITORY = Path(__file__).resolve().parents[2]
DEMO = REPOSITORY / "notebooks" / "09_distillation_run.ipynb"


@app.command
def demo(quick: tyro.conf.FlagCreatePairsOff[bool] = False) -> None:
    """Train four networks on ToyDrive, several at a time, and run the notebook that explains them.

    They are a teacher of RGB and X, a student of RGB, a LIX student of that teacher, and a LIX student of a teacher
    that sees RGB alone, which shows what X adds.

    What was trained before is loaded, and what was interrupted goes on. Runs are kept in runs/ of the clone, or in the
    folder that the environment variable LIX_RUNS names.

    Example: lix demo --quick

    Args:
        quick: Train for seconds on a few frames, only to see that everything works.
    """
    if not DEMO.is_file():
        raise FileNotFoundError(f"no notebook {DEMO}: `lix demo` needs a clone, installed with `pip install -e .`")
    os.environ["LIX_HEADLESS"] = "1"
    parameters = _notebook_parameters(DEMO) | {"quick": quick}
    device = parameters.pop("device")
    recipes = four_networks(**parameters)
    folder = runs_folder().resolve() / "demo"
    # trained here, where the terminal shows the bar; the notebook finds the finished runs
    train_four(recipes, results_dir=folder / "results", device=device)
    runs = {role: run(recipe, device=device, command=command_line()) for role, recipe in recipes.items()}
    say("\n".join(map(origin, runs.values())), sys.stdout)
    executed = _execute(DEMO, folder / DEMO.name, quick=quick)
    metrics = {role: each.line["metrics"] for role, each in runs.items()}
    table = metric_table(
        *(metrics[role] for role in ("teacher", "student", "distilled")),
        name=results.title(runs["distilled"].line),
        without_x=metrics["taught without X"],
    )
    say(table, sys.stdout)
    say(f"executed notebook: {os.path.relpath(executed)}", sys.stdout)


def _notebook_parameters(path: Path) -> dict:
    """The values of a notebook's parameter cell, by name."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if "parameters" in cell["metadata"].get("tags", []):
            statements = ast.parse("".join(cell["source"])).body
            return {statement.target.id: ast.literal_eval(statement.value) for statement in statements}
    raise ValueError(f"{path} has no cell tagged `parameters`")


def _execute(notebook: Path, executed: Path, **parameters) -> Path:
    """Run a notebook without a browser, from its own folder, and write it with its outputs."""
    import papermill  # here alone: slow to import

    executed.parent.mkdir(parents=True, exist_ok=True)
    papermill.execute_notebook(
        notebook,
        executed,
        parameters,
        kernel_name="python3",
        cwd=notebook.parent,
        start_timeout=120,
        execution_timeout=3600,
        extra_arguments=["--log-level=ERROR"],  # of the kernel: no warning that it talks to us unencrypted
    )
    return executed
