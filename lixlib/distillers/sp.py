"""Similarity-preserving distillation (Tung and Mori, ICCV 2019)."""

from torch import Tensor, nn

from lixlib.core.options import Weight, checked
from lixlib.core.output import Output
from lixlib.distillers.common import deepest_pair
from lixlib.functional import sp_loss


class SP(nn.Module):
    """The term "sp" = weight x `sp_loss` of the flattened map at one tap; no adapter; 0 for a batch of one image.

    Args:
        weight: of the loss.
        tap: the name of the map; None: the deepest.
    """

    @checked
    def __init__(self, student: Output, teacher: Output, *, weight: Weight = 3000.0, tap: str | None = None):
        super().__init__()
        self.weight = weight
        self.tap = deepest_pair(student, teacher, tap)[0]

    def forward(self, student: Output, teacher: Output, target: Tensor) -> dict[str, Tensor]:
        _, s, t = deepest_pair(student, teacher, self.tap)
        return {"sp": self.weight * sp_loss(s, t)}
