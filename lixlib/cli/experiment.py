"""`lix experiment`: the variants of the experiments of the notebooks."""

from pathlib import Path
from typing import Annotated

import tyro

from lixlib import data
from lixlib.cli.app import Device, app, check_some, train_grid
from lixlib.core import devices
from lixlib.lab import experiments
from lixlib.lab.plan import folder_of


@app.command
def experiment(
    names: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="NAME...")],
    only: Annotated[tuple[str, ...] | None, tyro.conf.arg(metavar="VARIANT...")] = None,
    seeds: tuple[int, ...] = (0, 1, 2),
    size: Annotated[tuple[int, int] | None, tyro.conf.arg(metavar="H W")] = None,
    epochs: int | None = None,
    precision: devices.Precision | None = None,
    root: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None,
    quick: tyro.conf.FlagCreatePairsOff[bool] = False,
    jobs: int | None = None,
    scheduler: str | None = None,
    device: Device = "auto",
    results_dir: Annotated[Path, tyro.conf.arg(name="results", metavar="DIR")] = Path("results/experiments"),
) -> None:
    """Train every variant of the experiments of results/protocol.md and of the notebooks, as `lix compare` its grid.

    Example: lix experiment beta weighting --seeds 0 1 2

    Args:
        names: Names of experiments; lixlib/lab/evidence.py and lixlib/lab/experiments.py list them.
        only: Variants to train, e.g. --only student KD; by default all of the experiment.
        seeds: Seeds; every variant of an experiment is trained with the first before the next begins.
        size: Height and width of the images; by default that of the committed results.
        epochs: Passes over the training images; by default those of the committed results.
        precision: Number format: 32-true, or bf16-mixed / 16-mixed for automatic mixed precision; by default that of
            the committed results.
        root: Folder of the data set, for experiments on files, e.g. nyuv2-150.
        quick: Two epochs on a few frames, only to see that everything works.
        jobs: Runs at the same time, with one thread each if there are several; by default one for every core, or one
            alone on a GPU.
        scheduler: Address of a Dask scheduler whose workers shall do the runs.
        results_dir: Folder whose DATASET/NETWORK.jsonl hold the result lines.
    """
    devices.choose_device(device)
    check_some(NAME=names, seeds=seeds, **({} if only is None else {"only": only}))
    given = {"size": size, "epochs": epochs, "precision": precision, "root": root}
    common = {name: value for name, value in given.items() if value is not None}
    asked = [experiments.recipes(name, seeds, quick=quick, **common) for name in names]
    known = dict.fromkeys(name for variants in asked for name in variants)
    for variant in only or ():
        if variant not in known:  # in quotes, as some names have a comma
            raise ValueError(f"unknown variant {variant!r}: choose one of {', '.join(map(repr, known))}")
    asked = [{name: variants[name] for name in variants if not only or name in only} for variants in asked]
    grids = [[(name, by_seed[seed]) for seed in seeds for name, by_seed in variants.items()] for variants in asked]
    recipes = {folder_of(recipe): recipe for grid in grids for _, recipe in grid}
    for recipe in recipes.values():
        if recipe.dataset in data.from_files() and recipe.root is None:
            raise ValueError(f"data set {recipe.dataset!r} is read from files: give its folder as --root DIR")
    rows = [[(name, folder_of(recipe)) for name, recipe in grid] for grid in grids]
    tables = {f"{name}, in %": each for name, each in zip(names, rows, strict=True)}
    train_grid(list(recipes.values()), results_dir, tables, jobs=jobs, scheduler=scheduler, device=device)
