"""Checkpoints: the state from which an interrupted training continues. A file is validated before it is used."""

import hashlib
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from lixlib.core.files import read_json_lines, remove_leftovers, set_aside, write_atomically, write_json_lines
from lixlib.nets.pretrained import mismatch

if TYPE_CHECKING:
    from lixlib.training import MovingAverage, Schedule

CHANGING = ("training", "stage_trained")  # attributes of modules that change during training
FIXED = ("params", "momentum", "dampening", "weight_decay", "nesterov", "initial_lr")  # options of SGD that do not


def what_is_trained(distiller: nn.Module, schedule: "Schedule", train: Dataset) -> dict:
    """The properties by which two trainings are told apart, besides the names and shapes of their tensors."""
    weights = getattr(distiller, "class_weights", None)
    return {
        "module": type(distiller).__name__,
        **{name: type(module).__name__ for name, module in distiller.named_children()},
        **_options(distiller),
        **_fields(schedule),
        "number of images": len(train),
        "data": getattr(train, "digest", None),
        **({"class_weights": weights.tolist()} if isinstance(weights, Tensor) else {}),
    }


def _fields(schedule: "Schedule") -> dict:
    """The fields of a schedule that decide the weights; `ema` only where it is used, as older checkpoints lack it."""
    left_out = {"ema": not schedule.ema, "validate_every": not schedule.patience or schedule.validate_every == 1}
    return {name: value for name, value in asdict(schedule).items() if not left_out.get(name)}


def _options(distiller: nn.Module) -> dict:
    """The plain attributes of modules that are not torch's own, such as a loss weight.

    Options of torch's modules need no entry: they show in the names and shapes of the tensors.
    """
    return {
        f"{path}.{name}".strip("."): list(value) if isinstance(value, tuple) else value
        for path, module in distiller.named_modules()
        if not type(module).__module__.startswith("torch.") and path.partition(".")[0] != "teacher"
        for name, value in vars(module).items()
        if isinstance(value, bool | int | float | str | tuple) and not name.startswith("_") and name not in CHANGING
    }


def digest_of_tensors(state: dict[str, Tensor]) -> str:
    """A hash of names and values: 64 bits in hexadecimal."""
    found = hashlib.sha256()
    for name, tensor in state.items():
        found.update(name.encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()[:16]


class Damaged(Exception):
    """A checkpoint from which training cannot continue; the message says why."""


class Checkpoint:
    """The state of a training after its last finished epoch, in `folder`/checkpoint.pt.

    It holds the trained weights, the optimiser, the log, the student of the best epoch and, if there is one, the moving
    average. A damaged file is set aside, and training starts again. log.jsonl is a copy of the log in the checkpoint.

    Args:
        average: the moving average of the student's weights; None: there is none.
        about: the result of `what_is_trained`.
        steps: updates per epoch.
        writes: whether this process writes the files; of several processes the first one does.

    Raises:
        ValueError: the file belongs to another training; the message names what differs.
    """

    def __init__(
        self,
        folder: Path,
        distiller: nn.Module,
        optimizer: torch.optim.Optimizer,
        decay: torch.optim.lr_scheduler.LRScheduler,
        average: "MovingAverage | None",
        *,
        about: dict,
        steps: int,
        writes: bool,
    ):
        self.folder, self.distiller, self.optimizer, self.decay = folder, distiller, optimizer, decay
        self.average = average
        self.steps, self.writes = steps, writes
        teacher = getattr(distiller, "teacher", None)
        self.about, self.teacher = about, teacher and digest_of_tensors(teacher.state_dict())
        self.log: list[dict] = []
        self.best: dict = {"mIoU": -math.inf, "epoch": 0, "student": None}
        self.path = folder / "checkpoint.pt"
        if writes:
            remove_leftovers(folder)
        if self.path.exists():
            try:
                self._resume(_read(self.path))
            except Damaged as error:
                if writes:
                    set_aside(self.path, f"{error}: training starts again")
        if writes and self.log:
            self._mend_log()

    @property
    def epoch(self) -> int:
        return len(self.log)

    def is_stale(self, patience: int) -> bool:
        return bool(patience) and self.epoch - self.best["epoch"] >= patience

    def save(self, row: dict) -> None:
        """Add the row of a finished epoch to the log, and write the files."""
        row = finite(row)
        self.log.append(row)
        if row.get("mIoU") is not None and row["mIoU"] > self.best["mIoU"]:
            kept = self.average.state if self.average else self.distiller.student.state_dict()
            student = {name: tensor.clone() for name, tensor in kept.items()}
            self.best = {"mIoU": row["mIoU"], "epoch": self.epoch, "student": student}
        if not self.writes:
            return
        stored = {
            "about": self.about,
            "teacher": self.teacher,
            "weights": self._trained(),
            "optimizer": self.optimizer.state_dict(),
            "decay": self.decay.state_dict(),
            "log": self.log,
            "best": self.best,
            **({"average": self.average.state} if self.average else {}),
        }
        write_atomically(self.path, lambda path: torch.save(stored, path))
        write_json_lines(self.folder / "log.jsonl", self.log)

    def restore_best(self) -> None:
        """Load the student of the best epoch; the student stays as it is if no epoch has a score."""
        if self.best["student"] is not None:
            self.distiller.student.load_state_dict(self.best["student"])

    def _trained(self) -> dict[str, Tensor]:
        """The state without the teacher, which does not change."""
        return {n: tensor for n, tensor in self.distiller.state_dict().items() if not n.startswith("teacher.")}

    def _resume(self, stored: dict) -> None:
        """Load everything that is stored, or nothing if a part does not fit."""
        own = self._trained()
        differences = [
            f"{name} was {stored['about'].get(name)!r} and is {self.about.get(name)!r}"
            for name in (stored["about"] | self.about if stored["about"] else ())
            if stored["about"].get(name) != self.about.get(name)
        ]
        if differing := mismatch(own, stored["weights"]):
            differences.append(f"it {differing}")
        if differences:
            told = "; ".join(differences)
            raise ValueError(f"{self.path} is of another training: {told}. Choose another folder, or delete this one")
        if stored["about"] and stored["teacher"] != self.teacher:
            raise Damaged("is of a student of another teacher")
        self._check(stored, own)
        (group,), lr = self.optimizer.state_dict()["param_groups"], stored["optimizer"]["param_groups"][0]["lr"]
        self.optimizer.load_state_dict({"state": stored["optimizer"]["state"], "param_groups": [{**group, "lr": lr}]})
        done = stored["decay"]["last_epoch"]
        self.decay.load_state_dict(
            {**self.decay.state_dict(), "last_epoch": done, "_step_count": done + 1, "_last_lr": [lr]}
        )
        self.distiller.load_state_dict(stored["weights"], strict=False)
        if self.average:
            self.average.load(stored["average"])
        self.log, self.best = stored["log"], stored["best"]

    def _check(self, stored: dict, own: dict[str, Tensor]) -> None:
        """Raise `Damaged` if a stored part contradicts another or does not fit this training."""
        epochs, best = len(stored["log"]), stored["best"]
        (group,) = self.optimizer.state_dict()["param_groups"]
        (theirs,) = stored["optimizer"]["param_groups"]
        shapes = dict(enumerate(p.shape for each in self.optimizer.param_groups for p in each["params"]))
        momenta = {i: state.get("momentum_buffer") for i, state in stored["optimizer"]["state"].items()}
        if [row["epoch"] for row in stored["log"]] != [*range(1, epochs + 1)]:
            raise Damaged("has a log whose epochs are not 1, 2, 3 and so on")
        if stored["decay"]["last_epoch"] != epochs * self.steps:
            raise Damaged(f"has {stored['decay']['last_epoch']} updates in {epochs} epochs of {self.steps}")
        if any(tensor.dtype != own[name].dtype for name, tensor in stored["weights"].items()):
            raise Damaged("has weights of another type")
        average, kept = stored["average"] or {}, self.average.state if self.average else {}
        if mismatch(kept, average) or any(tensor.dtype != kept[name].dtype for name, tensor in average.items()):
            raise Damaged("has no moving average of the student's weights, or that of another network")
        weights = (*stored["weights"].values(), *(best["student"] or {}).values(), *average.values())
        if not all(tensor.isfinite().all() for tensor in weights):
            raise Damaged("has weights that are not finite")
        if finite(stored["log"]) != stored["log"]:
            raise Damaged("has a log with numbers that are not finite")
        if any(theirs.get(name) != group.get(name) for name in FIXED):
            raise Damaged("has an optimiser with other options")
        if any(i not in shapes or (m is not None and m.shape != shapes[i]) for i, m in momenta.items()):
            raise Damaged("has an optimiser of other parameters")
        if best["student"] is None:
            found = best["epoch"] == 0
        else:
            found = 0 < best["epoch"] <= epochs and not mismatch(self.distiller.student.state_dict(), best["student"])
        if not found:
            raise Damaged("has a best epoch that does not fit")

    def _mend_log(self) -> None:
        """Write log.jsonl again if it differs: a kill between the two writes leaves it without the last epoch."""
        path = self.folder / "log.jsonl"
        try:
            whole = read_json_lines(path) == self.log
        except (OSError, ValueError):
            whole = False
        if not whole:
            write_json_lines(path, self.log)


def finite(value: Any) -> Any:
    """Replace NaN and infinite numbers, which JSON cannot hold, by None."""
    if isinstance(value, dict):
        return {name: finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _read(path: Path) -> dict:
    """Read a checkpoint and check the types of its parts.

    Raises:
        Damaged: the file is no checkpoint.
        OSError: the file cannot be opened.
    """
    if path.is_dir():
        raise Damaged("is a folder")
    with path.open("rb"):  # raises OSError: a file that cannot be opened is not a damaged one
        pass
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch, pickle and zipfile raise a dozen types
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise Damaged(f"cannot be read safely ({reason:.200})") from error
    problem = _problem_of(stored)
    if problem:
        raise Damaged(f"is no checkpoint ({problem})")
    return {"about": None, "teacher": None, "average": None, **stored}  # a checkpoint of an earlier version lacks them


def _problem_of(stored: object) -> str | None:
    """What is wrong with the types of a checkpoint's parts; None if nothing is."""
    # imported here, because few trainings continue from a checkpoint
    from pydantic import BaseModel, ConfigDict, Field, ValidationError

    class Part(BaseModel):
        model_config = ConfigDict(strict=True, extra="allow", arbitrary_types_allowed=True)

    class Row(Part):
        epoch: int
        seconds: float

    class Best(Part):
        mIoU: float
        epoch: int
        student: dict[str, Tensor] | None

    class Momentum(Part):
        momentum_buffer: Tensor | None

    class Group(Part):
        lr: float

    class Optimizer(Part):
        state: dict[int, Momentum]
        param_groups: Annotated[list[Group], Field(min_length=1, max_length=1)]

    class Decay(Part):
        last_epoch: int

    class Stored(Part):
        weights: dict[str, Tensor]
        optimizer: Optimizer
        decay: Decay
        log: list[Row]
        best: Best
        about: dict[str, Any] | None = None
        teacher: str | None = None
        average: dict[str, Tensor] | None = None

    try:
        Stored.model_validate(stored)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc'])) or 'the whole'}: {first['msg']}"
    return None
