"""Attention transfer (Zagoruyko and Komodakis, ICLR 2017)."""

from typing import Annotated

from annotated_types import Interval
from torch import Tensor, nn

from lixlib.core.options import Names, Weight, checked
from lixlib.core.output import Output
from lixlib.distillers.common import encoder_pairs, total
from lixlib.functional import attention_transfer_loss


class AT(nn.Module):
    """The term "at" = weight x sum over taps of `attention_transfer_loss`; no adapter.

    Args:
        weight: of the loss; 10,000 is usual for segmentation, since the loss falls with the size of the map.
        taps: the names to compare; None: the encoder's, up to the deepest.
        p: the power of the features.
    """

    @checked
    def __init__(
        self,
        student: Output,
        teacher: Output,
        *,
        weight: Weight = 10_000.0,
        taps: Names | None = None,
        p: Annotated[float, Interval(ge=1, le=100)] = 2,
    ):
        super().__init__()
        self.weight, self.p = weight, p
        self.taps = tuple(encoder_pairs(student, teacher, taps))

    def forward(self, student: Output, teacher: Output, target: Tensor) -> dict[str, Tensor]:
        pairs = encoder_pairs(student, teacher, self.taps).values()
        return {"at": self.weight * total(attention_transfer_loss(s, t, p=self.p) for s, t in pairs)}
