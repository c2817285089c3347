"""The experiments of chapters 11 to 14: what each of them varies, as recipes for `lixlib.lab.grid`.

They share one schedule, `SCHEDULE`, that two CPU cores can repeat for dozens of variants and several seeds: networks of
half the width, few labelled frames, so that a student alone overfits, and 240 unlabelled ones, of which a teacher can
speak.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from lixlib.core.checks import check_choice
from lixlib.data.x.faults import FAULTS
from lixlib.distillers.registry import UNTAUGHT
from lixlib.lab.evidence import EVIDENCE
from lixlib.lab.grid import lines_of
from lixlib.lab.plan import folder_of
from lixlib.lab.recipe import Recipe
from lixlib.lab.results import there

SCHEDULE = {
    "size": (32, 96),
    "batch_size": 4,
    "epochs": 60,
    "network_options": {"width": 0.5},
    "dataset_options": {"count": 16},
    "splits": ("train", None, "test"),
    "teacher": {"epochs": 100},
}
FEW = {"count": 8, "eval_count": 8}  # of a quick run
# The paper's own forms, at weights that neither vanish nor swamp cross-entropy here.
DWLD = {"weight": 0.5}
ARFD = {"weight": 3.0}
# The best of "tuning", but for KD, whose weight 1 is as good there as the best
AUXILIARY = 0.1  # weight of predicting X
PRETRAIN = 30  # epochs
TUNING = (10, 11, 12)  # seeds of "tuning", which no other experiment has


def _dkd(**options) -> dict:
    return {"method": "dkd", "method_options": {**DWLD, **options}}


def _dwld(**options) -> dict:
    return {"method": "dwld", "method_options": {**DWLD, **options}}


def _arfd(**options) -> dict:
    return {"method": "arfd", "method_options": {**ARFD, "samples": "positions", "max_positions": 64, **options}}


def _taught_by(count: int, epochs: int) -> dict:
    return {} if count == 16 else {"dataset_options": {"count": count}, "epochs": epochs}


def _kd(**changes) -> dict:
    return {"method": "kd", "method_options": {"weight": 1.0}, **changes}


# by experiment, by variant: what its recipe has different from the schedule; paper-literal DWLD is the method's default
_LITERAL = {"weighting": "joint", "divergence": "kl", "beta_min": 1.0, "beta_max": 10.0}
EXPERIMENTS: dict[str, dict[str, dict]] = {
    "baselines": {"teacher": {"method": "teacher"}, "student": {"method": "student"}},
    # Fig. 4a
    "beta": {
        **{f"DKD {beta:g}": _dkd(beta=float(beta)) for beta in (1, 2, 4, 7, 10)},
        "DWLD, as published": _dwld(**_LITERAL),
    },
    # Table IV
    "table-iv": {
        "fixed weight": _dkd(beta=4.0),
        "H = P": _dwld(**_LITERAL, with_confidence=False),
        "H = [P, c]": _dwld(**_LITERAL),
    },
    # where W comes from, and what it weighs
    "weighting": {
        **{f"{name}, kl": _dwld(**{**_LITERAL, "weighting": name}) for name in ("joint", "closed-form")},
        **{
            f"{name}, bregman": _dwld(**{**_LITERAL, "weighting": name, "divergence": "bregman"})
            for name in ("joint", "closed-form")
        },
    },
    # Fig. 4b
    "controller": {
        **{f"{depth}, student": _dwld(**_LITERAL, **({"depth": depth} if depth != 3 else {})) for depth in range(1, 6)},
        "3, student, dropout": _dwld(**_LITERAL, dropout=0.5),
        "3, teacher": _dwld(**_LITERAL, input="teacher"),
        "3, teacher, dropout": _dwld(**_LITERAL, input="teacher", dropout=0.5),
    },
    "temperature": {f"T = {t:g}": _dwld(**_LITERAL, **({"temperature": t} if t != 1 else {})) for t in (1.0, 4.0)},
    "lambda-l": {f"{weight:g}": _dwld(**{**_LITERAL, "weight": weight}) for weight in (0.1, 0.5, 2.0)},
    # Table V
    "table-v": {
        f"{kernel}, {measure}": _arfd(kernel=kernel, measure=measure)
        for kernel in ("laplace", "gaussian", "linear", "none")
        for measure in ("cosine", "euclidean", "pearson", "cka")
        # the same losses as linear, cka and none, cosine: standardised features have the mean 0
        if (kernel, measure) not in (("none", "cka"), ("none", "pearson"))
    },
    "samples": {name: _arfd(kernel="laplace", measure="cka", samples=name) for name in ("positions", "channels")},
    "grid": {f"{n}": _arfd(kernel="laplace", measure="cka", max_positions=n) for n in (16, 64, 256)},
    "lambda-f": {f"{weight:g}": _arfd(kernel="laplace", measure="cka", weight=weight) for weight in (1.0, 3.0, 10.0)},
    "bandwidth": {
        f"{factor:g}": _arfd(kernel="laplace", measure="cka", **({"bandwidth_factor": factor} if factor != 1 else {}))
        for factor in (0.3, 1.0, 3.0)
    },
    "adapters": {
        "student": _arfd(kernel="laplace", measure="cka"),
        "both": _arfd(kernel="laplace", measure="cka", adapters="both"),
    },
    "taps": {
        "all": _arfd(kernel="laplace", measure="cka"),
        "encoder": _arfd(kernel="laplace", measure="cka", taps=["conv2", "conv3", "conv4", "conv5"]),
        "decoder": _arfd(kernel="laplace", measure="cka", taps=["decode4", "decode3", "decode2"]),
    },
    # chapter 13: a teacher that was trained with clean X reads a faulty one while it teaches
    "faults": {
        "clean": _kd(),
        **{fault: _kd(dataset_options={"fault": fault}, teacher={"dataset_options": {}}) for fault in FAULTS},
    },
    # chapter 14
    "methods": {
        "student": {"method": "student"},
        "KD": _kd(),
        "DIST": {"method": "dist"},
        "LIX, former": {"method": "lix"},
    },
    "x": {
        f"{name}, {x}": {**recipe, **({"dataset_options": {"x": x}} if x != "disparity" else {})}
        for x in ("disparity", "normals", "thermal")
        for name, recipe in (("teacher", {"method": "teacher"}), ("KD", _kd()))
    },
    "small-student": {
        f"{name}, {half}": {
            **recipe,
            **(
                {"network_options": {"width": 0.25}, "teacher": {"network_options": {"width": 0.5}}}
                if half == "1/2"
                else {}
            ),
        }
        for half in ("1", "1/2")
        for name, recipe in (("student", {"method": "student"}), ("KD", _kd()))
    },
    # a student of 16 labelled frames, and a teacher that has seen more of them, for as many updates
    "teacher-data": {
        f"{name} of {count}": recipe
        for count, epochs in ((16, 100), (64, 25), (240, 7))
        for name, recipe in (
            ("teacher", {"method": "teacher", "teacher": _taught_by(count, epochs)}),
            ("KD, teacher", _kd(teacher=_taught_by(count, epochs))),
        )
    },
    # all of them see the 240 unlabelled frames, but for the plain student
    "auxiliary": {
        "student": {"method": "student"},
        "predicts X": {"method": "student", "auxiliary": AUXILIARY},
        "pretrained on X": {"method": "student", "pretrain": PRETRAIN},
        "KD": _kd(),
        "KD, predicts X": _kd(auxiliary=AUXILIARY),
        "KD, pretrained on X": _kd(pretrain=PRETRAIN),
    },
    # what the weights of "auxiliary" are chosen by: four tries for each way, on validation frames, with seeds `TUNING`
    "tuning": {
        name: {**recipe, "splits": ("train", None, "val")}
        for name, recipe in {
            "student": {"method": "student"},
            **{f"KD, weight {w:g}": {"method": "kd", "method_options": {"weight": w}} for w in (0.25, 0.5, 1.0, 2.0)},
            **{f"predicts X, weight {w:g}": {"method": "student", "auxiliary": w} for w in (0.03, 0.1, 0.3, 1.0)},
            **{f"pretrained on X, {n} epochs": {"method": "student", "pretrain": n} for n in (15, 30, 60, 120)},
        }.items()
    },
    "unlabelled": {f"KD, {count}": _kd(**({"unlabelled": count} if count != 240 else {})) for count in (0, 60, 240)},
}


def recipes(experiment: str, seeds: Iterable[int] = (0,), *, quick: bool = False, **common) -> dict:
    """The recipes of an experiment by variant and seed.

    Args:
        quick: two epochs on a few frames, to see that everything works.
        common: what all recipes have different, e.g. size or precision.

    Raises:
        ValueError: an unknown experiment.
    """
    check_choice("experiment", experiment, (*EXPERIMENTS, *EVIDENCE))
    if experiment in EVIDENCE:
        setting, variants, _ = EVIDENCE[experiment]
    else:
        setting, variants = SCHEDULE, EXPERIMENTS[experiment]
    setting = {"dataset_options": {}, "teacher": {}, **setting, **common}
    return {
        name: {seed: _recipe(changes, setting, seed, quick) for seed in seeds} for name, changes in variants.items()
    }


def _recipe(changes: dict, setting: dict, seed: int, quick: bool) -> Recipe:
    settings = dict(setting)
    shared, taught = settings.pop("dataset_options"), settings.pop("teacher")
    settings |= {**changes, "seed": seed, "dataset_options": {**shared, **changes.get("dataset_options", {})}}
    teacher = {**taught, **changes.get("teacher", {})}
    if "dataset_options" in teacher:
        teacher["dataset_options"] = {**shared, **teacher["dataset_options"]}
    if quick:
        for part in (settings, teacher):
            part["epochs"] = 2
            if "dataset_options" in part and settings.get("dataset", "toydrive") == "toydrive":
                part["dataset_options"] = {**part["dataset_options"], **FEW}
        settings["unlabelled"] = min(8, settings.get("unlabelled", 8))
        settings["pretrain"] = min(2, settings.get("pretrain", 0))
    settings["teacher"] = teacher
    if settings["method"] == "teacher":
        return Recipe(**{**settings, "method": "student"}).of_teacher()
    return Recipe(**{**settings, "teacher": {}} if settings["method"] in UNTAUGHT else settings)


def read(experiment: str, folder: Path | str, seeds: Sequence[int] = (0, 1, 2), **options) -> dict:
    """The result lines of an experiment by variant and seed, as `lixlib.lab.results.gains` takes them: what is there.

    Args:
        folder: of the result lines.
        options: of `recipes`.

    Raises:
        FileNotFoundError: no such folder; the message says how to make it.
    """
    asked = recipes(experiment, seeds, **options)
    there(Path(folder), f"lix experiment {experiment} --results {folder}")
    found = lines_of([recipe for by_seed in asked.values() for recipe in by_seed.values()], folder)
    return {
        name: {seed: found[folder_of(recipe)] for seed, recipe in by_seed.items() if folder_of(recipe) in found}
        for name, by_seed in asked.items()
    }
