"""Rarity-weighted logit distillation: the logit half of LIX, ours."""

from typing import Annotated, Literal

import torch
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
        weights: Literal["rarity", "overlap", "sided"] = "rarity",
        skew: Annotated[float, Interval(ge=0, lt=1)] = 0.0,
    ):
        super().__init__()
        self.skew = skew
        self.weights = weights
        self.weight, self.gamma, self.lowest, self.temperature = weight, gamma, lowest, temperature

    def forward(self, student: Output, teacher: Output, target: Tensor) -> dict[str, Tensor]:
        t = self.temperature
        if self.weights != "rarity":
            weights = overlap_weights(student.logits, teacher.logits, target, sided=self.weights == "sided")
            return {"rwld": self.weight * rwld_loss(student.logits, teacher.logits, target, weights, temperature=t)}
        weights = rarity_weights(teacher.logits, target, gamma=self.gamma, lowest=self.lowest, temperature=t)
        if self.skew:
            return {"rwld": self.weight * skewed(student.logits, teacher.logits, target, weights, self.skew)}
        return {"rwld": self.weight * rwld_loss(student.logits, teacher.logits, target, weights, temperature=t)}


def skewed(student: Tensor, teacher: Tensor, target: Tensor, weight: Tensor, a: float) -> Tensor:
    """Against the mixture r = a q + (1 - a) p, which bounds the loss of a pixel by its log 1 / a."""
    with torch.autocast(student.device.type, enabled=False):
        p, q = student.float().softmax(1), teacher.detach().float().softmax(1)
        valid = (target != 255).float()
        r = torch.lerp(p, q, a)
        loss = torch.xlogy(q, q) - q * r.clamp(min=1e-20).log() - q + r
        loss = (loss * weight.view(1, -1, 1, 1)).sum(1) * valid
        return loss.sum() / valid.sum() / (1 - a) ** 2


@torch.no_grad()
def overlap_weights(student: Tensor, teacher: Tensor, target: Tensor, *, sided: bool, lowest: float = 0.01) -> Tensor:
    with torch.autocast(student.device.type, enabled=False):
        p, q = student.float().softmax(1), teacher.float().softmax(1)
        valid = (target != 255).unsqueeze(1).float()
        count = valid.sum()
        low, high = torch.minimum(p, q), torch.maximum(p, q)
        inter, union = ((f * valid).sum((0, 2, 3)) / count for f in (low, high))
        w = 1 / (len(union) * union).clamp(min=lowest)
        if not sided:
            return w
        iou = (inter / union.clamp(min=1e-8)).clamp(min=0.1)
        w, iou = w[None, :, None, None], iou[None, :, None, None]
        return torch.where(p < q, w, w * iou)
