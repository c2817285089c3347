"""The data of a recipe: the images that a run learns from and is scored by, and the digest that tells them apart."""

from collections.abc import Callable

from torch.utils.data import Dataset

from lixlib import data
from lixlib.core.digests import digest, digest_of_samples
from lixlib.core.files import at_home
from lixlib.data.toydrive.render import RENDERER_VERSION
from lixlib.data.unlabelled import Part, Unlabelled, WithUnlabelled, divide
from lixlib.lab.recipe import Recipe

RENDERED_BEFORE = "renderer 5"  # the digest of runs and lines of before digests were told


def load(recipe: Recipe, split: str, *, with_x: bool) -> Dataset:
    """One split of the recipe's data set; with_x = False leaves X out."""
    options = {"root": recipe.root, "size": recipe.size, "with_x": with_x}
    return data.load(recipe.dataset, split, **options, **recipe.dataset_options)


def load_unlabelled(recipe: Recipe, count: int | None = None, *, with_x: bool = True) -> Dataset:
    """Images without labels, as many as the recipe has or `count`; with_x = False leaves X out.

    Raises:
        ValueError: there are fewer of them.
    """
    count = count or recipe.unlabelled
    if recipe.dataset == "toydrive":
        options = {**recipe.dataset_options, "eval_count": count}
        return Unlabelled(data.load("toydrive", "unlabelled", size=recipe.size, **options))
    if recipe.root and (at_home(recipe.root) / "unlabelled").is_dir():
        found = load(recipe, "unlabelled", with_x=with_x)
        left, where = range(len(found)), f"the folder {at_home(recipe.root) / 'unlabelled'} has {len(found)}"
    else:
        found = load(recipe, recipe.splits[0], with_x=with_x)
        _, left = divide(len(found), recipe.labelled or 0, seed=recipe.seed)
        where = f"{len(left)} of the split {recipe.splits[0]} are left"
    if count > len(left):
        raise ValueError(f"unlabelled is {count}, and {where}: ask for fewer")
    return Unlabelled(Part(found, left[:count]))


def load_training(recipe: Recipe) -> Dataset:
    """The images that the run learns from: the labelled ones, and beside them those without labels, if any."""
    train = load(recipe, recipe.splits[0], with_x=recipe.needs_x)
    if recipe.labelled:
        train = Part(train, divide(len(train), recipe.labelled, seed=recipe.seed)[0])
    return WithUnlabelled(train, load_unlabelled(recipe, with_x=recipe.needs_x)) if recipe.unlabelled else train


def load_pretraining(recipe: Recipe) -> Dataset:
    """The images from which the student learns to predict X: all of RGB and X that a distilled student sees."""
    train = load(recipe, recipe.splits[0], with_x=True)
    count = unlabelled_of_pretraining(recipe)
    return WithUnlabelled(train, load_unlabelled(recipe, count)) if count else train


def unlabelled_of_pretraining(recipe: Recipe) -> int:
    """A student who learns classes from labels alone is pretrained on the data set's own number of frames."""
    return recipe.unlabelled or data.DATASETS[recipe.dataset].unlabelled


def data_digest(recipe: Recipe) -> str:
    """What the recipe does not say about the data that decide the run's numbers.

    Of files it is a digest of names and contents: all that the run and its teacher read, in every split. ToyDrive's
    frames follow from the recipe and the version of its renderer.

    Raises:
        ValueError, FileNotFoundError: the data cannot be read.
    """
    if recipe.dataset == "toydrive":
        return f"renderer {RENDERER_VERSION}"
    training = digest_of_training(recipe) if recipe.pretrain else digest_of_samples(load_training(recipe))
    scored = [digest_of_samples(load(recipe, split, with_x=recipe.sees_x)) for split in recipe.splits[1:] if split]
    return digest([training, *scored, data_digest(recipe.of_teacher()) if recipe.distils else None])


def identity(recipe: Recipe) -> dict:
    """The data's part of what names a run's folder."""
    return _told(data_digest, recipe)


def identity_of_training(recipe: Recipe) -> dict:
    """The data's part of what names the folder of a stage or a pretraining."""
    return _told(digest_of_training, recipe)


def _told(digest_of: Callable[[Recipe], str], recipe: Recipe) -> dict:
    try:
        told = digest_of(recipe)
    except (OSError, ValueError):
        told = None  # there can be no such run, and `run` says why
    return {} if told == RENDERED_BEFORE else {"data_digest": told}


def digest_of_training(recipe: Recipe) -> str:
    """The digest of the images and X that a stage or a pretraining learns from."""
    if recipe.dataset == "toydrive":
        return data_digest(recipe)
    with_x = recipe.needs_x or recipe.pretrain > 0
    read = digest_of_samples(load(recipe, recipe.splits[0], with_x=with_x))
    if not recipe.unlabelled:
        return read
    return digest([read, digest_of_samples(load_unlabelled(recipe, with_x=with_x))])
