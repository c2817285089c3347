"""LIX: dynamically weighted logits and recalibrated features together (Eq. (18))."""

from typing import Annotated, Any

from torch import Tensor, nn

from lixlib.core.options import OptionsOf, Weight, checked
from lixlib.core.output import Output
from lixlib.distillers.arfd import ARFD
from lixlib.distillers.dwld import DWLD


class LIX(nn.Module):
    """The terms "dwld" and "arfd" of L = CE + lambda_L L_LD + lambda_F L_FD: LIX Eq. (18).

    Args:
        lambda_l, lambda_f: their weights.
        logit: further options of `DWLD`.
        feature: further options of `ARFD`.
    """

    @checked
    def __init__(
        self,
        student: Output,
        teacher: Output,
        *,
        lambda_l: Weight = 1.0,
        lambda_f: Weight = 1.0,
        logit: Annotated[dict[str, Any] | None, OptionsOf(DWLD)] = None,
        feature: Annotated[dict[str, Any] | None, OptionsOf(ARFD)] = None,
    ):
        super().__init__()
        logit, feature = {"weight": lambda_l, **(logit or {})}, {"weight": lambda_f, **(feature or {})}
        self.dwld = DWLD(student, teacher, **logit)
        self.arfd = ARFD(student, teacher, **feature)

    def forward(self, student: Output, teacher: Output, target: Tensor) -> dict[str, Tensor]:
        return {**self.dwld(student, teacher, target), **self.arfd(student, teacher, target)}
