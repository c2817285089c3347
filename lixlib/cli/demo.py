"""`lix demo`: a teacher, a student and a LIX student, and the notebook that explains them."""

import ast
import json
import os
import sys
from pathlib import Path

import tyro

from lixlib.cli.app import app, command_line, origin
from lixlib.cli.photographs import say
from lixlib.lab import results
from lixlib.lab.plan import runs_folder
from lixlib.lab.recipe import teacher_student_distilled
from lixlib.lab.run import run

REPOSITORY = Path(__file__).resolve().parents[2]
DEMO = REPOSITORY / "notebooks" / "09_distillation_run.ipynb"


@app.command
def demo(quick: tyro.conf.FlagCreatePairsOff[bool] = False) -> None:
    """Train a teacher, a student and a LIX student on ToyDrive, and run the notebook that explains them.

    What was trained before is loaded, and what was interrupted goes on. Runs are kept in runs/ of the clone, or in the
    folder that the environment variable LIX_RUNS names.

    Example: lix demo --quick

    Args:
        quick: Train for seconds on a few frames, only to see that everything works.
    """
    from lixlib.plots import metric_table  # here alone: drawing is slow to import

    if not DEMO.is_file():
        raise FileNotFoundError(f"no notebook {DEMO}: `lix demo` needs a clone, installed with `pip install -e .`")
    os.environ["LIX_HEADLESS"] = "1"
    parameters = _notebook_parameters(DEMO) | {"quick": quick}
    device = parameters.pop("device")
    # trained here, where the terminal shows the bars; the notebook finds the finished runs
    runs = [run(recipe, device=device, command=command_line()) for recipe in teacher_student_distilled(**parameters)]
    teacher, student, distilled = runs
    say("\n".join(map(origin, runs)), sys.stdout)
    executed = _execute(DEMO, runs_folder().resolve() / "demo" / DEMO.name, quick=quick)
    metrics = (each.line["metrics"] for each in (teacher, student, distilled))
    say(metric_table(*metrics, name=results.title(distilled.line)), sys.stdout)
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
