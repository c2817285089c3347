"""Describe the weights that `lix predict` takes, and find weights that fit a data set."""

from pathlib import Path
from typing import Annotated

import tyro
from torch import nn

from lixlib import checkpoints
from lixlib.core.files import at_home, read_json_lines
from lixlib.lab.plan import runs_folder

DEFAULT = "camvid-mfnet-lix-ours"  # of `lix predict`
OWN = "folder"  # not one data set but as many as there are folders
RENDERED = "toydrive"  # its images are rendered, not photographed
MOST = 3  # runs that are listed as alternatives

Trust = Annotated[
    tyro.conf.FlagCreatePairsOff[bool],
    tyro.conf.arg(
        help="Import and run the code of a network that the weights name as module.path:factory; only for weights "
        "from people you trust."
    ),
]


def load(source: Path | str, trust: bool) -> tuple[nn.Module, dict]:
    """`checkpoints.load`, with trust in everything below the runs folder: `lix train` has written it."""
    own = at_home(source).resolve().is_relative_to(runs_folder().resolve())
    return checkpoints.load(source, trust=trust or own)


def students_of(dataset: str) -> list[Path]:
    """Weights of students that were trained on a data set: the library's, best first, then runs, newest first."""
    score = {name: about["result"]["metrics"]["mIoU"] for name, about in checkpoints.index().items()}
    names = (name for name in sorted(score, key=score.__getitem__, reverse=True) if name.startswith(f"{dataset}-"))
    shipped = map(checkpoints.shipped, names)
    runs = sorted(
        (runs_folder() / dataset).glob("*/*/weights.safetensors"), key=lambda file: file.stat().st_mtime, reverse=True
    )
    return [file for file in (*shipped, *runs) if _is_student(file)]


def choose(dataset: str) -> tuple[Path, list[str]]:
    """Choose weights for photographs of a data set; also return lines that name the alternatives.

    Raises:
        FileNotFoundError: there is no student that was trained on it.
        ValueError: runs on folders have different classes, so that the folders are different data sets.
    """
    found = students_of(dataset)
    newest = {tuple(checkpoints.describe(file)["classes"]): file for file in reversed(found)}  # of each list of classes
    if dataset == OWN and len(newest) > 1:
        told = "; ".join(f"{file} ({', '.join(classes)})" for classes, file in newest.items())
        raise ValueError(f"runs on {OWN} have different classes: choose one by --weights. The newest of each: {told}")
    if not found:
        raise FileNotFoundError(
            f"no weights of a student of {dataset} come with lixlib, and none is in {runs_folder()}: train one with "
            f"`lix train --dataset {dataset}`, or give --weights"
        )
    first, *others = found
    runs = [file for file in others if file.parent != checkpoints.CHECKPOINTS]
    return first, [f"there is also {file}{_score(file)}" for file in runs[:MOST]]


def about(name: str, recipe: dict, dataset: str | None) -> list[str]:
    """Describe the weights of a student in lines for the user: how they were trained, and whether they fit.

    Args:
        dataset: the data set that the photographs are from; None if unknown.
    """
    trained = recipe.get("recipe", {})
    on, method = trained.get("dataset"), trained.get("method")
    height, width = recipe["size"]
    by = {None: "", "student": " without a teacher"}.get(method, f" by {method}")
    lines = [
        f"{name}: {recipe['network']}, trained{by} on {on or 'a data set that is not named'} at {height} x {width}, "
        f"{len(recipe['classes'])} classes"
    ]
    if dataset is not None and on is not None and dataset != on:
        better = students_of(dataset)
        advice = f"take --weights {named(better[0])}" if better else f"there are none trained on {dataset}"
        lines.append(f"the photographs are from {dataset}, and these weights are not: {advice}")
    elif on == RENDERED and dataset != RENDERED:
        others = [file.stem for file in sorted(checkpoints.CHECKPOINTS.glob("*.safetensors")) if _sees_photos(file)]
        lines.append(
            "they were trained on rendered streets and have never seen a photograph: the result is a demonstration"
            + (f"; for photographs of streets take --weights {others[0]}" if others else "")
        )
    return lines


def named(file: Path) -> str:
    """The name of weights of the library, or else the path."""
    return file.stem if file.parent == checkpoints.CHECKPOINTS else str(file)


def _is_student(file: Path) -> bool:
    try:
        about = checkpoints.describe(file)
        # a teacher of RGB alone could be called, but it is a control, and no student
        return about["x_channels"] is None and about.get("recipe", {}).get("method") != "teacher"
    except (OSError, ValueError):  # damaged files are not recommended
        return False


def _sees_photos(file: Path) -> bool:
    return not file.stem.startswith(f"{RENDERED}-") and _is_student(file)


def _score(file: Path) -> str:
    try:
        (line,) = read_json_lines(file.with_name("result.jsonl"))
        return f" (mIoU {100 * line['metrics']['mIoU']:.1f} % on {line['split']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
