"""The experiments of results/protocol.md: what each of them varies, as recipes for `lixlib.lab.experiments`."""

from typing import Any, NamedTuple

from lixlib.data.readers.potholes import DATASETS
from lixlib.distillers import METHODS
from lixlib.lab.regime import PUBLISHED_LOGIT, REGIME, SEEDS, STARTS, options_of

# The weights that tools/studies/choose_weights.py chose; a test compares them with results/choices.
CHOSEN: dict[str, dict[str, float]] = {
    **STARTS,
    **{"dist": {"weight": 3.0}, "pseudo-labels": {"weight": 3.0}, "nst": {"weight": 1.0}},
}
LONGER = 4  # so much longer trains a student who has the computation of a teacher and a distilled student together
# The twelve different losses of Table V ("linear, cosine" is also linear with Pearson or CKA, and "none" with CKA),
# by weights with which all pull as hard as Laplace with CKA: made by `python -m tools.studies.equal_pull`
EQUAL_PULL = {
    "laplace, cosine": 17.0,
    "laplace, euclidean": 44.0,
    "laplace, pearson": 2.3,
    "laplace, cka": 3.0,
    "gaussian, cosine": 19.0,
    "gaussian, euclidean": 21.0,
    "gaussian, pearson": 1.5,
    "gaussian, cka": 2.2,
    "linear, cosine": 2.0,
    "linear, euclidean": 0.0058,
    "none, cosine": 4.0,
    "none, euclidean": 1.7,
}
WITHOUT_X = {"teacher": {"x": False}}
STUDENT, TEACHER = {"method": "student"}, {"method": "teacher"}
SAME_COMPUTE = "student, four times"


class Evidence(NamedTuple):
    """One experiment.

    Args:
        setting: what all of its recipes have in common.
        variants: by name, what a recipe has different from that.
        seeds: those that were declared.
    """

    setting: dict[str, Any]
    variants: dict[str, dict]
    seeds: tuple[int, ...] = SEEDS


def by(method: str, **options: Any) -> dict:
    """A student by a method, with its chosen weights and what is different from them."""
    return {"method": method, "method_options": options_of(method, CHOSEN[method]) | options}


def titled(*methods: str) -> dict[str, dict]:
    """Methods by the names that tables have."""
    return {TITLES.get(method, METHODS[method].title): by(method) for method in methods}


def without_x(variants: dict[str, dict]) -> dict[str, dict]:
    """The variants as they are, and taught by a teacher of RGB alone."""
    return variants | {f"{name}, RGB teacher": variant | WITHOUT_X for name, variant in variants.items()}


def lasting(lengths: tuple[int, ...], variants: dict[str, dict]) -> dict[str, dict]:
    """The variants at several lengths, in epochs of 16 updates."""
    return {
        f"{name}, {16 * epochs} updates": {**variant, "epochs": epochs}
        for epochs in lengths
        for name, variant in variants.items()
    }


def pulling(name: str) -> dict:
    """A student by ARFD alone, as published but for the kernel and the measure, with its weight of `EQUAL_PULL`."""
    kernel, measure = name.split(", ")
    if name == "laplace, cka":
        return by("arfd")  # the same run as in the main table
    return by("arfd", kernel=kernel, measure=measure, weight=EQUAL_PULL[name])


TITLES = {"lix": "LIX, as published"}
ALL = tuple(name for name in METHODS if name != "rwld")  # which is the logit half of LIX, ours
OF_X = ("kd", "cwkd", "dist", "lix", "lix-ours")
OF_NYU = ("kd", "cwkd", "dist", "nst", "lix", "lix-ours")
OF_PAPER = ("kd", "dkd", "dist", "nst", "dwld", "arfd", "lix", "lix-ours")
OF_FILES = ("kd", "lix", "lix-ours")

STUDENTS = {"student": STUDENT, SAME_COMPUTE: {**STUDENT, "epochs": LONGER * REGIME["epochs"]}}
TEACHERS = {"teacher": TEACHER, "RGB teacher": {**TEACHER, **WITHOUT_X}}

_DWLD = {
    **{
        f"DKD {beta:g}": {"method": "dkd", "method_options": {"weight": 0.5, "beta": beta}} for beta in (1.0, 5.5, 10.0)
    },
    **{
        name: {"method": "dwld", "method_options": {"weight": 0.5, **PUBLISHED_LOGIT, "weighting": weighting}}
        for name, weighting in {
            "as published": "joint",
            "normalised": "normalised",
            "reversed": "reversed",
            "closed form": "closed-form",
        }.items()
    },
}
_OF_TOYDRIVE = ("dataset_options", "unlabelled", "epochs")
NYU = {
    **{name: value for name, value in REGIME.items() if name not in _OF_TOYDRIVE},
    **{"dataset": "nyuv2", "size": (96, 128)},
}
_OF_NYU = {"student": STUDENT, **titled(*OF_NYU)}
_PAIR = {"teacher": TEACHER, "student": STUDENT}
_OTHER_NETWORKS = {
    "SNE-RoadSeg": {"network": "sne-roadseg", "network_options": {"encoder": "resnet18"}},
    "OFF-Net": {"network": "off-net", "network_options": {}, "lr": 0.01},
}

EVIDENCE: dict[str, Evidence] = {
    "main": Evidence(
        REGIME,
        {**TEACHERS, **STUDENTS, "mean teacher": by("mean-teacher"), **titled(*ALL), "RWLD": by("rwld")},
    ),
    "is-it-x": Evidence(
        REGIME,
        {
            **TEACHERS,
            **STUDENTS,
            **without_x(titled(*OF_X)),
        },
    ),
    "reversal": Evidence(REGIME, lasting((25, 50, 100), {"student": STUDENT, **_DWLD, "ours": by("rwld")})),
    "length": Evidence(
        REGIME,
        lasting((100, 200, 400), {"teacher": TEACHER, "student": STUDENT, **titled("kd", "dist", "lix", "lix-ours")}),
        SEEDS[:3],
    ),
    "table-v-equal": Evidence(REGIME, {"student": STUDENT, **{name: pulling(name) for name in EQUAL_PULL}}, SEEDS[:3]),
    "recordings": Evidence(
        REGIME,
        {
            f"{name}, {count} recordings": {**variant, "unlabelled": count}
            for count in (0, 60, 240, 480, 1000, 2000)
            for name, variant in titled("kd", "dist", "lix-ours").items()
        },
        SEEDS[:3],
    ),
    "nyuv2-150": Evidence(
        {**NYU, "labelled": 150, "unlabelled": 645, "epochs": 30}, {**TEACHERS, **_OF_NYU}, SEEDS[:5]
    ),
    "nyuv2-795": Evidence({**NYU, "unlabelled": 0, "epochs": 12}, {**TEACHERS, **_OF_NYU}, SEEDS[:5]),
    "papers-protocol": Evidence(
        {**REGIME, "dataset_options": {"count": 240}, "unlabelled": 0}, {**_PAIR, **titled(*OF_PAPER)}
    ),
    "camvid": Evidence(
        {**NYU, "dataset": "camvid", "unlabelled": 0, "splits": ("train", None, "val"), "epochs": 20},
        {**TEACHERS, "student": STUDENT, **without_x(titled(*OF_FILES))},
        SEEDS[:3],
    ),
    "potholes": Evidence(
        {**NYU, "dataset": "potholes", "size": (96, 160), "unlabelled": 0, "epochs": 60},
        {
            f"{name}, tested on {number}": {**variant, "dataset_options": {"test_dataset": number}}
            for number in DATASETS
            for name, variant in {**_PAIR, **titled(*OF_FILES)}.items()
        },
        SEEDS[:3],
    ),
    "networks": Evidence(
        REGIME,
        {
            f"{network}, {name}": {**variant, **options}
            for network, options in _OTHER_NETWORKS.items()
            for name, variant in {**_PAIR, **titled(*OF_FILES)}.items()
        },
        SEEDS[:3],
    ),
}
