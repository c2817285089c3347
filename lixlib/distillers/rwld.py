"""Rarity-weighted logit distillation: the logit half of LIX, ours."""

from typing import Annotated

from annotated_types import Interval
from torch import Tensor, nn

from lixlib.core.options import Positive, Weight, checked
from lixlib.core.output import Output
from lixlib.functional import rarity_weights, rwld_loss


class RWLD(nn.Module):
    """The term "rwld" = weight x `rwld_loss`, each logit weighted by how rare its class is for the teacher.

    Args:
        weight: lambda_L of LIX Eq. (18).
        gamma: exponent of `rarity_weights`; 0 gives the same weight to all, which is KD.
        lowest: below which the share of a class counts as this one, so that no weight exceeds lowest^-gamma.
    """

    @checked
    def __init__(
        self,
        student: Output,
        teacher: Output,
        *,
        weight: Weight = 3.0,
        gamma: Annotated[float, Interval(ge=0, le=4)] = 1.0,
        lowest: Positive = 0.01,
        temperature: Positive = 1.0,
    ):
        super().__init__()
        self.weight, self.gamma, self.lowest, self.temperature = weight, gamma, lowest, temperature

    def forward(self, student: Output, teacher: Output, target: Tensor) -> dict[str, Tensor]:
        t = self.temperature
        weights = rarity_weights(teacher.logits, target, gamma=self.gamma, lowest=self.lowest, temperature=t)
        return {"rwld": self.weight * rwld_loss(student.logits, teacher.logits, target, weights, temperature=t)}
