"""Knowledge distillation on logits (LIX Eq. (1))."""

from torch import Tensor, nn

from lixlib.core.options import Positive, Weight, checked
from lixlib.core.output import Output
from lixlib.functional import kd_loss


class KD(nn.Module):
    """The term "kd" = weight x `kd_loss` over the labelled pixels."""

    @checked
    def __init__(self, student: Output, teacher: Output, *, weight: Weight = 1.0, temperature: Positive = 1.0):
        super().__init__()
        self.weight = weight
        self.temperature = temperature

    def forward(self, student: Output, teacher: Output, target: Tensor) -> dict[str, Tensor]:
        return {"kd": self.weight * kd_loss(student.logits, teacher.logits, target, temperature=self.temperature)}
