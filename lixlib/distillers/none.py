"""No distillation: the loss of the labels alone."""

from torch import Tensor, nn

from lixlib.core.options import checked
from lixlib.core.output import Output


class NoDistillation(nn.Module):
    """Adds no term: trains a teacher network, or the student that distillation is compared with."""

    @checked
    def __init__(self, student: Output, teacher: Output | None = None):
        super().__init__()

    def forward(self, student: Output, teacher: Output | None, target: Tensor) -> dict[str, Tensor]:
        return {}
