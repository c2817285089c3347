"""What a run consists of: the trainings that it needs, each in a folder whose name changes with its numbers."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lixlib.core.digests import digest
from lixlib.core.files import as_name, at_home
from lixlib.distillers import TwoStage
from lixlib.distillers.common import default_options
from lixlib.distillers.registry import maker
from lixlib.lab import inputs
from lixlib.lab.recipe import Recipe
from lixlib.lab.record import RENDERED_BEFORE

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
    if recipe.distils and _has_stage(recipe):
        steps.append(Step("stage", recipe, stage_folder(recipe)))
    return [*steps, Step("run", recipe, folder_of(recipe))]


def runs_folder() -> Path:
    """Where runs are kept: the environment variable LIX_RUNS, or runs/ of the clone, or ./runs where there is none."""
    clone = Path(__file__).resolve().parents[2]
    default = clone / "runs" if (clone / "pyproject.toml").is_file() else Path("runs")
    return at_home(os.environ.get("LIX_RUNS") or default)


def folder_of(recipe: Recipe) -> Path:
    """Where the run lives, below the runs folder: its name changes with anything that changes its numbers."""
    identity = {**recipe.described, "hyper": recipe.options, **_of_data(lambda: inputs.data_digest(recipe))}
    return _folder(recipe, recipe.method, identity)


def stage_folder(recipe: Recipe) -> Path:
    """Where the stage of a `TwoStage` method lives; runs that differ in a loss weight, say, share it."""
    make = maker(recipe.method)
    options = {**default_options(make), **recipe.options}
    identity = {name: value for name, value in recipe.described.items() if name in STAGE_FIELDS}
    identity |= _of_data(lambda: inputs.digest_of_training(recipe))
    identity["teacher"] = folder_of(recipe.of_teacher()).as_posix()
    identity["options"] = {name: options.get(name) for name in make.STAGE_OPTIONS}
    return _folder(recipe, f"{recipe.method}-stage", identity)


def pretraining_folder(recipe: Recipe) -> Path:
    """Where the student's pretraining lives; the methods that start from it share it."""
    identity = {name: value for name, value in recipe.described.items() if name in PRETRAINING_FIELDS}
    identity |= _of_data(lambda: inputs.digest_of_training(recipe))
    identity["unlabelled"] = inputs.unlabelled_of_pretraining(recipe)
    return _folder(recipe, "pretraining", identity)


def _folder(recipe: Recipe, what: str, identity: dict) -> Path:
    return Path(recipe.dataset, as_name(recipe.network), f"{what}-seed{recipe.seed}-{digest(identity)[:8]}")


def _of_data(found: Callable[[], str]) -> dict:
    """The data's part of an identity; there is none where a digest is that of the runs of before it was told."""
    try:
        told = found()
    except (OSError, ValueError):
        told = None  # there can be no such run, and `run` says why
    return {} if told == RENDERED_BEFORE else {"data_digest": told}


def _has_stage(recipe: Recipe) -> bool:
    make = maker(recipe.method)
    return isinstance(make, type) and issubclass(make, TwoStage)
