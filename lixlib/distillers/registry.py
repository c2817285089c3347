"""The methods by name, one entry each: families, titles, tuned options and the command line's help derive from it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import nn

from lixlib.core import names
from lixlib.core.checks import check_choice
from lixlib.core.output import Output
from lixlib.distillers.afdcd import AfDCD
from lixlib.distillers.arfd import ARFD
from lixlib.distillers.at import AT
from lixlib.distillers.common import check_options
from lixlib.distillers.cwkd import CWKD
from lixlib.distillers.diffkd import DiffKD
from lixlib.distillers.dist import DIST
from lixlib.distillers.dkd import DKD
from lixlib.distillers.dwld import DWLD
from lixlib.distillers.fitnet import FitNet
from lixlib.distillers.ft import FT
from lixlib.distillers.kd import KD
from lixlib.distillers.lix import LIX
from lixlib.distillers.lix_ours import LIXOurs
from lixlib.distillers.maskd import MasKD
from lixlib.distillers.mean_teacher import MeanTeacher
from lixlib.distillers.none import NoDistillation
from lixlib.distillers.nst import NST
from lixlib.distillers.pad import PAD
from lixlib.distillers.pseudo_labels import PseudoLabels
from lixlib.distillers.rkd import RKD
from lixlib.distillers.rwld import RWLD
from lixlib.distillers.sp import SP
from lixlib.distillers.vid import VID
from lixlib.distillers.wsld import WSLD

Family = Literal["logit", "feature", "both"]


@dataclass(frozen=True)
class Method:
    """All that the library knows of a method.

    Args:
        make: its class, or a function, called as make(student_output, teacher_output, **options); it gives a module
            that is called as module(student_output, teacher_output, target) and returns its weighted terms by name.
        title: how the method is written in tables and figures.
        family: what it distils: logits, features, or both.
        tuned: the options that won on validation images (results/README.md says how); for all others the defaults of
            `make` hold.
        tuned_labelled_only: what takes the place of these where a student sees labelled images alone. There a logit
            term as heavy as `tuned` made students worse, so it has the lightest weight that was tried.
        published: what the paper says of its own term; a run with any other value is of a former form of ours.
        in_paper: whether it has a row in the paper's Tables I-III.
    """

    make: Callable[..., nn.Module]
    title: str
    family: Family
    tuned: Mapping[str, Any] = field(default_factory=dict)
    tuned_labelled_only: Mapping[str, Any] = field(default_factory=dict)
    published: Mapping[str, Any] | None = None
    in_paper: bool = True


LIGHT = {"weight": 0.1}
LOGIT = {"weighting": "closed-form", "divergence": "bregman", "beta_min": 0.05, "beta_max": 1.0}
FEATURE = {"samples": "channels", "max_positions": 64}
# To add a method: functional/NAME.py, NAME.py beside this file, and its line here; or `register` from outside of the
# library. The order is that of the paper's Tables I-III.
METHODS: dict[str, Method] = {
    "kd": Method(KD, "KD", "logit", {"weight": 1.0}, LIGHT),
    "cwkd": Method(CWKD, "CWKD", "logit", {"weight": 1.0}, LIGHT),
    "dkd": Method(DKD, "DKD", "logit", {"weight": 0.1, "beta": 1.0}, LIGHT),
    "dist": Method(DIST, "DIST", "logit", {"weight": 1.0}, LIGHT),
    "wsld": Method(WSLD, "WSLD", "logit", {"weight": 0.8}, {"weight": 0.08}),
    "dwld": Method(
        *(DWLD, "DWLD", "logit", {"weight": 1.0, **LOGIT}, LIGHT),
        published={"weighting": "joint", "divergence": "kl", "beta_min": 1.0, "beta_max": 10.0},
    ),
    "pseudo-labels": Method(PseudoLabels, "pseudo-labels", "logit", {"weight": 1.0}, in_paper=False),
    "rwld": Method(RWLD, "RWLD", "logit", {"weight": 3.0}, in_paper=False),
    "at": Method(AT, "AT", "feature", {"weight": 20.0}),
    "fitnet": Method(FitNet, "FitNet", "feature", {"weight": 6.0}),
    "ft": Method(FT, "FT", "feature", {"weight": 20.0}),
    "nst": Method(NST, "NST", "feature", {"weight": 3.0}),
    "rkd": Method(RKD, "RKD", "feature", {"weight": 0.006}),
    "sp": Method(SP, "SP", "feature", {"weight": 70.0}),
    "vid": Method(VID, "VID", "feature", {"weight": 30.0}),
    "maskd": Method(MasKD, "MasKD", "feature", {"weight": 3.0}),
    "diffkd": Method(DiffKD, "DiffKD", "feature", {"weight": 0.3}),
    "afdcd": Method(
        *(AfDCD, "Af-DCD", "feature", {"distance_weight": 2e-4, "contrast_weight": 4e-3}, {"kd_weight": 0.1})
    ),
    "pad": Method(PAD, "PAD", "feature", {"weight": 0.09}),
    "arfd": Method(ARFD, "ARFD", "feature", {"weight": 3.0, **FEATURE}, published={"samples": "positions"}),
    "lix": Method(
        *(LIX, "LIX", "both", {"lambda_l": 0.3, "lambda_f": 0.3, "logit": LOGIT, "feature": FEATURE}),
        {"lambda_l": 0.1},
    ),
    "lix-ours": Method(LIXOurs, "LIX, ours", "both", {"lambda_l": 3.0, "lambda_f": 1.0}, in_paper=False),
}
OURS = tuple(METHODS)
# A student that is its own teacher. The module is made from the student itself, in place of outputs.
SELF_TAUGHT = {"mean-teacher": Method(MeanTeacher, "mean teacher, without X", "logit", in_paper=False)}
ALONE = ("none", *SELF_TAUGHT)  # what stands beside a network that has no teacher
UNTAUGHT = ("teacher", "student", *ALONE)  # what is trained without a teacher, and so no name of a method


def register(name: str, method: Method) -> None:
    """Give a method of your own a name, for `build`, `Distiller`, recipes and the command line of this process.

    By a name that is your own already the method takes the place of the earlier one.

    Raises:
        ValueError: a name that no folder can have, or one of the library; or no `Method`.
    """
    names.check("method", name, taken=(*OURS, *UNTAUGHT))
    if not isinstance(method, Method) or not callable(method.make):
        raise ValueError(f"method {name!r}: a lixlib.distillers.Method with a class or a function is needed")
    METHODS[name] = method


def maker(name: str) -> Callable[..., nn.Module]:
    """The class of a method, or of what trains without a teacher: "none", which adds no term, or one of `SELF_TAUGHT`.

    Raises:
        ValueError: an unknown name; it lists those that exist.
    """
    if name == "none":
        return NoDistillation
    check_choice("method", name, (*METHODS, *ALONE))
    return (METHODS | SELF_TAUGHT)[name].make


def build(name: str, student: Output | nn.Module | None, teacher: Output | None, **options: Any) -> nn.Module:
    """A method by name, its adapters made to fit example outputs of the two networks.

    The method is called as `method(student_output, teacher_output, target)` and returns its loss terms by name, each
    already multiplied with its weight. "mean-teacher" takes the student itself in place of an output.

    Raises:
        ValueError: an unknown name or option; it lists those that exist.
    """
    make = maker(name)
    check_options(make, options)
    return make(student, teacher, **options)
