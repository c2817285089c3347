"""Channel-wise knowledge distillation on logits (Shu et al., ICCV 2021)."""

from torch import Tensor, nn

from lixlib.core.options import Positive, Weight, checked
from lixlib.core.output import Output
from lixlib.functional import cwkd_loss


class CWKD(nn.Module):
    """The term "cwkd" = weight x `cwkd_loss` over all positions of the logits, labelled or not."""

    @checked
    def __init__(self, student: Output, teacher: Output, *, weight: Weight = 3.0, temperature: Positive = 4.0):
        super().__init__()
        self.weight = weight
        self.temperature = temperature

    def forward(self, student: Output, teacher: Output, target: Tensor) -> dict[str, Tensor]:
        return {"cwkd": self.weight * cwkd_loss(student.logits, teacher.logits, temperature=self.temperature)}
