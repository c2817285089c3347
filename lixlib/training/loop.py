"""The training loop: SGD with polynomial decay, early stopping, and checkpoints from which a killed run continues."""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.distributed import is_torchelastic_launched
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler
from tqdm.auto import tqdm

from lixlib.core.devices import Device, Precision, check_precision, choose_device
from lixlib.core.sample import Sample, collate
from lixlib.distillers import Distiller, Stage
from lixlib.training.average import MovingAverage
from lixlib.training.checkpoint import Checkpoint, what_is_trained
from lixlib.training.evaluation import check_split, evaluate
from lixlib.training.layout import fast_layout
from lixlib.training.schedule import Schedule

if TYPE_CHECKING:
    from lightning_fabric import Fabric


STARTING = "reading images for the first step"  # which takes longer than all others, and looks like a hang


class TrainingFailed(RuntimeError):
    """The loss stopped being a finite number."""


def launch(device: Device = "auto", precision: Precision = "32-true") -> "Fabric":
    """Set up the device and the number format of a training; under torchrun, for all processes together.

    Args:
        device: see `lixlib.core.devices.choose_device`.
        precision: "32-true"; or automatic mixed precision, "bf16-mixed" and on a GPU "16-mixed".

    Raises:
        ValueError: there is no such device, or it does not support this number format.
    """
    kind = choose_device(device)
    check_precision(precision, kind)
    from lightning_fabric import Fabric  # imported here: it takes longer than torch, and only training needs it

    logging.getLogger("lightning_fabric.utilities.rank_zero").setLevel(logging.WARNING)  # it speaks into the bars
    if not is_torchelastic_launched() or os.environ["WORLD_SIZE"] == "1":
        return Fabric(accelerator=kind.type, devices=1, precision=precision)
    processes, on_machine = (int(os.environ[name]) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    machines = processes // on_machine
    options = {"devices": on_machine, "num_nodes": machines, "strategy": "ddp", "precision": precision}
    fabric = Fabric(accelerator=kind.type, **options)
    fabric.launch()
    return fabric


def fit(
    distiller: Distiller | Stage,
    train: Dataset,
    schedule: Schedule,
    *,
    folder: Path | str,
    validation: Dataset | None = None,
    augment: nn.Module | None = None,
    fabric: "Fabric | None" = None,
    observe: Callable[[int, Distiller], dict] | None = None,
    progress: bool = True,
) -> list[dict]:
    """Train the distiller's student on the sum of the loss terms; return the log, one row per epoch.

    log.jsonl and checkpoint.pt are written to `folder` after every epoch, atomically. If there is a checkpoint,
    training continues after its last epoch; a damaged one is set aside (`lixlib.training.checkpoint`). The random
    numbers of an epoch depend on (seed, epoch) alone, so that on a CPU a run that was killed and continued is
    bit-identical to one that was not.

    With `schedule.ema`, the moving average of the student's weights takes the place of the student in validation,
    early stopping and `observe`, and is left in `distiller.student` at the end. The updates do not depend on it, and
    the method's adapters are not averaged.

    In N processes (`launch`) each takes its N-th part of every batch, and the gradients are averaged. Three things
    differ from one process: batch norm normalises each part by itself (the first process's running statistics are
    kept), a mean over valid pixels is taken in each part before the average over the parts, and each process draws its
    own augmentation. The first process alone validates, observes and writes.

    Args:
        folder: where log.jsonl and checkpoint.pt are written.
        validation: the split on which the student is scored, as often as the schedule says; None: it is not scored.
        augment: changes every training batch, for example `lixlib.data.Augment`.
        fabric: device and number format, from `launch`; None: the CPU in float32.
        observe: called after every epoch with its number and the distiller in evaluation mode; the dict that it returns
            is added to the epoch's row.
        progress: show a progress bar.

    Raises:
        ValueError: fewer images than one batch, no label in the training or the validation images, a batch that N
            processes cannot share, patience without a validation set, ema without a student, or a checkpoint of another
            training in the folder.
        TrainingFailed: the loss is not finite; the message names the step, the term and the images that caused it.
    """
    folder = Path(folder)
    check_training(train, schedule.batch)
    if isinstance(distiller, Distiller):
        check_split(train, "training")
    if validation is not None:
        check_split(validation, "validation")
    if schedule.patience and validation is None:
        raise ValueError("early stopping (patience) needs a validation set: give one, or set patience to 0")
    fabric = fabric or launch("cpu")
    if schedule.batch % fabric.world_size:
        raise ValueError(
            f"{fabric.world_size} processes cannot share a batch of {schedule.batch} equally: "
            "choose a batch size that the number of processes divides"
        )
    if schedule.ema and not hasattr(distiller, "student"):
        raise ValueError(f"ema averages the weights of a student, and {type(distiller).__name__} has none: set it to 0")
    hooks = fast_layout(distiller, fabric.device)
    steps = len(train) // schedule.batch
    updates = steps * schedule.epochs
    optimizer = sgd(distiller, schedule)
    decay = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0.0, 1 - step / updates) ** schedule.power)
    model, optimizer = fabric.setup(distiller, optimizer)
    average = MovingAverage(distiller.student, schedule.ema) if schedule.ema else None
    is_first = fabric.is_global_zero
    about = what_is_trained(distiller, schedule, train)
    with fabric.rank_zero_first():  # the first process sets a damaged file aside before the others look
        run = Checkpoint(folder, distiller, optimizer, decay, average, about=about, steps=steps, writes=is_first)
    silent = not (progress and is_first)

    with (
        _bar(folder.name, run.epoch * steps, updates, silent=silent) as bar,
        _Seen(distiller) as seen,
        hooks,
    ):
        done = bar.n
        shown: dict[str, str] = {}
        while run.epoch < schedule.epochs and not run.is_stale(schedule.patience):
            if bar.n == done:
                bar.set_postfix_str(STARTING)
            start = time.perf_counter()
            torch.manual_seed(schedule.seed * 100_003 + run.epoch)
            model.train()
            sums: dict[str, Tensor] = {}
            previous = None
            batches = _Share(train, schedule.batch, fabric.global_rank, fabric.world_size)
            loader = DataLoader(train, batch_sampler=batches, collate_fn=collate)
            for step, batch in enumerate(loader, start=run.epoch * steps + 1):
                batch = batch.to(fabric.device)
                terms = update(model, optimizer, augment(batch) if augment else batch, fabric)
                decay.step()
                if average:
                    average.update(step)
                for name, term in terms.items():
                    sums[name] = sums.get(name, 0) + term.detach()
                _check_finite(previous)  # one step late, so that nothing waits for a GPU to finish this step
                previous = (step, terms, batch.name, seen.totals(batch))
                bar.update()
                if bar.n == done + 1:
                    bar.set_postfix_str("")
            _check_finite(previous)
            sums = {name: fabric.all_reduce(total, reduce_op="mean") for name, total in sums.items()}
            row = {"epoch": run.epoch + 1, **{name: float(total) / steps for name, total in sums.items()}}
            with average.in_network() if average else nullcontext():
                if validation is not None and is_first and schedule.validates(run.epoch + 1):
                    found = evaluate(distiller.student, validation, batch=schedule.batch, device=fabric.device)
                    row["mIoU"] = found["mIoU"]
                if observe and is_first:
                    with torch.no_grad():
                        row |= observe(run.epoch + 1, distiller.eval())
            row["seconds"] = round(time.perf_counter() - start, 3)
            row = fabric.broadcast(row)
            shown |= {name: f"{row[name]:.3f}" for name in (*sums, "mIoU") if row.get(name) is not None}
            bar.set_postfix(shown)
            run.save(row)
    if average:
        average.to_network()
    if schedule.patience:
        run.restore_best()
    return run.log


def _bar(name: str, done: int, updates: int, *, silent: bool) -> tqdm:
    """A progress bar of updates; steps a second and what is left are means since the start, validations included."""
    return tqdm(total=updates, initial=done, unit="step", desc=name, smoothing=0, disable=silent)


def sgd(distiller: Distiller, schedule: Schedule) -> torch.optim.SGD:
    """The optimiser of all parameters that require gradient: the student's and those of the method's adapters."""
    return torch.optim.SGD(
        [parameter for parameter in distiller.parameters() if parameter.requires_grad],
        lr=schedule.lr,
        momentum=schedule.momentum,
        weight_decay=schedule.weight_decay,
    )


def update(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Sample, fabric: "Fabric") -> dict[str, Tensor]:
    """One step of gradient descent on the sum of the model's loss terms; return the terms."""
    terms = model(batch)
    optimizer.zero_grad()
    fabric.backward(sum(terms.values()))
    optimizer.step()
    return terms


def check_training(train: Dataset, batch: int) -> None:
    """Raise a ValueError unless there are enough images for one update."""
    if len(train) < batch:
        raise ValueError(f"{len(train)} training images do not fill a batch of {batch}: lower the batch size")


class _Share(BatchSampler):
    """The batches of an epoch; of several processes each gets its part of every batch."""

    def __init__(self, dataset: Dataset, batch: int, rank: int, processes: int):
        super().__init__(RandomSampler(dataset), batch, drop_last=True)
        self.rank, self.processes = rank, processes

    def __iter__(self) -> Iterator[list[int]]:
        batches = list(super().__iter__())  # all processes have the same seed, and so the same order
        if self.rank:
            torch.manual_seed(torch.initial_seed() + self.rank * 10**12)  # its own random numbers from here on
        for batch in batches:
            yield batch[self.rank :: self.processes]


class _Seen:
    """The sums of RGB, X and logits over each image of a batch, to find the image that made a loss not finite.

    Sums are small, and they are read only if a loss is not finite, so that nothing waits for a GPU.
    """

    def __init__(self, distiller: nn.Module):
        nets = {name: getattr(distiller, name, None) for name in ("teacher", "student")}
        self.hooks = [net.register_forward_hook(partial(self._see, name)) for name, net in nets.items() if net]
        self.logits: dict[str, Tensor] = {}

    def __enter__(self) -> "_Seen":
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self.hooks:
            hook.remove()

    def _see(self, name: str, net: nn.Module, inputs: tuple, output) -> None:
        self.logits[f"the {name}'s logits"] = _totals(output.logits)

    def totals(self, batch: Sample) -> dict[str, Tensor]:
        """The sums by name, in the order of the computation. **Shapes**: each (B,)."""
        return {"rgb": _totals(batch.rgb), "x": _totals(batch.x), **self.logits}


def _totals(values: Tensor) -> Tensor:
    return values.detach().sum(dim=(1, 2, 3), dtype=torch.float32)  # flattened, they would be copied


def _check_finite(step: tuple[int, dict[str, Tensor], tuple[str, ...], dict[str, Tensor]] | None) -> None:
    if step is None:
        return
    number, terms, names, totals = step
    terms = {name: term.detach() for name, term in terms.items()}
    if torch.isfinite(torch.stack(list(terms.values()))).all():
        return
    wrong = ", ".join(f"{name} = {float(term)}" for name, term in terms.items() if not torch.isfinite(term))
    culprits, advice = ", ".join(names), "Lower the learning rate or that term's lambda, and look at these images."
    for what, total in totals.items():
        finite = total.isfinite().tolist()
        # if all logits are not finite, the weights or batch norm, which mixes the images, are the cause, not one image
        if not all(finite) and (what in ("rgb", "x") or any(finite)):
            culprits = ", ".join(name for name, is_fine in zip(names, finite, strict=True) if not is_fine)
            culprits += f", of which {what} {'is' if what in ('rgb', 'x') else 'are'} not finite"
            if what in ("rgb", "x"):
                advice = "Mend these images or leave them out."
            break
    raise TrainingFailed(f"step {number}: {wrong} is not finite; images of the batch: {culprits}. {advice}")
