"""Weighted soft label distillation (Zhou et al., ICLR 2021)."""

from torch import Tensor, nn

from lixlib.core.options import Positive, Weight, checked
from lixlib.core.output import Output
from lixlib.functional import wsld_loss


class WSLD(nn.Module):
    """The term "wsld" = weight x `wsld_loss` over the labelled pixels."""

    @checked
    def __init__(self, student: Output, teacher: Output, *, weight: Weight = 2.5, temperature: Positive = 2.0):
        super().__init__()
        self.weight = weight
        self.temperature = temperature

    def forward(self, student: Output, teacher: Output, target: Tensor) -> dict[str, Tensor]:
        return {"wsld": self.weight * wsld_loss(student.logits, teacher.logits, target, temperature=self.temperature)}
