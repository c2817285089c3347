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
        self.options = {"alpha": alpha, "beta": beta, "temperature": temperature}

    def forward(self, student: Output, teacher: Output, target: Tensor) -> dict[str, Tensor]:
        return {"dkd": self.weight * dkd_loss(student.logits, teacher.logits, target, **self.options)}
