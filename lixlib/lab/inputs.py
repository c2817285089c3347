"""The data of a recipe: the images that a run learns from and is scored by, and the digest that tells them apart."""

from functools import cached_property

from torch.utils.data import Dataset

from lixlib import data
from lixlib.core.digests import digest, digest_of_samples
from lixlib.core.files import at_home
from lixlib.data.toydrive.render import RENDERER_VERSION
from lixlib.data.unlabelled import Part, Unlabelled, WithUnlabelled, divide
from lixlib.lab.recipe import Recipe

RENDERED_BEFORE = "renderer 5"  # the digest of runs and lines that are older than digests


class Inputs:
    """The data of one recipe. Each split is opened when it is first asked for, and only once.

    Raises:
        ValueError, FileNotFoundError: at the first use of a split whose files are missing or too few.
    """

    def __init__(self, recipe: Recipe):
        self.recipe = recipe

    @cached_property
    def teacher(self) -> "Inputs":
        """The data of the recipe's teacher."""
        return Inputs(self.recipe.of_teacher())

    @cached_property
    def train(self) -> Dataset:
        """The images that the run learns from: the labelled ones, and beside them those without labels, if any."""
        recipe = self.recipe
        train = load(recipe, recipe.splits[0], with_x=recipe.needs_x)
        if recipe.labelled:
            train = Part(train, divide(len(train), recipe.labelled, seed=recipe.seed)[0])
        if not recipe.unlabelled:
            return train
        return WithUnlabelled(train, load_unlabelled(recipe, recipe.unlabelled, with_x=recipe.needs_x))

    @cached_property
    def validation(self) -> Dataset | None:
        """The images that the run is scored on after every epoch, with the X that its network sees; None: no such."""
        split = self.recipe.splits[1]
        return load(self.recipe, split, with_x=self.recipe.sees_x) if split else None

    @cached_property
    def test(self) -> Dataset:
        """The images that the run is scored on at its end, with the X that its network sees."""
        return load(self.recipe, self.recipe.splits[2], with_x=self.recipe.sees_x)

    @property
    def unlabelled_of_pretraining(self) -> int:
        """A student who learns classes from labels alone is pretrained on the data set's own number of frames."""
        return self.recipe.unlabelled or data.DATASETS[self.recipe.dataset].unlabelled

    @cached_property
    def pretraining(self) -> Dataset:
        """The images from which the student learns to predict X: all of RGB and X that a distilled student sees."""
        train, count = load(self.recipe, self.recipe.splits[0], with_x=True), self.unlabelled_of_pretraining
        return WithUnlabelled(train, load_unlabelled(self.recipe, count, with_x=True)) if count else train

    @cached_property
    def digest(self) -> str:
        """What the recipe does not say about the data that decide the run's numbers.

        Of files it is a digest of names and contents: all that the run and its teacher read, in every split. ToyDrive's
        frames follow from the recipe and the version of its renderer.
        """
        if self.recipe.dataset == "toydrive":
            return f"renderer {RENDERER_VERSION}"
        training = self.digest_of_training if self.recipe.pretrain else digest_of_samples(self.train)
        scored = [digest_of_samples(split) for split in (self.validation, self.test) if split is not None]
        return digest([training, *scored, self.teacher.digest if self.recipe.distils else None])

    @cached_property
    def digest_of_training(self) -> str:
        """The digest of the images and X that a stage or a pretraining learns from."""
        recipe = self.recipe
        if recipe.dataset == "toydrive":
            return self.digest
        with_x = recipe.needs_x or recipe.pretrain > 0
        read = digest_of_samples(load(recipe, recipe.splits[0], with_x=with_x))
        if not recipe.unlabelled:
            return read
        return digest([read, digest_of_samples(load_unlabelled(recipe, recipe.unlabelled, with_x=with_x))])


def load(recipe: Recipe, split: str, *, with_x: bool) -> Dataset:
    """One split of the recipe's data set; with_x = False leaves X out."""
    options = {"root": recipe.root, "size": recipe.size, "with_x": with_x}
    return data.load(recipe.dataset, split, **options, **recipe.dataset_options)


def load_unlabelled(recipe: Recipe, count: int, *, with_x: bool) -> Dataset:
    """`count` images without labels; with_x = False leaves X out.

    Raises:
        ValueError: there are fewer of them.
    """
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
