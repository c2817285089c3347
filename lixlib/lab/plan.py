"""What a run consists of: the trainings that it needs, each in a folder whose name changes with its numbers."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from lixlib.core.digests import digest
from lixlib.core.files import as_name, at_home
from lixlib.lab.code import identity_of_code
from lixlib.lab.inputs import RENDERED_BEFORE, Inputs
from lixlib.lab.recipe import Recipe

# What decides a stage or a pretraining, by the words of `Recipe.described`; runs that agree in these share it.
OPTIMISED = ("network", "net", "seed", "batch", "precision", "data", "momentum", "weight_decay", "augmentation")
STAGE_FIELDS = (*OPTIMISED, "unlabelled", "labelled")
PRETRAINING_FIELDS = (*OPTIMISED, "size", "lr", "splits", "pretrain")

Kind = Literal["run", "pretraining", "stage"]


@dataclass(frozen=True, eq=False)
class Step:
    """One training: the run of a recipe, or a part of it that several runs share.

    Args:
        kind: "run" ends in weights and a result line; "pretraining" and "stage" are parts of the run of the recipe.
        inputs: the recipe's data.
    """

    kind: Kind
    inputs: Inputs

    @property
    def recipe(self) -> Recipe:
        return self.inputs.recipe

    @cached_property
    def teacher(self) -> "Step | None":
        """The run of the teacher that it learns from."""
        return Step("run", self.inputs.teacher) if self.recipe.distils else None

    @cached_property
    def folder(self) -> Path:
        """Where it lives, below the runs folder: the name changes with anything that changes its numbers."""
        recipe, data, described = self.recipe, self.inputs, self.recipe.described
        if self.kind == "run":
            decided = {**described, "hyper": recipe.options, **_told(data, "digest")}
            return _folder(recipe, recipe.method, decided)
        shared = STAGE_FIELDS if self.kind == "stage" else PRETRAINING_FIELDS
        decided = {name: described[name] for name in shared if name in described} | _told(data, "digest_of_training")
        if self.kind == "pretraining":
            return _folder(recipe, "pretraining", {**decided, "unlabelled": data.unlabelled_of_pretraining})
        decided |= {"teacher": self.teacher.folder.as_posix(), "options": recipe.stage}
        return _folder(recipe, f"{recipe.method}-stage", decided)


def plan(recipe: Recipe) -> list[Step]:
    """The trainings that a run needs, each after those that it starts from: its teacher, its parts, the run itself."""
    last = Step("run", Inputs(recipe))
    parts = {"pretraining": recipe.pretrain > 0, "stage": recipe.stage is not None}
    before = [last.teacher] if last.teacher else []
    return [*before, *(Step(kind, last.inputs) for kind, needed in parts.items() if needed), last]


def folder_of(recipe: Recipe, kind: Kind = "run") -> Path:
    """Where a recipe's run or a part of it lives, below the runs folder."""
    return Step(kind, Inputs(recipe)).folder


def runs_folder() -> Path:
    """Where runs are kept: the environment variable LIX_RUNS, or runs/ of the clone, or ./runs where there is none."""
    clone = Path(__file__).resolve().parents[2]
    default = clone / "runs" if (clone / "pyproject.toml").is_file() else Path("runs")
    return at_home(os.environ.get("LIX_RUNS") or default)


def _told(data: Inputs, digest_of: Literal["digest", "digest_of_training"]) -> dict:
    """The data's part of what names a folder."""
    try:
        told = getattr(data, digest_of)
    except (OSError, ValueError):
        told = None  # there can be no such run, and `run` says why
    return {} if told == RENDERED_BEFORE else {"data_digest": told}


def _folder(recipe: Recipe, what: str, decided: dict) -> Path:
    name = f"{what}-seed{recipe.seed}-{digest({**decided, **identity_of_code(recipe)})[:8]}"
    return Path(recipe.dataset, as_name(recipe.network), name)
