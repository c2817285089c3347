"""DIST: distillation from a stronger teacher by correlation (Huang et al., NeurIPS 2022)."""

from torch import Tensor, nn

from lixlib.core.options import Positive, Weight, checked
from lixlib.core.output import Output
from lixlib.functional import dist_loss


class DIST(nn.Module):
    """The term "dist" = weight x `dist_loss` over the labelled pixels."""

    @checked
    def __init__(
        self,
        student: Output,
        teacher: Output,
        *,
        weight: Weight = 1.0,
        beta: Weight = 1.0,
        gamma: Weight = 1.0,
        temperature: Positive = 1.0,
    ):
        super().__init__()
        self.weight = weight
        self.beta, self.gamma, self.temperature = beta, gamma, temperature

    def forward(self, student: Output, teacher: Output, target: Tensor) -> dict[str, Tensor]:
        loss = dist_loss(
            student.logits, teacher.logits, target, beta=self.beta, gamma=self.gamma, temperature=self.temperature
        )
        return {"dist": self.weight * loss}
