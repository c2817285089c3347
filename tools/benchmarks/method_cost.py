"""Measure time and peak memory of one update with each method, relative to a student that is trained alone.

Run it from the repository's root as `python -m tools.benchmarks.method_cost`. An update is that of `lixlib.lab.run`
with MFNet on ToyDrive and 8 labelled and 8 unlabelled images. It comprises student, teacher, method, backward pass and
optimiser, but not the loading of images. The teacher is untrained, which does not change the cost. The methods are
updated in turn in one process.

`time_ratio` and `memory_ratio` compare with the student of the tables, which sees only the 8 labelled images.
`time_ratio_same_images` and `memory_ratio_same_images` compare with a student that sees all 16 images, and so show what
teacher and method add. Memory is that of all tensors: weights, also of the teacher, momentum, gradients and
activations. FT and MasKD first train a stage, whose cost is not included here; its seconds are in the result lines.
With --regime the arms of the main table are measured, in their regime and with their options.
"""

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import tyro
from lightning_fabric import Fabric
from torch.utils.data import Dataset

from lixlib.core.files import write_json_lines
from lixlib.data import Sample, collate
from lixlib.distillers import METHODS, TwoStage
from lixlib.distillers.registry import SELF_TAUGHT, UNTAUGHT
from lixlib.lab import experiments
from lixlib.lab.inputs import Inputs
from lixlib.lab.prepare import distiller_of
from lixlib.lab.recipe import Recipe
from lixlib.lab.record import provenance
from lixlib.training import Schedule, launch, sgd, update
from tools.benchmarks.measure import MIB, median_seconds, peak_bytes

ALONE, SAME_IMAGES = "student", "student, same images"


@dataclass(frozen=True)
class Options:
    """What to measure.

    Args:
        methods: Names of the methods. The student alone is always measured as well.
        device: Device: cpu or cuda.
        threads: Number of CPU threads.
        precision: Number format; the default is that of the runs of the tables.
        repetitions: Number of updates of each method, of which the median time is taken.
        regime: Measure the arms of the main table (results/protocol.md) in its regime, into the folder `regime`.
        quick: Use small images and few updates, to check that everything works.
        results: Folder to which the measurements are written.
    """

    methods: tuple[str, ...] = tuple(METHODS)
    device: str = "cpu"
    threads: int = 1
    precision: str = "bf16-mixed"
    repetitions: int = 21
    regime: bool = False
    quick: bool = False
    results: Path = Path("results/cost")


def half_labelled(train: Dataset, batch: int) -> Sample:
    """Return a batch of labelled images and as many unlabelled ones, the second half of the training images."""
    return collate([train[start + i] for start in (0, len(train) // 2) for i in range(batch)])


def trainer(recipe: Recipe, train: Dataset, fabric: Fabric) -> Callable[[Sample], object]:
    """Return a function that makes one update of a run with a batch."""
    alone = recipe.method in UNTAUGHT
    teacher = None if alone else distiller_of(recipe.of_teacher(), None, train).student
    distiller = distiller_of(recipe, teacher, train).to(memory_format=torch.channels_last)
    if isinstance(distiller.method, TwoStage):
        distiller.method.stage_trained = True  # an untrained stage costs the same
    schedule = Schedule(recipe.epochs, recipe.batch_size, recipe.lr)
    model, optimizer = fabric.setup(distiller, sgd(distiller, schedule))
    model.train()
    return lambda batch: update(model, optimizer, batch, fabric)


def main(options: Options) -> None:
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    fabric = launch(options.device, options.precision)
    size = (48, 64) if options.quick else (48, 160)
    few = {"size": size, "dataset_options": {"count": 8}, "unlabelled": 8, "precision": options.precision}
    arms = experiments.recipes("main")
    base = replace(arms["KD"][0] if options.regime else Recipe(), **few)
    train = Inputs(base).train
    batch = half_labelled(train, base.batch_size).to(device)
    labelled = replace(
        batch, **{name: getattr(batch, name)[: base.batch_size] for name in ("rgb", "x", "valid", "label")}
    )
    student = replace(base, method="student", method_options={})
    jobs = {ALONE: (student, labelled), SAME_IMAGES: (student, batch)}
    if options.regime:
        taught = [by_seed[0] for by_seed in arms.values() if by_seed[0].method in (*options.methods, *SELF_TAUGHT)]
        jobs |= {recipe.method: (replace(recipe, **few), batch) for recipe in taught}
    else:
        jobs |= {name: (replace(base, method=name), batch) for name in options.methods}

    def train_twice(recipe: Recipe, batch: Sample) -> None:
        step = trainer(recipe, train, fabric)
        step(batch)
        step(batch)  # the second update has momentum

    def bound(step: Callable, batch: Sample) -> Callable:
        return lambda: step(batch)

    repetitions = 2 if options.quick else options.repetitions
    steps = {name: bound(trainer(recipe, train, fabric), images) for name, (recipe, images) in jobs.items()}
    seconds = median_seconds(steps, repetitions, device)
    del steps
    peaks = {name: peak_bytes(lambda job=job: train_twice(*job), device) for name, job in jobs.items()}

    command = shlex.join(["python", "-m", "tools.benchmarks.method_cost", *sys.argv[1:]])
    origin = {**provenance(device), "command": command}
    print(f"{'method':20} {'ms':>8} {'ratio':>6} {'same images':>12} {'MiB':>8} {'ratio':>6} {'same images':>12}")
    lines = []
    for name, (recipe, images) in jobs.items():
        same = ALONE if name == ALONE else SAME_IMAGES
        numbers = {
            "step_ms": round(1e3 * seconds[name], 3),
            "time_ratio": round(seconds[name] / seconds[ALONE], 4),
            "time_ratio_same_images": round(seconds[name] / seconds[same], 4),
            "peak_mib": round(peaks[name] / MIB, 3),
            "memory_ratio": round(peaks[name] / peaks[ALONE], 4),
            "memory_ratio_same_images": round(peaks[name] / peaks[same], 4),
        }
        print(f"{name:20} " + "{:8.1f} {:6.2f} {:12.2f} {:8.1f} {:6.2f} {:12.2f}".format(*numbers.values()))
        if name == SAME_IMAGES:
            continue
        about = {"dataset": recipe.dataset, "network": recipe.network, "method": name, "hyper": recipe.options}
        about |= {"size": recipe.size, "images": len(images.label), "precision": recipe.precision}
        lines.append({**about, **numbers, "repetitions": repetitions, **origin})
    folder = options.results / "regime" if options.regime else options.results
    write_json_lines(folder / base.dataset / f"{base.network}.jsonl", lines)


if __name__ == "__main__":
    main(tyro.cli(Options))
