"""What a run consists of: the trainings that it needs, each in a folder whose name changes with its numbers."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lixlib.core.digests import digest
from lixlib.core.files import as_name, at_home
from lixlib.lab import inputs
from lixlib.lab.code import identity_of_code
from lixlib.lab.recipe import Recipe

# What decides a stage or a pretraining, by the words of `Recipe.described`; runs that agree in these share it.
STAGE_FIELDS = ("network", "net", "seed", "batch", "precision", "unlabelled", "labelled", "data")
PRETRAINING_FIELDS = ("network", "net", "seed", "size", "batch", "lr", "precision", "splits", "data", "pretrain")


@dataclass(frozen=True)
class Step:
    """One training: the run of a recipe, or a part of it that several runs share.

    Args:
        kind: "run" ends in weights and a result line; "pretraining" and "stage" are parts of the run of `recipe`.
        folder: where it lives, below the runs folder.
    """

    kind: Literal["run", "pretraining", "stage"]
    recipe: Recipe
    folder: Path


def plan(recipe: Recipe) -> list[Step]:
    """The trainings that a run needs, each after those that it starts from: its teacher, its parts, the run itself."""
    steps = []
    if recipe.distils:
        steps.append(Step("run", recipe.of_teacher(), folder_of(recipe.of_teacher())))
    if recipe.pretrain:
        steps.append(Step("pretraining", recipe, pretraining_folder(recipe)))
    if recipe.stage is not None:
        steps.append(Step("stage", recipe, stage_folder(recipe)))
    return [*steps, Step("run", recipe, folder_of(recipe))]


def runs_folder() -> Path:
    """Where runs are kept: the environment variable LIX_RUNS, or runs/ of the clone, or ./runs where there is none."""
    clone = Path(__file__).resolve().parents[2]
    default = clone / "runs" if (clone / "pyproject.toml").is_file() else Path("runs")
    return at_home(os.environ.get("LIX_RUNS") or default)


def folder_of(recipe: Recipe) -> Path:
    """Where the run lives, below the runs folder: its name changes with anything that changes its numbers."""
    decided = {"hyper": recipe.options, **inputs.identity(recipe)}
    return _folder(recipe, recipe.method, decided, recipe.described)


def stage_folder(recipe: Recipe) -> Path:
    """Where the stage of a `TwoStage` method lives; runs that differ in a loss weight, say, share it."""
    shared = {name: value for name, value in recipe.described.items() if name in STAGE_FIELDS}
    decided = {"teacher": folder_of(recipe.of_teacher()).as_posix(), "options": recipe.stage}
    return _folder(recipe, f"{recipe.method}-stage", decided | inputs.identity_of_training(recipe), shared)


def pretraining_folder(recipe: Recipe) -> Path:
    """Where the student's pretraining lives; the methods that start from it share it."""
    shared = {name: value for name, value in recipe.described.items() if name in PRETRAINING_FIELDS}
    decided = {"unlabelled": inputs.unlabelled_of_pretraining(recipe)}
    return _folder(recipe, "pretraining", decided | inputs.identity_of_training(recipe), shared)


def _folder(recipe: Recipe, what: str, decided: dict, shared: dict) -> Path:
    name = f"{what}-seed{recipe.seed}-{digest({**shared, **decided, **identity_of_code(recipe)})[:8]}"
    return Path(recipe.dataset, as_name(recipe.network), name)
