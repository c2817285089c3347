"""Neuron selectivity transfer (Huang and Wang, 2017)."""

from torch import Tensor, nn

from lixlib.core.options import Names, Weight, checked
from lixlib.core.output import Output
from lixlib.distillers.common import encoder_pairs, total
from lixlib.functional import nst_loss


class NST(nn.Module):
    """The term "nst" = weight x sum over taps of `nst_loss`; no adapter.

    Args:
        weight: of the loss.
        taps: the names to compare; None: the encoder's, up to the deepest.
    """

    @checked
    def __init__(self, student: Output, teacher: Output, *, weight: Weight = 50.0, taps: Names | None = None):
        super().__init__()
        self.weight = weight
        self.taps = tuple(encoder_pairs(student, teacher, taps))

    def forward(self, student: Output, teacher: Output, target: Tensor) -> dict[str, Tensor]:
        pairs = encoder_pairs(student, teacher, self.taps).values()
        return {"nst": self.weight * total(nst_loss(s, t) for s, t in pairs)}
