"""One run of the paper's experiment: data, teacher, student, method, schedule -> weights, log and a result line."""

import os
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import torch
from annotated_types import Interval
from torch import nn
from torch.utils.data import Dataset

from lixlib import checkpoints, data, nets
from lixlib.core.checks import check_choice
from lixlib.core.devices import Precision
from lixlib.core.digests import digest, digest_of_file, digest_of_samples
from lixlib.core.files import (
    as_name,
    at_home,
    one_at_a_time,
    read_json_lines,
    remove_leftovers,
    set_aside,
    without_folders,
    write_json_lines,
)
from lixlib.core.options import Count, Epochs, Positive, Seed, Size, Weight, check_fields, check_pixels
from lixlib.data.augment import Augment
from lixlib.data.toydrive.render import RENDERER_VERSION
from lixlib.data.unlabelled import Part, Unlabelled, WithUnlabelled, divide
from lixlib.distillers import METHODS, Distiller, PredictX, TwoStage
from lixlib.distillers.common import check_options, default_options
from lixlib.lab import results
from lixlib.training import Schedule, check_split, check_training, evaluate, fit, fit_stage, launch

if TYPE_CHECKING:
    from lightning_fabric import Fabric

# The options that won on validation images (results/README.md says how); what is not here is the method's own default.
LOGIT = {"weighting": "closed-form", "divergence": "bregman", "beta_min": 0.05, "beta_max": 1.0}
FEATURE = {"samples": "channels", "max_positions": 64}
CHOSEN = {
    "kd": {"weight": 1.0},
    "cwkd": {"weight": 1.0},
    "dkd": {"weight": 0.1, "beta": 1.0},
    "dist": {"weight": 1.0},
    "wsld": {"weight": 0.8},
    "dwld": {"weight": 1.0, **LOGIT},
    "at": {"weight": 20.0},
    "fitnet": {"weight": 6.0},
    "ft": {"weight": 20.0},
    "nst": {"weight": 3.0},
    "rkd": {"weight": 0.006},
    "sp": {"weight": 70.0},
    "vid": {"weight": 30.0},
    "maskd": {"weight": 3.0},
    "diffkd": {"weight": 0.3},
    "pad": {"weight": 0.09},
    "afdcd": {"distance_weight": 2e-4, "contrast_weight": 4e-3},
    "arfd": {"weight": 3.0, **FEATURE},
    "lix": {"lambda_l": 0.3, "lambda_f": 0.3, "logit": LOGIT, "feature": FEATURE},
}
# Where the teacher speaks about labelled images alone, a logit term as heavy as above made students worse: there it has
# the lightest weight that was tried.
LABELLED_ALONE = {
    **dict.fromkeys(("kd", "cwkd", "dkd", "dist", "dwld"), {"weight": 0.1}),
    "wsld": {"weight": 0.08},
    "afdcd": {"kd_weight": 0.1},
    "lix": {"lambda_l": 0.1},
}
EXTRAS = ("unlabelled", "labelled", "auxiliary", "pretrain")  # fields that a line tells among the method's options
WEIGHTS, RESULT, LOG = "weights.safetensors", "result.jsonl", "log.jsonl"  # of a run's folder
# What a teacher's recipe may have different from that of its student.
OF_TEACHER = ("network", "net", "data", "seed", "epochs", "batch", "lr", "patience", "precision", "labelled", "x")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a run's result: the same recipe gives the same numbers on the same machine.

    Args:
        dataset: Data set: toydrive, potholes, camvid, nyuv2, vkitti2, kitti, nuimages or cityscapes; or folder, a data
            set of your own.
        root: Folder of the data set's files; toydrive renders its own.
        network: Network: mfnet, sne-roadseg or off-net, or one of your own as module.path:factory.
        net: Options of the network, e.g. {"encoder": "resnet18", "pretrained": "IMAGENET1K_V1"} of sne-roadseg:
            "pretrained" is the file or published name of weights that its encoders start from.
        method: What to train: teacher, student, or a student distilled by kd, cwkd, dkd, dist, wsld, dwld, at,
            fitnet, ft, nst, rkd, sp, vid, maskd, diffkd, afdcd, pad, arfd or lix.
        seed: Seed of the initial weights, the order of the images and the augmentation.
        size: Height and width of the images; where not given, the data set's own default.
        epochs: Passes over the training images; where not given, the data set's own default.
        batch: Images in one update.
        lr: Initial learning rate; it falls to 0.
        patience: Epochs without a better validation mIoU after which to stop; 0 never stops early.
        precision: Number format: 32-true, or bf16-mixed / 16-mixed for automatic mixed precision.
        splits: Training, validation (None: no validation) and test split; where not given, the data set's own default.
        hyper: Options of the method that differ from the chosen ones, e.g. {"lambda_l": 0.5, "lambda_f": 1.0}.
        data: Options of the data set that differ from its own; of toydrive e.g. {"count": 200, "eval_count": 100,
            "difficulty": 0.5}: training frames, frames of each other split, and how ambiguous RGB is. With "x" every
            data set whose depth is in metres chooses what a teacher sees: "disparity" (as a rule), "depth" or
            "normals".
        teacher: What the teacher's recipe has different, e.g. {"epochs": 60}; "data" stands for all of the student's.
        unlabelled: Images of RGB and X without labels from which a distilled student learns too: every update then
            sees about as many of them as labelled ones. The number of updates stays. They are ToyDrive frames of a
            split of their own; the images of the folder `unlabelled` of a data set of your own; else training images
            that are shown without their labels, and of these the ones that `labelled` leaves. Where not given, the
            data set's own default; always 0 for a teacher and for a student who learns from labels alone.
        labelled: How many training images keep their labels, drawn by the seed, the same for every method; where not
            given, all.
        x: False trains a teacher of RGB alone, the control of what X is worth. For a student say it of the teacher:
            teacher {"x": false}.
        auxiliary: Weight of a second task of the student, to predict X from RGB; 0 for none. It needs no labels, so
            that a student who is not distilled learns from unlabelled frames, too.
        pretrain: Epochs for which the student predicts X before it learns classes, on labelled and unlabelled frames.
    """

    dataset: str = "toydrive"
    root: str | Path | None = None
    network: str = "mfnet"
    net: dict = field(default_factory=dict)
    method: str = "lix"
    seed: Seed = 0
    size: Size | None = None
    epochs: Epochs | None = None
    batch: Count = 8
    lr: Positive = 0.05
    patience: Annotated[int, Interval(ge=0, le=1_000_000)] = 0
    precision: Precision = "32-true"
    splits: tuple[str, str | None, str] | None = None
    hyper: dict = field(default_factory=dict)
    data: dict = field(default_factory=dict)
    teacher: dict = field(default_factory=dict)
    unlabelled: Annotated[int, Interval(ge=0, le=500_000)] | None = None
    labelled: Annotated[int, Interval(ge=1, le=500_000)] | None = None
    x: bool = True
    auxiliary: Weight = 0.0
    pretrain: Annotated[int, Interval(ge=0, le=1_000_000)] = 0

    def __post_init__(self):
        check_fields(self)
        known = ("teacher", "student", *(name for name in METHODS if name != "none"))
        check_choice("data set", self.dataset, data.DATASETS)
        check_choice("method", self.method, known)
        nets.check_options(self.network, self.net)
        data.check_options(self.dataset, self.data)
        object.__setattr__(self, "data", {**data.DATASETS[self.dataset].options, **self.data})
        # found now, not after the teacher has been trained
        check_options(METHODS.get(self.method, METHODS["none"]), self.options)
        for name in self.teacher:
            if name not in OF_TEACHER:
                raise ValueError(f"a teacher has no {name!r} of its own: it may have its own {', '.join(OF_TEACHER)}")
        if self.method == "teacher" and (self.auxiliary or self.pretrain):
            raise ValueError("a teacher sees X: it has nothing to predict, leave auxiliary and pretrain at 0")
        if self.method == "teacher" or (self.method == "student" and not self.auxiliary):
            object.__setattr__(self, "unlabelled", 0)
        for name in ("size", "epochs", "splits", "unlabelled"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, getattr(data.DATASETS[self.dataset], name))
        if not self.x and self.method != "teacher":
            raise ValueError('a student never sees X; of its teacher say it by teacher {"x": false}')
        check_pixels(self.size)
        if self.patience and self.splits[1] is None:
            raise ValueError(
                f"early stopping (patience {self.patience}) needs a validation split, and splits are "
                f"{self.splits}: name one, or set patience to 0"
            )
        if self.method != "teacher" or self.teacher:
            self._check_teacher()

    def _check_teacher(self) -> None:
        try:
            self.of_teacher()
        except ValueError as error:
            raise ValueError(f"teacher: {error}") from None
        seen, taught = (recipe.data.get("x", "disparity") for recipe in (self, self.of_teacher()))
        if seen != taught:
            raise ValueError(
                f"teacher: it would learn from x {taught!r} and then be shown the student's, {seen!r}: "
                "give both the same in --data and in the teacher's data"
            )

    @property
    def options(self) -> dict:
        """The options of the method: the chosen ones, and in their place those of `hyper`."""
        alone = {} if self.unlabelled else LABELLED_ALONE.get(self.method, {})
        return {**CHOSEN.get(self.method, {}), **alone, **self.hyper}

    @property
    def described(self) -> dict:
        """The recipe as a result line tells it: no folder of this machine, and of the rarer options those in use.

        Weights that a network starts from are told by their contents.
        """
        told = self.told()
        rare = {"net": {}, "auxiliary": 0.0, "pretrain": 0, "labelled": None, "x": True}
        return {name: value for name, value in told.items() if name not in rare or value != rare[name]}

    def told(self, *, by_name: bool = False) -> dict:
        """All options but `root`, without what only this machine knows.

        Args:
            by_name: files are told by their names, as in a command line, and not by their contents.
        """
        options = {option.name: getattr(self, option.name) for option in fields(self) if option.name != "root"}
        return _without_places(options, by_name) | {"teacher": _without_places(self.teacher, by_name)}

    @property
    def folder(self) -> Path:
        """Where the run lives, below the runs folder: its name changes with anything that changes its numbers."""
        identity = {**self.described, "hyper": self.options, **_of_data(lambda: self.data_digest)}
        return Path(self.dataset, as_name(self.network), f"{self.method}-seed{self.seed}-{_digest(identity)}")

    @property
    def stage_folder(self) -> Path:
        """Where the stage of a `TwoStage` method lives; runs that differ in a loss weight, say, share it.

        Its name changes with the teacher and with everything else that decides the stage.
        """
        options = {**default_options(METHODS[self.method]), **self.options}
        deciding = ("network", "net", "seed", "batch", "precision", "unlabelled", "labelled", "data")
        identity = {name: value for name, value in self.described.items() if name in deciding}
        identity |= _of_data(self._digest_of_training)
        identity["teacher"] = self.of_teacher().folder.as_posix()
        identity["options"] = {name: options.get(name) for name in METHODS[self.method].STAGE_OPTIONS}
        return Path(self.dataset, as_name(self.network), f"{self.method}-stage-seed{self.seed}-{_digest(identity)}")

    @property
    def pretraining_folder(self) -> Path:
        """Where the student's pretraining lives; the methods that start from it share it."""
        deciding = ("network", "net", "seed", "size", "batch", "lr", "precision", "splits", "data", "pretrain")
        identity = {name: value for name, value in self.described.items() if name in deciding}
        identity |= _of_data(self._digest_of_training)
        identity["unlabelled"] = self._unlabelled_of_pretraining
        return Path(self.dataset, as_name(self.network), f"pretraining-seed{self.seed}-{_digest(identity)}")

    @property
    def data_digest(self) -> str:
        """What the recipe does not say about the data that decide the run's numbers.

        Of files it is a digest of names and contents: all that the run and its teacher read, in every split. ToyDrive's
        frames follow from the recipe and the version of its renderer.

        Raises:
            ValueError, FileNotFoundError: the data cannot be read.
        """
        if self.dataset == "toydrive":
            return f"renderer {RENDERER_VERSION}"
        distils, is_teacher = self.method not in ("teacher", "student"), self.method == "teacher"
        training = self._digest_of_training() if self.pretrain else digest_of_samples(self.load_training())
        seen = is_teacher and self.x
        scored = [digest_of_samples(self.load(split, with_x=seen)) for split in self.splits[1:] if split]
        return digest([training, *scored, self.of_teacher().data_digest if distils else None])

    def _digest_of_training(self) -> str:
        """Of the images and X that a stage or a pretraining learns from."""
        if self.dataset == "toydrive":
            return self.data_digest
        read = digest_of_samples(self.load(self.splits[0], with_x=True))
        return digest([read, digest_of_samples(self.load_unlabelled())]) if self.unlabelled else read

    @property
    def needs_x(self) -> bool:
        """Whether X must be there to train: for a teacher who sees it, or a student who learns to predict it."""
        if self.method == "teacher":
            return self.x
        return self.auxiliary > 0 or (self.method != "student" and self.of_teacher().x)

    @property
    def _unlabelled_of_pretraining(self) -> int:
        """A student who learns classes from labels alone is pretrained on the data set's own number of frames."""
        return self.unlabelled or data.DATASETS[self.dataset].unlabelled

    def of_teacher(self) -> "Recipe":
        """The recipe of the teacher that this run learns from; another network has its own options alone."""
        changes = dict(self.teacher)
        if changes.get("network", self.network) != self.network:
            changes.setdefault("net", {})
        return replace(self, method="teacher", hyper={}, teacher={}, auxiliary=0.0, pretrain=0, **changes)

    def load(self, split: str, *, with_x: bool) -> Dataset:
        """One split of the run's data set; with_x = False leaves X out."""
        return data.load(self.dataset, split, root=self.root, size=self.size, with_x=with_x, **self.data)

    def load_unlabelled(self, count: int | None = None) -> Dataset:
        """Images without labels, as many as the run has or `count`.

        Raises:
            ValueError: there are fewer of them.
        """
        count = count or self.unlabelled
        if self.dataset == "toydrive":
            options = {**self.data, "eval_count": count}
            return Unlabelled(data.load("toydrive", "unlabelled", size=self.size, **options))
        if self.root and (at_home(self.root) / "unlabelled").is_dir():
            found = self.load("unlabelled", with_x=True)
            left, where = range(len(found)), f"the folder {at_home(self.root) / 'unlabelled'} has {len(found)}"
        else:
            found = self.load(self.splits[0], with_x=True)
            _, left = divide(len(found), self.labelled or 0, seed=self.seed)
            where = f"{len(left)} of the split {self.splits[0]} are left"
        if count > len(left):
            raise ValueError(f"unlabelled is {count}, and {where}: ask for fewer")
        return Unlabelled(Part(found, left[:count]))

    def load_training(self) -> Dataset:
        """The images that the run learns from: the labelled ones, and beside them those without labels, if any."""
        train = self.load(self.splits[0], with_x=self.needs_x)
        if self.labelled:
            train = Part(train, divide(len(train), self.labelled, seed=self.seed)[0])
        return WithUnlabelled(train, self.load_unlabelled()) if self.unlabelled else train

    def load_pretraining(self) -> Dataset:
        """The images from which the student learns to predict X: all of RGB and X that a distilled one sees."""
        train = self.load(self.splits[0], with_x=True)
        count = self._unlabelled_of_pretraining
        return WithUnlabelled(train, self.load_unlabelled(count)) if count else train


def _digest(identity: dict) -> str:
    return digest(identity)[:8]


def _of_data(found: Callable[[], str]) -> dict:
    """The data's part of an identity; there is none where a digest is that of the runs of before it was told."""
    try:
        told = found()
    except (OSError, ValueError):
        told = None  # there can be no such run, and `run` says why
    return {} if told == results.RENDERED_BEFORE else {"data_digest": told}


def _without_places(options: dict, by_name: bool) -> dict:
    told = dict(options)
    if "data" in told:  # where frames are kept decides nothing
        told["data"] = {name: value for name, value in told["data"].items() if name != "cache"}
    source = told.get("net", {}).get("pretrained")
    if not by_name and isinstance(source, str) and at_home(source).is_file():
        told["net"] = {**told["net"], "pretrained": f"sha256:{digest_of_file(at_home(source))[:16]}"}
    return without_folders(told)


def trio(
    dataset: str = "toydrive",
    *,
    root: str | None = None,
    network: str = "mfnet",
    method: str = "lix",
    epochs: int | None = None,
    size: tuple[int, int] | None = None,
    batch: int = 8,
    seed: int = 0,
    lambda_l: float | None = None,
    lambda_f: float | None = None,
    quick: bool = False,
) -> tuple[Recipe, Recipe, Recipe]:
    """The three runs of one comparison: the teacher, the student without it, and the student distilled by `method`.

    The arguments are the parameters of notebooks/09_distillation_run.ipynb; `lix demo` reads them there.

    Args:
        lambda_l, lambda_f: weights of the logit and of the feature term; None keeps the method's own, and a method
            takes only the one that it has.
        quick: two epochs, of 16 ToyDrive frames a split or of another data set's images at 48 x 64 pixels: enough to
            see that everything works.
    """
    weights = {"weight": lambda_f if method in results.FAMILIES["feature"] else lambda_l}
    if method == "lix":
        weights = {"lambda_l": lambda_l, "lambda_f": lambda_f}
    distilled = Recipe(
        dataset=dataset,
        root=root,
        network=network,
        method=method,
        seed=seed,
        size=tuple(size) if size else (48, 64) if quick and dataset != "toydrive" else None,
        epochs=2 if quick else epochs,
        batch=batch,
        hyper={name: value for name, value in weights.items() if value is not None},
        data={"count": 16, "eval_count": 16} if quick and dataset == "toydrive" else {},
        unlabelled=16 if quick and dataset == "toydrive" else None,
    )
    return distilled.of_teacher(), replace(distilled, method="student", hyper={}), distilled


@dataclass(frozen=True)
class Run:
    """A finished run: its network in eval mode, its result line, its log.

    `trained` says whether this call trained it, or loaded what was there; `teacher` is the run that it learnt from,
    where this call needed it.
    """

    recipe: Recipe
    net: nn.Module
    line: dict
    log: list[dict]
    folder: Path
    trained: bool
    teacher: "Run | None" = None


def runs_folder() -> Path:
    """Where runs are kept: the environment variable LIX_RUNS, or runs/ of the clone, or ./runs where there is none."""
    clone = Path(__file__).resolve().parents[2]
    default = clone / "runs" if (clone / "pyproject.toml").is_file() else Path("runs")
    return at_home(os.environ.get("LIX_RUNS") or default)


def line_of(recipe: Recipe) -> dict:
    """What the result line of a recipe says before anything is trained: all that tells one run from another.

    Raises:
        ValueError, FileNotFoundError: the data cannot be read.
    """
    distils = recipe.method not in ("teacher", "student")
    return {
        "dataset": recipe.dataset,
        "network": recipe.network,
        "method": recipe.method,
        "seed": recipe.seed,
        "split": recipe.splits[-1],
        "size": recipe.size,
        "epochs": recipe.epochs,  # fewer where it stops early
        "batch": recipe.batch,
        "hyper": {
            **default_options(METHODS[recipe.method if distils else "none"]),
            **recipe.options,
            **({"net": recipe.described["net"]} if recipe.net else {}),
            **{name: getattr(recipe, name) for name in EXTRAS if getattr(recipe, name)},
            **({} if recipe.x else {"x": False}),
            **({} if recipe.teacher.get("x", True) else {"teacher": {"x": False}}),
        },
        "recipe": recipe.described,
        "data_digest": recipe.data_digest,
        "reduced": results.is_reduced({**vars(recipe), "recipe": {}}),
    }


def run(
    recipe: Recipe,
    *,
    device: str = "auto",
    command: str = "",
    observe: Callable[[int, Distiller], dict] | None = None,
    progress: bool = True,
) -> Run:
    """Train what the recipe says, its teacher first; what is finished is loaded, what was killed goes on.

    What is damaged or missing in a run's folder is told, set aside, and made again: from its checkpoint where that is
    whole, else by training. Other data make another run (`Recipe.data_digest`).

    Of several commands that ask for the same run at the same time one trains it, and the others wait and load it.
    Processes that torchrun started train it together (`lixlib.training.fit`); they must see the same runs folder.

    Args:
        device: auto takes a GPU if there is one; or cpu, cuda.
        command: the command line that the result line shall name.
        observe: see `lixlib.training.fit`; a finished run is not observed again.
        progress: show a progress bar.

    Raises:
        ValueError, FileNotFoundError: the recipe or its data are wrong; the message says what to do.
        TrainingFailed: the loss is not finite.
    """
    known = line_of(recipe)  # here, because it looks whether the data are all there
    folder, trained, teacher = runs_folder() / recipe.folder, False, None
    fabric = launch(device, recipe.precision)
    found, problems = _load(folder)
    if fabric.broadcast(bool(problems)):
        with _alone(fabric, folder):
            found, problems = _load(folder)  # by now another command may have trained it
            trained = fabric.broadcast(bool(problems))
            if trained:
                if fabric.is_global_zero:
                    _set_aside(problems)
                teacher = _train(recipe, known, fabric, folder, device, command, observe, progress)
        fabric.barrier()
        found, problems = _load(folder)
    for path, problem in problems.items():
        raise OSError(f"{path} {problem}, though it has just been written")
    if fabric.is_global_zero:
        remove_leftovers(folder)
    return Run(recipe, found[WEIGHTS], found[RESULT], found[LOG], folder, trained, teacher)


def finished_line(recipe: Recipe) -> dict | None:
    """The result line in a run's folder; None where there is none, or a damaged one."""
    try:
        return _read_result(runs_folder() / recipe.folder / RESULT)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def _load(folder: Path) -> tuple[dict, dict[Path, str]]:
    """What the files of a run hold, by their names, and what is wrong with them; a run without a line is none yet."""
    found, problems = {}, {}
    for name, read in {RESULT: _read_result, LOG: _read_log, WEIGHTS: checkpoints.load}.items():
        try:
            found[name] = read(folder / name)
        except (FileNotFoundError, NotADirectoryError):
            problems[folder / name] = "is missing"
            if name == RESULT:
                break
        except (IsADirectoryError, ValueError) as error:
            problems[folder / name] = f"is damaged ({error})"
    if not problems:
        found[WEIGHTS], description = found[WEIGHTS]
        if description.get("recipe") != found[RESULT].get("recipe"):
            problems[folder / WEIGHTS] = "holds the weights of another run"
        elif len(found[LOG]) != found[RESULT]["epochs"]:
            problems[folder / LOG] = f"has {len(found[LOG])} epochs of {found[RESULT]['epochs']}"
    return found, problems


def _read_result(path: Path) -> dict:
    lines = results.read_lines(path)
    if len(lines) != 1:
        raise ValueError(f"{path} has {len(lines)} lines: a run has one")
    return lines[0]


def _read_log(path: Path) -> list[dict]:
    rows = read_json_lines(path)
    if [row.get("epoch") for row in rows] != [*range(1, len(rows) + 1)]:
        raise ValueError(f"{path} has not one line for every epoch")
    return rows


def _set_aside(problems: dict[Path, str]) -> None:
    for path, problem in problems.items():
        if path.exists():
            set_aside(path, f"{problem}: it is made again, from the checkpoint or by training")
        elif path.name != RESULT:  # without that the run was not finished
            warnings.warn(f"{path} {problem}: it is made again, from the checkpoint or by training", stacklevel=3)


def distiller_of(recipe: Recipe, teacher: nn.Module | None, train: Dataset) -> Distiller:
    """What a run trains: its network, initialised by its seed, with the method's modules and the frozen teacher.

    Args:
        teacher: the network to learn from; a teacher and a student without one take None.
        train: the run's images, of which the first shows the sizes of the maps.
    """
    distils = recipe.method not in ("teacher", "student")
    torch.manual_seed(recipe.seed)  # a student has the same initial weights whatever the method
    x_channels = train.x_channels if recipe.method == "teacher" and recipe.x else None
    student = nets.build(recipe.network, num_classes=len(train.classes.names), x_channels=x_channels, **recipe.net)
    method = recipe.method if distils else "none"
    example = data.collate([train[0]])
    return Distiller(student, teacher, method, example=example, auxiliary=recipe.auxiliary, **recipe.options)


def _train(
    recipe: Recipe,
    known: dict,
    fabric: "Fabric",
    folder: Path,
    device: str,
    command: str,
    observe: Callable[[int, Distiller], dict] | None,
    progress: bool,
) -> Run | None:
    """Write a run's files; return the run of its teacher."""
    distils, sees_x = recipe.method not in ("teacher", "student"), recipe.method == "teacher" and recipe.x
    _, val_split, test_split = recipe.splits
    batch = 2 * recipe.batch if recipe.unlabelled else recipe.batch
    with fabric.rank_zero_first():  # the first process renders what the others then find in the cache
        train = recipe.load_training()
        validation = recipe.load(val_split, with_x=sees_x) if val_split else None
        test = recipe.load(test_split, with_x=sees_x)
        _check_data(train, validation, test, recipe.batch)
        if distils and not (runs_folder() / recipe.of_teacher().folder / "result.jsonl").exists():
            _check_distillation(recipe, train)
    teacher = run(recipe.of_teacher(), device=device, command=command, progress=progress) if distils else None
    classes = train.classes.names
    distiller = distiller_of(recipe, teacher.net if teacher else None, train)
    student = distiller.student
    schedule = Schedule(recipe.epochs, batch, recipe.lr, patience=recipe.patience, seed=recipe.seed)
    options = {"augment": Augment(recipe.size), "fabric": fabric, "progress": progress}
    stage_log = []
    if recipe.pretrain:
        stage_log += _pretrain(recipe, student, schedule, options)
    if isinstance(distiller.method, TwoStage):
        stage_folder = runs_folder() / recipe.stage_folder
        with _alone(fabric, stage_folder):
            stage_log += fit_stage(distiller, train, schedule, folder=stage_folder, **options)
    log = fit(distiller, train, schedule, folder=folder, validation=validation, observe=observe, **options)
    if not fabric.is_global_zero:
        return teacher
    description = {
        "network": recipe.network,
        "num_classes": len(classes),
        "x_channels": nets.x_channels(student),
        # what the encoders started from is in the weights
        "options": {name: value for name, value in recipe.net.items() if name not in ("pretrained", "partial")},
        "classes": classes,
        **({"colours": colours.tolist()} if (colours := train.classes.colours) is not None else {}),
        "size": recipe.size,
        "recipe": known["recipe"],
    }
    checkpoints.save(student, folder / WEIGHTS, description)
    line = {
        **known,
        "epochs": len(log),
        "updates": len(log) * (len(train) // batch),
        **results.scored(evaluate(student, test, batch=recipe.batch, device=fabric.device), classes),
        "teacher": teacher.recipe.folder.as_posix() if teacher else None,
        "seconds": _seconds(stage_log + log),
        **({"stage_seconds": _seconds(stage_log)} if stage_log else {}),  # they are within the seconds
        **results.provenance(fabric.device),
        **({"processes": fabric.world_size} if fabric.world_size > 1 else {}),
        "command": command,
    }
    write_json_lines(folder / RESULT, [line])
    return teacher


def _check_data(train: Dataset, validation: Dataset | None, test: Dataset, batch: int) -> None:
    """Raise a ValueError if a split has nothing to learn from or to score.

    Args:
        batch: labelled images in an update; beside each of them may be one without a label.
    """
    check_training(getattr(train, "labelled", train), batch)
    for split, what in ((train, "training"), (validation, "validation"), (test, "test")):
        if split is not None:
            check_split(split, what)
    for split in filter(None, (validation, test)):  # training reads its own images first, these ones late
        for index in range(len(split)):
            split[index]


def _check_distillation(recipe: Recipe, train: Dataset) -> None:
    """Put the method between the two networks, to find what does not fit before the teacher has been trained."""
    taught = recipe.of_teacher()
    seen = taught.load_training()
    _check_data(seen, None, taught.load(taught.splits[-1], with_x=taught.x), taught.batch)
    x_channels = seen.x_channels if taught.x else None
    teacher = nets.build(taught.network, num_classes=len(seen.classes.names), x_channels=x_channels, **taught.net)
    distiller_of(recipe, teacher, train)


def _pretrain(recipe: Recipe, student: nn.Module, schedule: Schedule, options: dict) -> list[dict]:
    """Teach the student to predict X before anything else; its weights change, the head is thrown away."""
    folder, fabric = runs_folder() / recipe.pretraining_folder, options["fabric"]
    with fabric.rank_zero_first():
        train = recipe.load_pretraining()
    schedule = replace(schedule, epochs=recipe.pretrain, batch=2 * recipe.batch, patience=0)
    with _alone(fabric, folder):
        return fit(PredictX(student, data.collate([train[0]])), train, schedule, folder=folder, **options)


def _alone(fabric: "Fabric", folder: Path) -> AbstractContextManager:
    """Of the commands that train in a folder only one at a time; its first process waits, and the others for it."""
    return one_at_a_time(folder) if fabric.is_global_zero else nullcontext()


def _seconds(log: list[dict]) -> float:
    return round(sum(row["seconds"] for row in log), 2)
