"""Training what a recipe says: every step of its plan, from where it was left, to weights, a log and a result line."""

import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from lixlib import checkpoints, data
from lixlib.core.files import one_at_a_time, read_json_lines, remove_leftovers, set_aside, write_json_lines
from lixlib.distillers import Distiller, PredictX
from lixlib.lab import results
from lixlib.lab.plan import Step, plan, runs_folder
from lixlib.lab.prepare import augmentation_of, check_distillation, check_inputs, distiller_of, schedule_of
from lixlib.lab.recipe import Recipe
from lixlib.lab.record import description_of, provenance, result_header, scored
from lixlib.training import Schedule, evaluate, fit, fit_stage, launch

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
    line: dict
    log: list[dict]
    folder: Path
    trained: bool
    teacher: "Run | None" = None


def run(
    recipe: Recipe,
    *,
    device: str = "auto",
    command: str = "",
    observe: Callable[[int, Distiller], dict] | None = None,
    progress: bool = True,
) -> Run:
    """Train what the recipe says, its teacher first; what is finished is loaded, what was killed goes on.

    What is damaged or missing in a run's folder is told, set aside, and made again: from its checkpoint where that is
    whole, else by training. Other data make another run (`lixlib.lab.inputs.Inputs.digest`).

    Of several commands that ask for the same run at the same time one trains it, and the others wait and load it.
    Processes that torchrun started train it together (`lixlib.training.fit`); they must see the same runs folder.

    Args:
        device: auto takes a GPU if there is one; or cpu, cuda.
        command: the command line that the result line shall name.
        observe: see `lixlib.training.fit`; a finished run is not observed again.
        progress: show a progress bar.

    Raises:
        ValueError, FileNotFoundError: the recipe or its data are wrong; the message says what to do.
        TrainingFailed: the loss is not finite.
    """
    *before, last = plan(recipe)
    last.inputs.digest  # noqa: B018  says what is wrong with the files before anything else happens
    fabric = launch(device, recipe.precision)
    if fabric.broadcast((finished := _load(last)) is not None):
        return finished
    with fabric.rank_zero_first():  # the first process renders what the others then find in the cache
        check_inputs(last.inputs)
    teacher = None
    for step in before:
        if step.kind == "run" and fabric.broadcast((teacher := _load(step)) is None):
            with fabric.rank_zero_first():
                check_distillation(last.inputs)
            teacher = _train_once(_Job(step, launch(device, step.recipe.precision), command, progress))
    parts = [step for step in before if step.kind != "run"]
    return _train_once(_Job(last, fabric, command, progress, parts, teacher, observe))


def finished_line(folder: Path) -> dict | None:
    """The result line in a run's folder, below the runs folder; None where there is none, or a damaged one."""
    try:
        return _read_result(runs_folder() / folder / RESULT)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


@dataclass(frozen=True)
class _Job:
    """One run to train: its step, the parts and the teacher that it starts from, and how it is trained."""

    step: Step
    fabric: "Fabric"
    command: str
    progress: bool
    parts: Sequence[Step] = ()
    teacher: Run | None = None
    observe: Callable[[int, Distiller], dict] | None = None

    @property
    def folder(self) -> Path:
        return runs_folder() / self.step.folder


def _train_once(job: _Job) -> Run:
    """Train a run, unless another command has done so by now; what is damaged is set aside first."""
    folder, fabric = job.folder, job.fabric
    with _alone(fabric, folder):
        _, problems = _read_files(folder)
        trained = fabric.broadcast(bool(problems))
        if trained:
            if fabric.is_global_zero:
                _set_aside(problems)
            _train(job)
    fabric.barrier()
    found, problems = _read_files(folder)
    for path, problem in problems.items():
        raise OSError(f"{path} {problem}, though it has just been written")
    teacher = job.teacher if trained else None
    return Run(job.step.recipe, *(found[name] for name in FILES), folder, trained, teacher)


def _train(job: _Job) -> None:
    """Prepare, train, score, and write the files of the run."""
    recipe, inputs, fabric, teacher = job.step.recipe, job.step.inputs, job.fabric, job.teacher
    header = result_header(inputs)
    distiller = distiller_of(recipe, teacher.net if teacher else None, inputs.train, progress=job.progress)
    schedule = schedule_of(recipe)
    options = {"augment": augmentation_of(recipe), "fabric": fabric, "progress": job.progress}
    early = [row for part in job.parts for row in _train_part(part, distiller, schedule, options)]
    watched = {"validation": inputs.validation, "observe": job.observe}
    log = fit(distiller, inputs.train, schedule, folder=job.folder, **watched, **options)
    if not fabric.is_global_zero:
        return
    student, classes = distiller.student, inputs.train.classes
    checkpoints.save(student, job.folder / WEIGHTS, description_of(recipe, student, classes))
    line = {
        **header,
        "epochs": len(log),
        "updates": len(log) * (len(inputs.train) // schedule.batch),
        **scored(evaluate(student, inputs.test, batch=recipe.batch_size, device=fabric.device), classes.names),
        "teacher": teacher.folder.relative_to(runs_folder()).as_posix() if teacher else None,
        "seconds": _seconds(early + log),
        **({"stage_seconds": _seconds(early)} if early else {}),  # they are within the seconds
        **provenance(fabric.device),
        **({"processes": fabric.world_size} if fabric.world_size > 1 else {}),
        "command": job.command,
    }
    write_json_lines(job.folder / RESULT, [line])


def _train_part(step: Step, distiller: Distiller, schedule: Schedule, options: dict) -> list[dict]:
    """Train what several runs share: the distiller's weights change, and its log is returned."""
    recipe, folder, fabric = step.recipe, runs_folder() / step.folder, options["fabric"]
    with _alone(fabric, folder):
        if step.kind == "stage":
            return fit_stage(distiller, step.inputs.train, schedule, folder=folder, **options)
        # The student predicts X before it learns classes; the head that does so is thrown away.
        with fabric.rank_zero_first():
            train = step.inputs.pretraining
        schedule = replace(schedule, epochs=recipe.pretrain, batch=2 * recipe.batch_size, patience=0, ema=0.0)
        return fit(PredictX(distiller.student, data.collate([train[0]])), train, schedule, folder=folder, **options)


def _load(step: Step) -> Run | None:
    """The finished run of a step; None where it has to be trained."""
    folder = runs_folder() / step.folder
    found, problems = _read_files(folder)
    if problems:
        return None
    remove_leftovers(folder)
    return Run(step.recipe, *(found[name] for name in FILES), folder, trained=False)


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


def _read_result(path: Path) -> dict:
    lines = results.read_lines(path)
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


def _alone(fabric: "Fabric", folder: Path) -> AbstractContextManager:
    """Of the commands that train in a folder only one at a time; its first process waits, and the others for it."""
    return one_at_a_time(folder) if fabric.is_global_zero else nullcontext()


def _seconds(log: list[dict]) -> float:
    return round(sum(row["seconds"] for row in log), 2)
