"""FitNets: hints from an intermediate layer (Romero et al., ICLR 2015)."""

from torch import Tensor, nn

from lixlib.core.options import Weight, checked
from lixlib.core.output import Output
from lixlib.distillers.common import deepest_pair
from lixlib.functional import fitnet_loss
from lixlib.functional.pooling import pool_to_smaller


class FitNet(nn.Module):
    """The term "fitnet" = weight x `fitnet_loss` at one tap, trained together with the student, not before it.

    The student's map passes a 1x1 convolution without bias to the teacher's channels; the larger map is average-pooled
    to the smaller.

    Args:
        weight: of the loss.
        tap: the name of the hint; None: the deepest.
    """

    @checked
    def __init__(self, student: Output, teacher: Output, *, weight: Weight = 10.0, tap: str | None = None):
        super().__init__()
        self.weight = weight
        self.tap, s, t = deepest_pair(student, teacher, tap)
        self.adapter = nn.Conv2d(s.shape[1], t.shape[1], 1, bias=False)

    def forward(self, student: Output, teacher: Output, target: Tensor) -> dict[str, Tensor]:
        _, s, t = deepest_pair(student, teacher, self.tap)
        s, t = pool_to_smaller(s, t)
        return {"fitnet": self.weight * fitnet_loss(self.adapter(s), t)}
