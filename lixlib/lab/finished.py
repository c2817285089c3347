"""The folder of a finished run: its files, how they are read, and what becomes of damaged ones."""

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from lixlib import checkpoints
from lixlib.core.files import one_at_a_time, read_json_lines, remove_leftovers, set_aside
from lixlib.lab.plan import Step, runs_folder
from lixlib.lab.recipe import Recipe
from lixlib.lab.record import Record, read_lines

if TYPE_CHECKING:
    from lightning_fabric import Fabric

WEIGHTS, RESULT, LOG = "weights.safetensors", "result.jsonl", "log.jsonl"  # of a run's folder
FILES = (WEIGHTS, RESULT, LOG)  # in the order of the fields of `Run`
AGAIN = "it is made again, from the checkpoint or by training"


@dataclass(frozen=True)
class Run:
    """A finished run: its network in eval mode, its result line, its log.

    `trained` says whether this call trained it, or loaded what was there; `teacher` is the run that it learnt from,
    where this call needed it.
    """

    recipe: Recipe
    net: nn.Module
    line: Record
    log: list[dict]
    folder: Path
    trained: bool
    teacher: "Run | None" = None


def load(step: Step) -> Run | None:
    """The finished run of a step; None where it has to be trained."""
    folder = runs_folder() / step.folder
    found, problems = _read_files(folder)
    if problems:
        return None
    remove_leftovers(folder)
    return Run(step.recipe, *(found[name] for name in FILES), folder, trained=False)


def load_trained(step: Step, *, trained: bool, teacher: Run | None) -> Run:
    """The run of a step that was trained a moment ago, by this command or by another one.

    Raises:
        OSError: what was written cannot be read.
    """
    folder = runs_folder() / step.folder
    found, problems = _read_files(folder)
    for path, problem in problems.items():
        raise OSError(f"{path} {problem}, though it has just been written")
    return Run(step.recipe, *(found[name] for name in FILES), folder, trained, teacher if trained else None)


def finished_line(folder: Path) -> Record | None:
    """The result line in a run's folder, below the runs folder; None where there is none, or a damaged one."""
    try:
        return _read_result(runs_folder() / folder / RESULT)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def alone(folder: Path, fabric: "Fabric") -> AbstractContextManager:
    """Of the commands that train in a folder only one at a time; its first process waits, and the others for it."""
    return one_at_a_time(folder) if fabric.is_global_zero else nullcontext()


@contextmanager
def to_train(step: Step, fabric: "Fabric") -> Iterator[bool]:
    """Hold the run's folder while it is trained; gives whether it still has to be, with damaged files set aside."""
    folder = runs_folder() / step.folder
    with alone(folder, fabric):
        _, problems = _read_files(folder)
        needed = fabric.broadcast(bool(problems))
        if needed and fabric.is_global_zero:
            _set_aside(problems)
        yield needed
    fabric.barrier()


def _read_files(folder: Path) -> tuple[dict[str, Any], dict[Path, str]]:
    """What the files of a run hold, by their names, and what is wrong with them; a run without a line is none yet."""
    found, problems = {}, {}
    read_weights = partial(checkpoints.load, trust=True)  # our own, though a network's factory may be of others
    for name, read in {RESULT: _read_result, LOG: _read_log, WEIGHTS: read_weights}.items():
        try:
            found[name] = read(folder / name)
        except (FileNotFoundError, NotADirectoryError):
            problems[folder / name] = "is missing"
            if name == RESULT:
                break
        except (IsADirectoryError, ValueError) as error:
            problems[folder / name] = f"is damaged ({error})"
    if not problems:
        found[WEIGHTS], description = found[WEIGHTS]
        if description.get("recipe") != found[RESULT].get("recipe"):
            problems[folder / WEIGHTS] = "holds the weights of another run"
        elif len(found[LOG]) != found[RESULT]["epochs"]:
            problems[folder / LOG] = f"has {len(found[LOG])} epochs of {found[RESULT]['epochs']}"
    return found, problems


def _read_result(path: Path) -> Record:
    lines = read_lines(path)
    if len(lines) != 1:
        raise ValueError(f"{path} has {len(lines)} lines: a run has one")
    return lines[0]


def _read_log(path: Path) -> list[dict]:
    rows = read_json_lines(path)
    if [row.get("epoch") for row in rows] != [*range(1, len(rows) + 1)]:
        raise ValueError(f"{path} has not one line for every epoch")
    return rows


def _set_aside(problems: dict[Path, str]) -> None:
    for path, problem in problems.items():
        if path.exists():
            set_aside(path, f"{problem}: {AGAIN}")
        elif path.name != RESULT:  # without that the run was not finished
            warnings.warn(f"{path} {problem}: {AGAIN}", stacklevel=3)
