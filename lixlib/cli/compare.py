"""`lix compare`: every method on every data set with every seed."""

from pathlib import Path
from typing import Annotated

import tyro

from lixlib import data
from lixlib.cli.app import Device, app, check_some, train_grid
from lixlib.core import devices
from lixlib.lab.grid import grid
from lixlib.lab.recipe import Recipe, all_methods
from lixlib.training import ClassWeighting


@app.command
def compare(
    datasets: tuple[str, ...] = ("toydrive",),
    networks: tuple[str, ...] = ("mfnet",),
    network_options: dict = {},  # noqa: B006 (nobody changes it)
    methods: tuple[str, ...] | None = None,
    method_options: dict = {},  # noqa: B006 (nobody changes it)
    seeds: tuple[int, ...] = (0,),
    root: Annotated[tuple[str, ...], tyro.conf.arg(metavar="DATASET=DIR...")] = (),
    size: Annotated[tuple[int, int] | None, tyro.conf.arg(metavar="H W")] = None,
    epochs: int | None = None,
    batch_size: int = Recipe.batch_size,
    lr: float = Recipe.lr,
    momentum: float = Recipe.momentum,
    weight_decay: float = Recipe.weight_decay,
    augmentation: dict = {},  # noqa: B006 (nobody changes it)
    patience: int = Recipe.patience,
    precision: devices.Precision = Recipe.precision,
    splits: tuple[str, str | None, str] | None = None,
    dataset_options: dict = {},  # noqa: B006 (nobody changes it)
    teacher: dict = {},  # noqa: B006 (nobody changes it)
    unlabelled: int | None = None,
    labelled: int | None = None,
    class_weights: ClassWeighting = Recipe.class_weights,
    ema: float = Recipe.ema,
    jobs: int | None = None,
    scheduler: str | None = None,
    device: Device = "auto",
    results_dir: Annotated[Path, tyro.conf.arg(name="results", metavar="DIR")] = Path("results"),
) -> None:
    """Train every method on every data set with every seed, several runs at a time, and collect the result lines.

    A run whose line is in the results is not repeated, unless it was of other data, and a killed one goes on when the
    same command is given again.
    A run that fails does not stop the others; it is listed at the end, and the exit code is then 1.

    {names}

    Example: lix compare --seeds 0 1 2 --epochs 50 --splits train None test --teacher '{"epochs": 100}'

    Args:
        datasets: Names of data sets.
        networks: Names of networks, or your own as module.path:factory.
        network_options: Options of all these networks, e.g. {"encoder": "resnet18"} of sne-roadseg.
        methods: What to train; by default a teacher, a student alone, and a student by every method.
        method_options: Options of methods that differ from the tuned ones, by the method's name, e.g.
            {"kd": {"weight": 0.5}}.
        seeds: Seeds; all methods are trained with the first before the next begins.
        root: Folder of each data set that is read from files, e.g. camvid=data/camvid potholes=data/potholes.
        size: Height and width of the images; by default the data set's own.
        epochs: Passes over the training images; by default the data set's own.
        batch_size: Images in one update.
        lr: Initial learning rate of SGD; it falls to 0.
        momentum: Momentum of SGD.
        weight_decay: Weight decay of SGD.
        augmentation: Options of the augmentation that differ from its own (`lix train --help`), e.g. {"jitter": 0.3}.
        patience: Epochs without a better validation mIoU after which to stop; 0 never stops early.
        precision: Number format: 32-true, or bf16-mixed / 16-mixed for automatic mixed precision.
        splits: Training, validation (None: no validation) and test split; by default the data set's own.
        dataset_options: Options of the data set that differ from its own.
        teacher: What the teachers have different, e.g. {"epochs": 100}.
        unlabelled: Images without labels for the distilled students; by default the data set's own number.
        labelled: How many training images keep their labels; by default all.
        class_weights: How the cross-entropy weighs the classes: none, sqrt, median or enet (`lix train --help`).
        ema: Decay of the moving average of the weights that is kept; 0 for none.
        jobs: Runs at the same time, with one thread each if there are several; by default one for every core, or one
            alone on a GPU.
        scheduler: Address of a Dask scheduler, e.g. tcp://host:8786, whose workers shall do the runs.
        results_dir: Folder whose DATASET/NETWORK.jsonl hold the result lines.
    """
    devices.choose_device(device)
    check_some(datasets=datasets, networks=networks, methods=all_methods() if methods is None else methods, seeds=seeds)
    roots = _roots(root)
    _check_roots(roots, datasets)
    recipes = grid(
        datasets=datasets,
        networks=networks,
        network_options=network_options,
        methods=methods,
        method_options=method_options,
        seeds=seeds,
        roots=roots,
        size=size,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        momentum=momentum,
        weight_decay=weight_decay,
        augmentation=augmentation,
        patience=patience,
        precision=precision,
        splits=splits,
        dataset_options=dataset_options,
        teacher=teacher,
        unlabelled=unlabelled,
        labelled=labelled,
        class_weights=class_weights,
        ema=ema,
    )
    train_grid(recipes, results_dir, jobs=jobs, scheduler=scheduler, device=device)


def _roots(words: tuple[str, ...]) -> dict[str, str]:
    """The folders of the data sets, from words like camvid=DIR."""
    pairs = {name: folder for name, equals, folder in (word.partition("=") for word in words) if equals}
    if len(pairs) < len(words) and all("=" in word for word in words):
        raise ValueError(f"--root names a data set twice in {' '.join(words)}: give each one folder")
    unknown = [word for word in words if word.partition("=")[0] not in data.from_files() or "=" not in word]
    if unknown:
        raise ValueError(f"--root {unknown[0]}: write DATASET=DIR with one of {', '.join(data.from_files())}")
    return pairs


def _check_roots(roots: dict[str, str], datasets: tuple[str, ...]) -> None:
    for name in datasets:
        if name in data.from_files() and name not in roots:
            raise ValueError(f"data set {name!r} is read from files: give its folder as --root {name}=DIR")
