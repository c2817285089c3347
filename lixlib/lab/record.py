"""The result line of a run: its fields, how it is read, what makes two lines the same run, and what is a reduced one.

A line is a dict, as it reads in the file, so that any tool may read it and a study may add what it measured.
"""

import functools
import json
import math
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NotRequired

import torch
from annotated_types import Len
from torch import nn
from typing_extensions import TypedDict

from lixlib import data, nets
from lixlib.checkpoints.described import Count, Described
from lixlib.core.files import read_json_lines
from lixlib.data.classes import Classes
from lixlib.distillers.common import default_options
from lixlib.distillers.registry import maker
from lixlib.lab.code import identity_of_code
from lixlib.lab.inputs import RENDERED_BEFORE, Inputs
from lixlib.lab.recipe import RARE, Recipe
from lixlib.metrics import METRICS

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Share = float | None  # in [0, 1]; None where nothing could be scored


class Metrics(TypedDict):
    mIoU: Share
    fwIoU: Share
    mFsc: Share
    fwFsc: Share


class Record(TypedDict):
    """A result line; `lixlib.lab.record.read_lines` checks these types. Lines of a study may hold more."""

    dataset: str
    network: str
    method: str
    seed: int
    split: str
    size: Annotated[list[int], Len(2, 2)]
    epochs: Count
    updates: Count
    batch: Count
    hyper: dict[str, Any]
    metrics: Metrics
    per_class: NotRequired[dict[str, Annotated[list[Share], Len(2, 2)]]]
    recipe: NotRequired[Described]
    data_digest: NotRequired[str | None]
    teacher: NotRequired[str | None]
    confusion: NotRequired[str]  # below the folder of runs, or of results, that has the line
    seconds: NotRequired[float | None]
    device: NotRequired[str | None]
    reduced: NotRequired[bool]


# Two lines are the same run if these agree, and their recipes but for `hyper`, their data, and the code of methods and
# networks from outside. A new line replaces the old one, and a recipe whose header agrees need not be trained. `hyper`
# holds all options of the method, the recipe only those that were given.
IDENTITY_FIELDS = ("dataset", "network", "method", "seed", "split", "size", "batch", "hyper")
BEFORE = {"toydrive": RENDERED_BEFORE}  # of images from files nobody knows which they were
# How the paper trains: 500 epochs, batches of 8 images (of SNE-RoadSeg 3 but on nuImages).
PAPER_BATCH = {"sne-roadseg": 3}
# fields that a line tells among the method's options where they are in use
EXTRAS = tuple(name for name in RARE if name != "net")


def result_header(inputs: Inputs) -> dict:
    """What the result line of a recipe says before anything is trained: all that tells one run from another.

    Raises:
        ValueError, FileNotFoundError: the data cannot be read.
    """
    recipe = inputs.recipe
    header = {
        "dataset": recipe.dataset,
        "network": recipe.network,
        "method": recipe.method,
        "seed": recipe.seed,
        "split": recipe.splits[-1],
        "size": recipe.size,
        "epochs": recipe.epochs,  # fewer where it stops early
        "batch": recipe.batch_size,
        "hyper": {
            **default_options(maker(recipe.module)),
            **recipe.options,
            **({"net": recipe.described["net"]} if recipe.network_options else {}),
            **({"unlabelled": recipe.unlabelled} if recipe.unlabelled else {}),
            **{name: value for name in EXTRAS if (value := getattr(recipe, name)) != RARE[name]},
            **({} if recipe.teacher.get("x", True) else {"teacher": {"x": False}}),
        },
        "recipe": recipe.described,
        "data_digest": inputs.digest,
        **identity_of_code(recipe),
    }
    return header | {"reduced": is_reduced(header)}


def read_lines(path: Path) -> list[Record]:
    """The result lines of a file, each with all fields that every run has; `reduced` by today's rule.

    Raises:
        ValueError: a line is no result line; the message names file, line and field.
    """
    lines = read_json_lines(path)
    for number, line in enumerate(lines, start=1):
        if problem := _problem_of(line):
            raise ValueError(f"{path}, line {number} {problem}; mend or delete that line")
    return [line | {"reduced": is_reduced(line)} for line in lines]


@functools.cache  # a file is read for every line that is added: of its many lines only the new ones are looked at
def checked(text: str) -> tuple[str, str]:
    """The `identity` of a result line, from its text, and the text with `reduced` by today's rule.

    Raises:
        ValueError: it is no result line; `read_lines` says what is wrong.
    """
    line = json.loads(text)
    if problem := _problem_of(line):
        raise ValueError(f"a line {problem}")
    now = json.dumps(line | {"reduced": is_reduced(line)}, allow_nan=False)
    return identity(line), text if now == text else now


def description_of(recipe: Recipe, net: nn.Module, classes: Classes) -> dict:
    """What a weights file says of the network that a recipe has trained (`lixlib.checkpoints.Description`)."""
    return {
        "network": recipe.network,
        "num_classes": len(classes.names),
        "x_channels": nets.x_channels(net),
        # what the encoders started from is in the weights
        "options": {k: value for k, value in recipe.network_options.items() if k not in ("pretrained", "partial")},
        "classes": classes.names,
        **({"colours": classes.colours.tolist()} if classes.colours is not None else {}),
        "size": recipe.size,
        "recipe": recipe.described,
    }


def identity(line: Record) -> str:
    """What two lines have in common if and only if they are the same run."""
    recipe = {name: value for name, value in (line.get("recipe") or {}).items() if name not in ("hyper", "root")}
    told = [line.get(name) for name in IDENTITY_FIELDS]
    trained = [] if recipe else [line.get("epochs"), line.get("updates")]  # lines of before recipes were told
    # as it reads in the file, where a tuple is a list
    return json.dumps([*told, recipe, *trained, data_digest_of(line), line.get("code_digest")], sort_keys=True)


def data_digest_of(line: Record) -> str | None:
    """The digest of a line's data; None where the line is older than digests and its data can have been any."""
    return line.get("data_digest") or BEFORE.get(line["dataset"])


def is_reduced(line: Record) -> bool:
    """Whether a run had smaller images, smaller batches or fewer epochs than the paper's; stopping early is no cut."""
    batch = 8 if line["dataset"] == "nuimages" else PAPER_BATCH.get(line["network"], 8)
    epochs = (line.get("recipe") or {}).get("epochs") or line["epochs"]
    known = data.DATASETS.get(line["dataset"])
    full = known and known.full_size or (0, 0)
    smaller = any(side < most for side, most in zip(line["size"], full, strict=True))
    return epochs < data.PAPER_EPOCHS or line["batch"] < batch or smaller


def scored(scores: dict, names: tuple[str, ...]) -> dict:
    """The `metrics` and `per_class` entries of a line, from `lixlib.metrics.scores`; null for what cannot be scored."""
    pairs = zip(names, scores["IoU"], scores["F1"], strict=True)
    return {
        "metrics": {name: _number(scores[name]) for name in METRICS},
        "per_class": {name: [_number(value) for value in values] for name, *values in pairs},
    }


def timed(log: list[dict], early: list[dict]) -> dict:
    """The seconds of a training, and how many of them went into its stage or pretraining, if it has one."""
    seconds, stage = (round(sum(row["seconds"] for row in rows), 2) for rows in (early + log, early))
    return {"seconds": seconds} | ({"stage_seconds": stage} if early else {})


def provenance(device: torch.device) -> dict:
    """Hardware, versions and commit of this process."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),  # others round differently: ATEN_CPU_CAPABILITY
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in ("torch", "numpy", "kornia")},
        },
        "commit": _commit(),
    }


def _problem_of(line: Record) -> str | None:
    """What is wrong with a result line: the first field that is missing or has another type; None: nothing."""
    from pydantic import ValidationError  # here, because it takes long to import, and most only look

    try:
        _adapter().validate_python(line, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        if first["type"] == "missing":
            return f"has no {field}"
        return f"has {field} = {first['input']!r:.60}: {first['msg'][0].lower()}{first['msg'][1:]}"
    return None


@functools.cache
def _adapter() -> "TypeAdapter":
    from pydantic import ConfigDict, TypeAdapter, with_config

    return TypeAdapter(with_config(ConfigDict(allow_inf_nan=False))(Record))


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else platform.processor()}, {torch.get_num_threads()} threads"


def _commit() -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
