"""What decides a run's numbers: the data, the networks, the method and the schedule."""

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

from annotated_types import Interval

from lixlib import data, nets
from lixlib.core.checks import check_choice
from lixlib.core.devices import Precision
from lixlib.core.digests import digest_of_file
from lixlib.core.files import at_home, without_folders
from lixlib.core.options import Count, Epochs, Positive, Seed, Size, Weight, check_fields, check_pixels
from lixlib.data.augment import Augment
from lixlib.distillers import METHODS, TwoStage
from lixlib.distillers.common import check_options, default_options
from lixlib.distillers.registry import SELF_TAUGHT, UNTAUGHT, maker
from lixlib.training import ClassWeighting

# Recipe fields that a teacher may override.
TEACHER_OVERRIDES = (
    *("network", "network_options", "dataset_options", "seed", "epochs", "batch_size", "lr", "patience", "precision"),
    *("labelled", "x", "class_weights", "ema", "momentum", "weight_decay", "augmentation"),
)
# What result lines and weights call these fields: their format is older than the names.
WORDS = {"network_options": "net", "batch_size": "batch", "method_options": "hyper", "dataset_options": "data"}
FIELDS = {word: name for name, word in WORDS.items()}
# Fields that a line tells only where they are in use, with the value that means that they are not.
RARE = {
    **{"net": {}, "auxiliary": 0.0, "pretrain": 0, "labelled": None, "x": True},
    **{"class_weights": "none", "ema": 0.0, "momentum": 0.9, "weight_decay": 5e-4, "augmentation": {}},
}


def all_methods() -> tuple[str, ...]:
    """All that a recipe can train by name: a teacher, what needs none, and a student by every method there is."""
    return ("teacher", "student", *SELF_TAUGHT, *METHODS)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a run's result: the same recipe gives the same numbers on the same machine.

    Args:
        dataset: Name of the data set; `folder` is one of your own.
        root: Folder of the data set's files; toydrive renders its own.
        network: Name of the network, or one of your own as module.path:factory.
        network_options: Options of the network, e.g. {"encoder": "resnet18", "pretrained": "IMAGENET1K_V1"} of
            sne-roadseg, where "pretrained" is the file or published name of weights that its encoders start from.
        method: What to train: teacher, student, or a student distilled by the method of this name; or mean-teacher, a
            student of RGB that learns from its own average on images without labels, too.
        seed: Seed of the initial weights, the order of the images and the augmentation.
        size: Height and width of the images; where not given, the data set's own default.
        epochs: Passes over the training images; where not given, the data set's own default.
        batch_size: Images in one update.
        lr: Initial learning rate of SGD; it falls to 0.
        momentum: Momentum of SGD.
        weight_decay: Weight decay of SGD.
        augmentation: Options of `lixlib.data.Augment` that differ from its own, e.g. {"jitter": 0.3}; images are left
            as they are by {"flip": 0, "scale": [1, 1], "stretch": [1, 1], "jitter": 0}.
        patience: Epochs without a better validation mIoU after which to stop; 0 never stops early.
        precision: Number format: 32-true, or bf16-mixed / 16-mixed for automatic mixed precision.
        splits: Training, validation (None: no validation) and test split; where not given, the data set's own default.
        method_options: Options of the method that differ from the tuned ones, e.g. {"lambda_l": 0.5, "lambda_f": 1.0}.
        dataset_options: Options of the data set that differ from its own; of toydrive e.g. {"count": 200,
            "eval_count": 100, "difficulty": 0.5}: training frames, frames of each other split, and how ambiguous RGB
            is. With "x" every data set whose depth is in metres chooses what a teacher sees: "disparity" (as a rule),
            "depth" or "normals".
        teacher: Fields that the teacher's recipe overrides, e.g. {"epochs": 60}; "dataset_options" takes the place of
            all of the student's.
        unlabelled: Images of RGB and X without labels from which a distilled student learns too, as many in an update
            as labelled ones; the number of updates stays. They are ToyDrive frames of a split of their own, the images
            of the folder `unlabelled` of a data set of your own, or else training images whose labels are hidden, of
            those that `labelled` leaves. Not given: the data set's own default; 0 for who learns from labels alone.
        labelled: How many training images keep their labels, drawn by the seed alone; where not given, all.
        x: False trains a teacher of RGB alone, to measure what X is worth: --teacher '{"x": false}'.
        class_weights: How the cross-entropy weighs the classes, from how often the labelled training images show them:
            none; sqrt, by one over the square root of their share; median, by median-frequency balancing; or enet, by
            the form of ENet. It holds for the teacher as well, unless `teacher` says otherwise.
        ema: Decay of the moving average of the weights that is validated, scored and kept in place of the last weights,
            e.g. 0.99; 0 for none. As `class_weights`, it holds for the teacher as well.
        auxiliary: Weight of a second task of the student, to predict X from RGB, which needs no labels; 0 for none.
        pretrain: Epochs for which the student predicts X before it learns classes, on labelled and unlabelled frames.
    """

    dataset: str = "toydrive"
    root: str | Path | None = None
    network: str = "mfnet"
    network_options: dict = field(default_factory=dict)
    method: str = "lix"
    seed: Seed = 0
    size: Size | None = None
    epochs: Epochs | None = None
    batch_size: Count = 8
    lr: Positive = 0.05
    momentum: Annotated[float, Interval(ge=0, lt=1)] = 0.9
    weight_decay: Weight = 5e-4
    augmentation: dict = field(default_factory=dict)
    patience: Annotated[int, Interval(ge=0, le=1_000_000)] = 0
    precision: Precision = "32-true"
    splits: tuple[str, str | None, str] | None = None
    method_options: dict = field(default_factory=dict)
    dataset_options: dict = field(default_factory=dict)
    teacher: dict = field(default_factory=dict)
    unlabelled: Annotated[int, Interval(ge=0, le=500_000)] | None = None
    labelled: Annotated[int, Interval(ge=1, le=500_000)] | None = None
    x: bool = True
    class_weights: ClassWeighting = "none"
    ema: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    auxiliary: Weight = 0.0
    pretrain: Annotated[int, Interval(ge=0, le=1_000_000)] = 0
    in_vain: ClassVar[int] = 0  # images without labels that were asked for, of who learns from labels alone

    def __post_init__(self):
        check_fields(self)
        data.check_name(self.dataset)
        check_choice("method", self.method, (*all_methods(), "or one that a module in LIX_PLUGINS registers"))
        nets.check_options(self.network, self.network_options)
        data.check_options(self.dataset, self.dataset_options)
        entry = data.DATASETS[self.dataset]
        self._set("dataset_options", {**entry.options, **self.dataset_options})
        check_options(maker(self.module), self.options)
        self._set("teacher", _as_fields(self.teacher))
        for name in self.teacher:
            if name not in TEACHER_OVERRIDES:
                known = ", ".join(TEACHER_OVERRIDES)
                raise ValueError(f"a teacher has no {name!r} of its own: it may have its own {known}")
        if self.method == "teacher" and (self.auxiliary or self.pretrain):
            raise ValueError("a teacher sees X: it has nothing to predict, leave auxiliary and pretrain at 0")
        if self.method == "teacher" or (self.method == "student" and not self.auxiliary):
            self._set("in_vain", self.unlabelled or 0)
            self._set("unlabelled", 0)
        if self.splits is None:
            self._set("splits", data.splits_of(self.dataset, self.root))
        for name in ("size", "epochs", "unlabelled"):
            if getattr(self, name) is None:
                self._set(name, getattr(entry, name))
        if not self.x and self.method != "teacher":
            raise ValueError('a student never sees X; of its teacher say it by teacher {"x": false}')
        check_pixels(self.size)
        if self.augmentation:
            try:
                Augment(self.size, **self.augmentation)
            except ValueError as error:
                raise ValueError(f"augmentation: {error}") from None
        if self.patience and self.splits[1] is None:
            found = f"early stopping (patience {self.patience}) needs a validation split, and splits are {self.splits}"
            raise ValueError(f"{found}: name one, or set patience to 0")
        if self.method != "teacher" or self.teacher:
            self._check_teacher()

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)  # of a frozen dataclass, while it is made

    def _check_teacher(self) -> None:
        try:
            self.of_teacher()
        except ValueError as error:
            raise ValueError(f"teacher: {error}") from None
        seen, taught = (recipe.dataset_options.get("x", "disparity") for recipe in (self, self.of_teacher()))
        if seen != taught:
            raise ValueError(
                f"teacher: it would learn from x {taught!r} and then be shown the student's, {seen!r}: "
                "give both the same in --dataset-options and in the teacher's dataset_options"
            )

    @property
    def distils(self) -> bool:
        """Whether a teacher is part of the training."""
        return self.method not in UNTAUGHT

    @property
    def module(self) -> str:
        """The name of what stands beside the trained network in `lixlib.distillers.Distiller`."""
        return "none" if self.method in ("teacher", "student") else self.method

    @property
    def sees_x(self) -> bool:
        """Whether the trained network itself takes X."""
        return self.method == "teacher" and self.x

    @property
    def needs_x(self) -> bool:
        """Whether X must be there to train: for a teacher who sees it, or a student who learns to predict it."""
        if self.method == "teacher":
            return self.x
        return self.auxiliary > 0 or (self.distils and self.of_teacher().x)

    @property
    def options(self) -> dict:
        """The options of the method: the tuned ones, or all where none are, and in their place `method_options`."""
        if not self.distils:
            return {**default_options(maker(self.module)), **self.method_options}
        method = METHODS[self.method]
        return {**method.tuned, **({} if self.unlabelled else method.tuned_labelled_only), **self.method_options}

    @property
    def stage(self) -> dict | None:
        """The options that decide what the stage of a `TwoStage` method becomes; None where there is no stage."""
        make = maker(self.method) if self.distils else None
        if not (isinstance(make, type) and issubclass(make, TwoStage)):
            return None
        return {name: {**default_options(make), **self.options}.get(name) for name in make.STAGE_OPTIONS}

    @property
    def described(self) -> dict:
        """The recipe as result lines and weights tell it, by their words: no folder of this machine, nothing unused.

        Weights that a network starts from are told by their contents.
        """
        told = {WORDS.get(name, name): value for name, value in self.told().items()}
        told["teacher"] = {WORDS.get(name, name): value for name, value in told["teacher"].items()}
        return {name: value for name, value in told.items() if name not in RARE or value != RARE[name]}

    def told(self, *, by_name: bool = False) -> dict:
        """All fields but `root`, without what only this machine knows.

        Args:
            by_name: files are told by their names, as in a command line, and not by their contents.
        """
        options = {option.name: getattr(self, option.name) for option in fields(self) if option.name != "root"}
        return _without_places(options, by_name) | {"teacher": _without_places(self.teacher, by_name)}

    @classmethod
    def read(cls, described: dict, *, trust: bool = False) -> "Recipe":
        """The recipe of a result line or of weights, from what `described` gave.

        What it does not say has today's defaults and tuned options, as for a command: those of an old line may differ,
        and the line itself tells all of them.

        Args:
            trust: import a network that is named module.path:factory, which runs code of that module.

        Raises:
            ValueError: something that no recipe has, or a network that needs trust.
        """
        for network in (described.get("network"), described.get("teacher", {}).get("network")):
            if isinstance(network, str) and not (trust or nets.is_known(network)):
                raise ValueError(f"network {network!r} runs code of its module: trust it (trust=True) if you know it")
        return cls(**_as_fields(described))

    def of_teacher(self) -> "Recipe":
        """The recipe of the teacher that this run learns from; another network has its own options alone."""
        changes = dict(self.teacher)
        if changes.get("network", self.network) != self.network:
            changes.setdefault("network_options", {})
        return replace(self, method="teacher", method_options={}, teacher={}, auxiliary=0.0, pretrain=0, **changes)


def _as_fields(given: dict) -> dict:
    """The same by the names of the fields, where some are words of result lines."""
    if twice := [word for word in given if word in FIELDS and FIELDS[word] in given]:
        raise ValueError(f"{twice[0]} and {FIELDS[twice[0]]} are two names of one field: give it once")
    return {FIELDS.get(name, name): value for name, value in given.items()}


def _without_places(options: dict, by_name: bool) -> dict:
    told = dict(options)
    if "dataset_options" in told:  # where frames are kept decides nothing
        told["dataset_options"] = {name: value for name, value in told["dataset_options"].items() if name != "cache"}
    source = told.get("network_options", {}).get("pretrained")
    if not by_name and isinstance(source, str) and at_home(source).is_file():
        found = f"sha256:{digest_of_file(at_home(source))[:16]}"
        told["network_options"] = {**told["network_options"], "pretrained": found}
    return without_folders(told)
