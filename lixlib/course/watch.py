"""Watching a training from a notebook: what to measure after every epoch, a picture that grows, stop and go on.

There is no log beside that of `lixlib.training.fit`: `Watch` is an `observe` of it and adds to its rows, and `follow`
reads the rows while another process writes them.
"""

import asyncio
import io
import math
import multiprocessing
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import ipywidgets
import torch
import torch.nn.functional as F
from IPython.display import DisplayHandle, display
from matplotlib.figure import Figure
from torch import Tensor

from lixlib import data
from lixlib.core.files import read_json_lines
from lixlib.core.text import one_line
from lixlib.distillers import Distiller
from lixlib.functional import linear_cka
from lixlib.lab import inputs
from lixlib.lab.finished import LOG
from lixlib.lab.plan import folder_of, runs_folder
from lixlib.lab.recipe import Recipe
from lixlib.lab.run import run
from lixlib.nets import call

QUERY = ("nvidia-smi", "--query-gpu=uuid,utilization.gpu,power.draw,memory.used", "--format=csv,noheader,nounits")


class Watch:
    """What a training does to a few frames, as an `observe` of `lixlib.training.fit`: the entry "watch" of its rows.

    The entry has `shares`, `weights` and `cka`, as the functions of these names below give them, and `card`, what
    `cards` gives of the one that trains. Nothing of the training changes, not even by a bit.

    Args:
        frames: how many of the first frames of the validation split, or of the training split where there is none.
    """

    def __init__(self, recipe: Recipe, *, frames: int = 4):
        self.recipe, self.frames = recipe, frames
        self._batch: data.Sample | None = None

    def __call__(self, epoch: int, distiller: Distiller) -> dict:
        device = next(distiller.student.parameters()).device
        if self._batch is None:
            split = self.recipe.splits[1] or self.recipe.splits[0]
            found = inputs.load(self.recipe, split, with_x=self.recipe.needs_x)
            self._batch = data.collate([found[i] for i in range(min(self.frames, len(found)))]).to(device)
        seen = {"shares": shares(distiller, self._batch), "weights": weights(distiller, self._batch)}
        seen |= {"cka": cka(distiller, self._batch)}
        if device.type == "cuda":
            uuid = torch.cuda.get_device_properties(device).uuid  # CUDA_VISIBLE_DEVICES gives the cards other numbers
            seen["card"] = cards().get(f"GPU-{uuid}")
        return {"watch": {name: value for name, value in seen.items() if value}}


def shares(distiller: Distiller, batch: data.Sample) -> dict[str, float]:
    """Who moves the student: the length of each loss term's gradient in its weights, over the sum of the lengths."""
    with torch.enable_grad():
        terms = distiller(batch)
        moved = [parameter for parameter in distiller.student.parameters() if parameter.requires_grad]
        lengths = {name: _length(term, moved) for name, term in terms.items()}
    total = sum(lengths.values())
    return {name: round(length / total, 4) for name, length in lengths.items()} if total else {}


def _length(term: Tensor, weights: list[Tensor]) -> float:
    if not term.requires_grad:
        return 0.0
    gradient = torch.autograd.grad(term, weights, retain_graph=True, allow_unused=True)
    return float(torch.stack([part.norm() for part in gradient if part is not None]).norm())


def weights(distiller: Distiller, batch: data.Sample) -> dict[str, float]:
    """The least, the mean and the largest NCLD weight W of Eq. (7); nothing for a method without them."""
    logit = getattr(distiller.method, "dwld", distiller.method)
    if not hasattr(logit, "weights"):
        return {}
    with torch.no_grad():
        w = logit.weights(*_outputs(distiller, batch), batch.label)
    return {name: round(float(value), 4) for name, value in (("least", w.min()), ("mean", w.mean()), ("most", w.max()))}


def cka(distiller: Distiller, batch: data.Sample) -> dict[str, float]:
    """Linear CKA of student and teacher at every tap, without adapters; the samples are positions of all frames.

    Every map is pooled to the size of the smallest, so that all taps have the same number of samples.
    """
    if distiller.teacher is None:
        return {}
    with torch.no_grad():
        student, teacher = (output.taps for output in _outputs(distiller, batch))
        size = min((tap.shape[2:] for tap in teacher.values()), key=math.prod)
        return {
            name: round(float(linear_cka(*(_rows(t[name], size) for t in (student, teacher)))), 4) for name in teacher
        }


def _outputs(distiller: Distiller, batch: data.Sample):
    return call(distiller.student, batch.rgb), call(distiller.teacher, batch.rgb, batch.x)


def _rows(tap: Tensor, size: tuple[int, int]) -> Tensor:
    return F.adaptive_avg_pool2d(tap.float(), size).flatten(2).mT.flatten(0, 1)


def cards() -> dict[str, dict[str, float | None]]:
    """Use in %, watts and memory in MiB of every card, by its UUID, as nvidia-smi says them; without it, none."""
    if not shutil.which(QUERY[0]):
        return {}
    said = subprocess.run(QUERY, capture_output=True, text=True, check=False).stdout
    rows = [[word.strip() for word in line.split(",")] for line in said.splitlines()]
    names = ("use", "watts", "mib")
    return {
        uuid: dict(zip(names, map(_number, found), strict=True)) for uuid, *found in rows if len(found) == len(names)
    }


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:  # "[N/A]": not every card tells everything
        return None


class Training:
    """A run in a process of its own: a notebook stays free to look at it, to kill it, and to start it again.

    Args:
        observe: see `lixlib.lab.run.run`; it goes to the other process.
        threads: of torch, on a CPU; None: torch's own number.
    """

    def __init__(
        self, recipe: Recipe, *, observe: Watch | None = None, device: str = "auto", threads: int | None = None
    ):
        self.log = runs_folder() / folder_of(recipe) / LOG
        context = multiprocessing.get_context("spawn")
        self._answer, answer = context.Pipe(duplex=False)
        work = (answer, recipe, observe, device, threads)
        self._process = context.Process(target=_train, args=work, daemon=True)
        self._process.start()
        answer.close()

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    def kill(self) -> None:
        """End it at once (SIGKILL), as a power cut would: the process has no time to save anything."""
        self._process.kill()
        self._process.join()

    def check(self) -> None:
        """Raise a RuntimeError if the run ended in an error; the message is that error in one line."""
        try:
            error = self._answer.recv() if self._answer.poll() else None
        except EOFError:  # it was killed
            error = None
        if error:
            raise RuntimeError(error)


def _train(answer, recipe: Recipe, observe: Watch | None, device: str, threads: int | None) -> None:
    if threads:
        torch.set_num_threads(threads)
    try:
        run(recipe, device=device, observe=observe, progress=False)
    except Exception as error:
        answer.send(f"{type(error).__name__}: {one_line(str(error))}")


def follow(
    training: Training | Path,
    draw: Callable[[list[dict]], object],
    *,
    epochs: int,
    seconds: float = 0.2,
) -> list[dict]:
    """Show a picture of a training's log, and draw it again whenever the log has grown; return the log.

    It ends when the log has `epochs` rows or the training has ended. The stop button of the notebook ends the watching
    alone: the training goes on.

    Args:
        training: a `Training`, or the log.jsonl of a run that another command trains.
        draw: makes the picture, from the rows.
        seconds: between two looks at the file.

    Raises:
        RuntimeError: the run of a `Training` ended in an error.
    """
    path = training.log if isinstance(training, Training) else Path(training)
    rows = _read(path)
    shown = DisplayHandle()
    shown.display(draw(rows))
    while len(rows) < epochs:
        ended = isinstance(training, Training) and not training.alive
        found = _read(path)
        if len(found) > len(rows):
            rows = found
            shown.update(draw(rows))
        elif ended:
            break
        else:
            time.sleep(seconds)
    if isinstance(training, Training):
        training.check()
    return rows


def control(
    recipe: Recipe,
    draw: Callable[[list[dict]], Figure],
    *,
    observe: Watch | None = None,
    device: str = "auto",
    threads: int | None = None,
) -> None:
    """Two buttons, one that starts a training or lets it go on and one that kills it, over a picture that grows.

    Without a browser, where `LIX_HEADLESS` is set, the picture stands alone.
    """
    if os.environ.get("LIX_HEADLESS"):
        display(draw(_read(runs_folder() / folder_of(recipe) / LOG)))
    else:
        display(_Panel(recipe, draw, observe=observe, device=device, threads=threads).box)


class _Panel:
    """The buttons of `control`; their kernel stays free, because it looks at the log between other things."""

    seconds = 0.3  # between two looks

    def __init__(self, recipe: Recipe, draw: Callable[[list[dict]], Figure], **options):
        self.recipe, self.draw, self.options = recipe, draw, options
        self.log = runs_folder() / folder_of(recipe) / LOG
        self.training: Training | None = None
        self.go = ipywidgets.Button(description="Train, or go on", icon="play")
        self.stop = ipywidgets.Button(description="Kill", icon="bolt", disabled=True)
        self.told, self.picture = ipywidgets.Label(), ipywidgets.Image(format="png")
        self.go.on_click(lambda _: self._start())
        self.stop.on_click(lambda _: self.training.kill())
        self.box = ipywidgets.VBox([ipywidgets.HBox([self.go, self.stop, self.told]), self.picture])
        self._show(_read(self.log))

    def _start(self) -> None:
        self.go.disabled, self.stop.disabled = True, False
        self.told.value = "a process starts, which takes some seconds ..."
        self.training = Training(self.recipe, **self.options)
        self.watching = asyncio.ensure_future(self._watch())

    async def _watch(self) -> None:
        seen = -1
        while True:
            ended = not self.training.alive
            rows = _read(self.log)
            if len(rows) != seen:
                seen = len(rows)
                self._show(rows)
            if ended:
                break
            await asyncio.sleep(self.seconds)
        self.go.disabled, self.stop.disabled = False, True
        try:
            self.training.check()
            self.told.value = f"epochs in the log: {seen}; nothing is running"
        except RuntimeError as error:
            self.told.value = str(error)

    def _show(self, rows: list[dict]) -> None:
        picture = io.BytesIO()
        self.draw(rows).savefig(picture, format="png")
        self.picture.value = picture.getvalue()
        self.told.value = f"epochs in the log: {len(rows)}"


def _read(path: Path) -> list[dict]:
    return read_json_lines(path) if path.exists() else []
