"""LIX, ours: rarity-weighted logits and recalibrated features, the features without an adapter."""

from typing import Annotated, Any

from torch import Tensor, nn

from lixlib.core.options import OptionsOf, Weight, checked
from lixlib.core.output import Output
from lixlib.distillers.arfd import ARFD
from lixlib.distillers.rwld import RWLD


class LIXOurs(nn.Module):
    """The terms "rwld" and "arfd" of L = CE + lambda_L L_LD + lambda_F L_FD, as LIX Eq. (18).

    Args:
        lambda_l, lambda_f: their weights; a half whose weight is 0 costs nothing.
        logit: further options of `RWLD`.
        feature: further options of `ARFD`, which has no adapter here unless they say so.
    """

    @checked
    def __init__(
        self,
        student: Output,
        teacher: Output,
        *,
        lambda_l: Weight = 3.0,
        lambda_f: Weight = 1.0,
        logit: Annotated[dict[str, Any] | None, OptionsOf(RWLD)] = None,
        feature: Annotated[dict[str, Any] | None, OptionsOf(ARFD)] = None,
    ):
        super().__init__()
        feature = {"weight": lambda_f, "adapters": "none", "max_positions": 64, **(feature or {})}
        self.rwld = RWLD(student, teacher, **{"weight": lambda_l, **(logit or {})})
        self.arfd = ARFD(student, teacher, **feature) if feature["weight"] else None

    def forward(self, student: Output, teacher: Output, target: Tensor) -> dict[str, Tensor]:
        terms = self.rwld(student, teacher, target)
        return terms if self.arfd is None else {**terms, **self.arfd(student, teacher, target)}
