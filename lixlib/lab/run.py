"""Training what a recipe says: every step of its plan, from where it was left, to weights, a log and a result line."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lixlib import checkpoints, data
from lixlib.core.devices import choose_device
from lixlib.core.files import one_at_a_time, write_json_lines
from lixlib.distillers import Distiller, PredictX
from lixlib.lab import confusions
from lixlib.lab.finished import RESULT, WEIGHTS, Run, alone, load, load_trained, to_train
from lixlib.lab.plan import Step, plan, runs_folder
from lixlib.lab.prepare import augmentation_of, check_distillation, check_inputs, distiller_of, schedule_of
from lixlib.lab.recipe import Recipe
from lixlib.lab.record import Record, description_of, provenance, result_header, scored, timed
from lixlib.metrics import scores
from lixlib.training import Schedule, evaluate_images, fit, fit_stage, launch

if TYPE_CHECKING:
    from lightning_fabric import Fabric

ROUNDING = 2e-3  # of an mIoU, between two machines


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
    if fabric.broadcast((finished := load(last)) is not None):
        return finished
    with fabric.rank_zero_first():  # the first process renders what the others then find in the cache
        check_inputs(last.inputs, progress=progress)
    teacher = None
    for step in before:
        if step.kind == "run" and fabric.broadcast((teacher := load(step)) is None):
            with fabric.rank_zero_first():
                check_distillation(last.inputs, progress=progress)
            teacher = _train(_Job(step, launch(device, step.recipe.precision), command, progress))
    parts = [step for step in before if step.kind != "run"]
    return _train(_Job(last, fabric, command, progress, parts, teacher, observe))


def score_images(recipe: Recipe, *, device: str = "auto") -> Record:
    """Make what a run that was finished without it lacks: the confusion matrices of its test images.

    Returns:
        the result line, which names the file from now on.

    Raises:
        FileNotFoundError: the run is not finished.
        ValueError: the weights do not score today what the line says.
    """
    step = plan(recipe)[-1]
    folder, path = runs_folder() / step.folder, step.folder / confusions.CONFUSION
    with one_at_a_time(folder):
        finished = load(step)
        if finished is None:
            raise FileNotFoundError(f"no finished run in {folder}: train it first")
        line = finished.line
        if line.get("confusion") and (runs_folder() / path).is_file():
            return line
        about = {"batch": recipe.batch_size, "device": choose_device(device)}
        names, matrices = evaluate_images(finished.net, step.inputs.test, **about)
        told, found = line["metrics"]["mIoU"], scores(matrices.sum(0))["mIoU"]
        if told is not None and not abs(told - found) < ROUNDING:
            raise ValueError(f"{folder} has an mIoU of {found:.4f} today and of {told:.4f} in its line: train it again")
        confusions.write(runs_folder() / path, names, matrices)
        line = {**line, "confusion": path.as_posix()}
        write_json_lines(folder / RESULT, [line])
    return line


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


def _train(job: _Job) -> Run:
    """Prepare, train, score, and write the files of a run, unless another command has done so by now."""
    recipe, inputs, fabric, teacher = job.step.recipe, job.step.inputs, job.fabric, job.teacher
    with to_train(job.step, fabric) as needed:
        if needed:
            folder, header = runs_folder() / job.step.folder, result_header(inputs)
            distiller = distiller_of(recipe, teacher.net if teacher else None, inputs.train, progress=job.progress)
            schedule = schedule_of(recipe)
            options = {"augment": augmentation_of(recipe), "fabric": fabric, "progress": job.progress}
            early = [row for part in job.parts for row in _train_part(part, distiller, schedule, options)]
            watched = {"validation": inputs.validation, "observe": job.observe}
            log = fit(distiller, inputs.train, schedule, folder=folder, **watched, **options)
            if fabric.is_global_zero:
                student, classes = distiller.student, inputs.train.classes
                images = evaluate_images(student, inputs.test, batch=recipe.batch_size, device=fabric.device)
                checkpoints.save(student, folder / WEIGHTS, description_of(recipe, student, classes))
                line = {
                    **header,
                    "epochs": len(log),
                    "updates": len(log) * (len(inputs.train) // schedule.batch),
                    **scored(scores(images[1].sum(0)), classes.names),
                    "teacher": teacher.folder.relative_to(runs_folder()).as_posix() if teacher else None,
                    "confusion": (job.step.folder / confusions.CONFUSION).as_posix(),
                    **timed(log, early),
                    **provenance(fabric.device),
                    **({"processes": fabric.world_size} if fabric.world_size > 1 else {}),
                    "command": job.command,
                }
                confusions.write(folder / confusions.CONFUSION, *images)
                write_json_lines(folder / RESULT, [line])  # the last file: with it the run is finished
    return load_trained(job.step, trained=needed, teacher=teacher)


def _train_part(step: Step, distiller: Distiller, schedule: Schedule, options: dict) -> list[dict]:
    """Train what several runs share: the distiller's weights change, and its log is returned."""
    recipe, folder, fabric = step.recipe, runs_folder() / step.folder, options["fabric"]
    with alone(folder, fabric):
        if step.kind == "stage":
            return fit_stage(distiller, step.inputs.train, schedule, folder=folder, **options)
        # The student predicts X before it learns classes; the head that does so is thrown away.
        with fabric.rank_zero_first():
            train = step.inputs.pretraining
        schedule = replace(schedule, epochs=recipe.pretrain, batch=2 * recipe.batch_size, patience=0, ema=0.0)
        return fit(PredictX(distiller.student, data.collate([train[0]])), train, schedule, folder=folder, **options)
