"""The runs of the demo: one comparison, in which each student differs from the next in one thing."""

from dataclasses import replace

from lixlib.core.checks import check_choice
from lixlib.core.devices import Precision, choose_device, fast_precision
from lixlib.distillers import METHODS
from lixlib.lab.recipe import Recipe
from lixlib.lab.regime import DEMO, PUBLISHED, REGIME

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
