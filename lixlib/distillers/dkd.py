"""Decoupled knowledge distillation (LIX Eq. (4))."""

from torch import Tensor, nn

from lixlib.core.options import Positive, Weight, checked
from lixlib.core.output import Output
from lixlib.functional import dkd_loss


class DKD(nn.Module):
    """The term "dkd" = weight x `dkd_loss` over the labelled pixels."""

    @checked
    def __init__(
        self,
        student: Output,
        teacher: Output,
        *,
        weight: Weight = 1.0,
        alpha: Weight = 1.0,
        beta: Weight = 8.0,
        temperature: Positive = 1.0,
    ):
        super().__init__()
        self.weight = weight
        self.alpha, self.beta, self.temperature = alpha, beta, temperature

    def forward(self, student: Output, teacher: Output, target: Tensor) -> dict[str, Tensor]:
        loss = dkd_loss(
            student.logits, teacher.logits, target, alpha=self.alpha, beta=self.beta, temperature=self.temperature
        )
        return {"dkd": self.weight * loss}
