"""What a run trains and scores with: its data, checked, and its networks with the method between them."""

import torch
from torch import nn
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from lixlib import data, nets
from lixlib.data.augment import Augment
from lixlib.distillers import Distiller, TwoStage
from lixlib.lab.inputs import Inputs, load
from lixlib.lab.recipe import Recipe
from lixlib.training import Schedule, check_split, check_training, class_frequencies, class_weights


def check_inputs(inputs: Inputs, *, progress: bool = True) -> None:
    """Find what is wrong with a run's data before anything is trained.

    Args:
        progress: show a progress bar where the reading takes more than two seconds.

    Raises:
        ValueError, FileNotFoundError: a split has nothing to learn from or to score, or its files cannot be read.
    """
    train = inputs.train
    check_training(getattr(train, "labelled", train), inputs.recipe.batch_size)
    for split, what in ((train, "training"), (inputs.validation, "validation"), (inputs.test, "test")):
        if split is not None:
            check_split(split, what)
    # a training reads its own images at its beginning, and these at its end
    for split, what in ((inputs.validation, "validation"), (inputs.test, "test")):
        if split is not None:
            about = {"desc": f"checking the {what} images", "delay": 2, "leave": False, "disable": not progress}
            for index in tqdm(range(len(split)), **about):
                split[index]


def check_distillation(inputs: Inputs, *, progress: bool = True) -> None:
    """Put the method between the two networks, to find what does not fit before the teacher has been trained.

    Raises:
        ValueError, FileNotFoundError: the data of the teacher, or the networks and the method do not fit.
    """
    check_inputs(inputs.teacher, progress=progress)
    teacher = network_of(inputs.teacher.recipe, inputs.teacher.train)
    distiller_of(inputs.recipe, teacher, inputs.train, progress=progress)


def network_of(recipe: Recipe, train: Dataset) -> nn.Module:
    """The network that a recipe trains, as torch's random numbers initialise it."""
    x_channels = train.x_channels if recipe.sees_x else None
    options = {"num_classes": len(train.classes.names), "x_channels": x_channels, **recipe.network_options}
    return nets.build(recipe.network, **options)


def problem_of_network(inputs: Inputs, known: dict[str, Exception | None]) -> Exception | None:
    """Why the network of a run cannot be built, or None. Runs that have the same network share the answer in `known`.

    Raises:
        OSError, ValueError: the training images, which decide the numbers of classes and of channels, cannot be read.
    """
    recipe = inputs.recipe
    deciding = ("network", "network_options", "dataset", "root", "dataset_options", "sees_x")
    what = str([getattr(recipe, name) for name in deciding])
    if what not in known:
        train = load(recipe, recipe.splits[0], with_x=recipe.sees_x)
        # Without memory for its weights most networks are built in no time; others are built as the run will do it.
        for device in ("cpu",) if "pretrained" in recipe.network_options else ("meta", "cpu"):
            known[what] = None
            try:
                with torch.random.fork_rng(devices=[]), torch.device(device):
                    network_of(recipe, train)
            except Exception as error:  # whatever the network of a stranger raises
                known[what] = error
            else:
                break
    return known[what]


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
    distiller = Distiller(student, teacher, recipe.module, **shared, **recipe.options)
    if isinstance(distiller.method, TwoStage) and recipe.stage is None:
        raise ValueError(f"method {recipe.method!r} has a stage to train first: register its class, and no function")
    return distiller


def schedule_of(recipe: Recipe) -> Schedule:
    """The schedule of a run; beside every labelled image of a batch may be one without a label."""
    batch = 2 * recipe.batch_size if recipe.unlabelled else recipe.batch_size
    same = {name: getattr(recipe, name) for name in ("momentum", "weight_decay", "patience", "seed", "ema")}
    # where nothing is chosen by it, validation is a curve to look at, and about a dozen points of it are enough
    every = 1 if recipe.patience else max(1, recipe.epochs // 12)
    return Schedule(recipe.epochs, batch, recipe.lr, validate_every=every, **same)


def augmentation_of(recipe: Recipe) -> Augment:
    """What changes every training batch of a run."""
    return Augment(recipe.size, **recipe.augmentation)
