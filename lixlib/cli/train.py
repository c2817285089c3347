"""`lix train`: one run."""

import os
import sys
from pathlib import Path
from typing import Annotated

import tyro
from torch.distributed import is_torchelastic_launched

from lixlib.cli.app import Device, app, command_line, metrics_table, origin
from lixlib.cli.photographs import say
from lixlib.core import devices
from lixlib.lab import results
from lixlib.lab.recipe import Recipe
from lixlib.lab.run import run


@app.command
def train(
    recipe: Annotated[Recipe, tyro.conf.arg(name="")],
    device: Device = "auto",
    results_dir: Annotated[Path | None, tyro.conf.arg(name="results", metavar="DIR")] = None,
) -> None:
    """Train one network: a teacher, a student alone, or a student distilled by a method (its teacher is trained first).

    A finished run is loaded, an interrupted one goes on; other data make another run. Runs are kept in runs/ of the
    clone, or in the folder that the environment variable LIX_RUNS names.

    {names}

    Example: lix train --method student --seed 1

    With options of the method, and a line added to results/camvid/mfnet.jsonl:
    lix train --dataset camvid --root data/camvid --method lix --method-options '{"lambda_l": 0.5}' --results results

    In two processes, on two GPUs where there are some:
    torchrun --nproc_per_node=2 -m lixlib.cli train --method lix

    Args:
        results_dir: Folder to whose DATASET/NETWORK.jsonl the result line is added.
    """
    devices.choose_device(device)
    if recipe.in_vain and os.environ.get("RANK", "0") == "0":  # no error: scripts give every method the same options
        say(
            f"lix: --unlabelled {recipe.in_vain} has no effect: a {recipe.method} learns from labels alone. "
            "Students that are distilled, e.g. by --method kd, learn from images without labels, too",
            sys.stderr,
        )
    if results_dir is not None:
        results.check_folder(results_dir, recipe.dataset, recipe.network)
    finished = run(recipe, device=device, command=command_line())
    if is_torchelastic_launched() and os.environ["RANK"] != "0":  # of several processes the first one tells
        return
    written = results.append(finished.line, results_dir) if results_dir is not None else None
    say("\n".join(origin(each) for each in (finished.teacher, finished) if each), sys.stdout)
    say(metrics_table([finished.line]), sys.stdout)
    say(f"weights: {finished.folder / 'weights.safetensors'}", sys.stdout)
    if written:
        say(f"results: {written}", sys.stdout)
