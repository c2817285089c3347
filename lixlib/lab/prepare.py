"""What a run trains and scores with: its data, checked, and its networks with the method between them."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.data import Dataset

from lixlib import data, nets
from lixlib.distillers import Distiller, TwoStage
from lixlib.lab import inputs
from lixlib.lab.recipe import Recipe
from lixlib.training import Schedule, check_split, check_training, class_frequencies, class_weights


@dataclass(frozen=True)
class Splits:
    """The data of a run, each split with the X that its network sees."""

    train: Dataset
    validation: Dataset | None
    test: Dataset


def load_splits(recipe: Recipe) -> Splits:
    """Read the data of a run.

    Raises:
        ValueError, FileNotFoundError: a split has nothing to learn from or to score, or its files cannot be read.
    """
    _, validation, test = recipe.splits
    splits = Splits(
        inputs.load_training(recipe),
        inputs.load(recipe, validation, with_x=recipe.sees_x) if validation else None,
        inputs.load(recipe, test, with_x=recipe.sees_x),
    )
    check_training(getattr(splits.train, "labelled", splits.train), recipe.batch_size)
    for split, what in ((splits.train, "training"), (splits.validation, "validation"), (splits.test, "test")):
        if split is not None:
            check_split(split, what)
    for split in filter(None, (splits.validation, splits.test)):  # training reads its own images first, these ones late
        for index in range(len(split)):
            split[index]
    return splits


def check_distillation(recipe: Recipe, train: Dataset) -> None:
    """Put the method between the two networks, to find what does not fit before the teacher has been trained.

    Args:
        train: the images that the student learns from.

    Raises:
        ValueError, FileNotFoundError: the data of the two, or the networks and the method do not fit.
    """
    taught = recipe.of_teacher()
    seen = inputs.load_training(taught)
    check_training(getattr(seen, "labelled", seen), taught.batch_size)
    check_split(seen, "training")
    check_split(inputs.load(taught, taught.splits[-1], with_x=taught.x), "test")
    distiller_of(recipe, network_of(taught, seen), train)


def network_of(recipe: Recipe, train: Dataset) -> nn.Module:
    """The network that a recipe trains, as torch's random numbers initialise it."""
    x_channels = train.x_channels if recipe.sees_x else None
    options = {"num_classes": len(train.classes.names), "x_channels": x_channels, **recipe.network_options}
    return nets.build(recipe.network, **options)


def distiller_of(recipe: Recipe, teacher: nn.Module | None, train: Dataset, *, progress: bool = True) -> Distiller:
    """What a run trains: its network, initialised by its seed, with the method's modules and the frozen teacher.

    Args:
        teacher: the network to learn from; a teacher and a student without one take None.
        train: the run's images, of which the first shows the sizes of the maps.
        progress: show a progress bar where the classes of many images are counted.
    """
    torch.manual_seed(recipe.seed)  # a student has the same initial weights whatever the method
    student = network_of(recipe, train)
    shared = {"example": data.collate([train[0]]), "auxiliary": recipe.auxiliary}
    if recipe.class_weights != "none":
        frequencies = class_frequencies(train, progress=progress)
        shared["class_weights"] = class_weights(frequencies, recipe.class_weights)
    distiller = Distiller(student, teacher, recipe.method if recipe.distils else "none", **shared, **recipe.options)
    if isinstance(distiller.method, TwoStage) and recipe.stage is None:
        raise ValueError(f"method {recipe.method!r} has a stage to train first: register its class, and no function")
    return distiller


def schedule_of(recipe: Recipe) -> Schedule:
    """The schedule of a run; beside every labelled image of a batch may be one without a label."""
    batch = 2 * recipe.batch_size if recipe.unlabelled else recipe.batch_size
    return Schedule(recipe.epochs, batch, recipe.lr, patience=recipe.patience, seed=recipe.seed, ema=recipe.ema)
