"""The runs of the demo: one comparison, in which each student differs from the next in one thing."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from shutil import copyfile

from lixlib import checkpoints
from lixlib.core.checks import check_choice
from lixlib.core.devices import Precision, choose_device, fast_precision
from lixlib.core.files import one_at_a_time, write_atomically, write_json_lines
from lixlib.distillers import METHODS
from lixlib.lab.confusions import CONFUSION
from lixlib.lab.finished import LOG, RESULT, WEIGHTS, Run, finished_line
from lixlib.lab.grid import compare
from lixlib.lab.plan import plan, runs_folder
from lixlib.lab.recipe import Recipe
from lixlib.lab.record import description_of, result_header
from lixlib.lab.regime import DEMO, PUBLISHED, REGIME
from lixlib.lab.run import run, score_images

FEW = {"count": 16, "eval_count": 16}  # of a quick run


def four_networks(
    dataset: str = "toydrive",
    *,
    root: str | None = None,
    network: str = "mfnet",
    method: str = "lix-ours",
    epochs: int | None = None,
    size: tuple[int, int] | None = None,
    batch_size: int = REGIME["batch_size"],
    seed: int = 0,
    lambda_l: float | None = None,
    lambda_f: float | None = None,
    precision: Precision | None = None,
    quick: bool = False,
) -> dict[str, Recipe]:
    """The four runs of one comparison, by their roles; DWLD, ARFD and LIX are as published.

    - "teacher" sees RGB and X;
    - "student" sees RGB and learns from labels alone;
    - "taught without X" is distilled by `method` from a fifth network, a teacher that sees RGB alone;
    - "distilled" is distilled by `method` from the teacher.

    The arguments are the parameters of notebooks/09_distillation_run.ipynb; `lix demo` reads them there.

    Args:
        epochs, size: None: on ToyDrive those of the demo (`lixlib.lab.regime.DEMO`), else the data set's own.
        lambda_l, lambda_f: weights of the logit and the feature term; a method takes those it has; None: its own.
        precision: None: bfloat16 where the processor or the card computes in it.
        quick: two epochs of 16 ToyDrive frames, or of images of 48 x 64 pixels, to see that everything works.
    """
    check_choice("method", method, METHODS)
    family = METHODS[method].family
    given = {"weight": lambda_f if family == "feature" else lambda_l}
    if family == "both":
        given = {"lambda_l": lambda_l, "lambda_f": lambda_f}
    weights = {name: value for name, value in given.items() if value is not None}
    rendered = dataset == "toydrive"
    setting = {name: value for name, value in DEMO.items() if rendered or name in ("class_weights", "ema")}
    if network != "mfnet":
        setting.pop("network_options", None)
    if quick:
        setting |= {"epochs": 2} | ({"dataset_options": FEW, "unlabelled": 16} if rendered else {"size": (48, 64)})
    asked = {"epochs": None if quick else epochs, "size": tuple(size) if size else None}
    setting |= {name: value for name, value in asked.items() if value is not None}
    distilled = Recipe(
        dataset=dataset,
        root=root,
        network=network,
        method=method,
        seed=seed,
        batch_size=batch_size,
        precision=precision or fast_precision(choose_device("auto")),
        method_options={**PUBLISHED.get(method, {}), **weights},
        **setting,
    )
    return {
        "teacher": distilled.of_teacher(),
        "student": replace(distilled, method="student", method_options={}),
        "taught without X": replace(distilled, teacher={"x": False}),
        "distilled": distilled,
    }


def train_four(recipes: dict[str, Recipe], *, results_dir: Path, device: str = "auto") -> None:
    """Train the runs of `four_networks` side by side; the student is the RGB teacher, too, and is trained once.

    First come teacher and student, then both distilled students: of two cores neither waits long for the other.
    """
    learners = ("teacher", "student")
    compare([recipes[role] for role in learners], results_dir=results_dir, device=device)
    share(run(recipes["student"], device=device), recipes["taught without X"].of_teacher())
    compare(recipes.values(), results_dir=results_dir, device=device)


def share(student: Run, teacher: Recipe) -> None:
    """Make the run of a teacher that sees RGB alone from a student's, which has the same weights by another name.

    A finished run of the teacher stays as it is. Its line names the command of the student, which trained both.

    Raises:
        ValueError: the two differ in more than their name.
    """
    if replace(student.recipe, method="teacher", x=False) != teacher:
        raise ValueError(f"a student of {student.recipe} is no teacher of {teacher}: they may differ in method and x")
    step = plan(teacher)[-1]
    folder = runs_folder() / step.folder
    with one_at_a_time(folder):
        if finished_line(step.folder):
            return
        told = score_images(student.recipe)  # the matrices may have been deleted
        description = description_of(teacher, student.net, step.inputs.train.classes)
        checkpoints.save(student.net, folder / WEIGHTS, description)
        for name in (LOG, CONFUSION):
            write_atomically(folder / name, partial(copyfile, student.folder / name))
        line = {**told, **result_header(step.inputs), "confusion": (step.folder / CONFUSION).as_posix()}
        write_json_lines(folder / RESULT, [line])  # the last file: with it the run is finished
