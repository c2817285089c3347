"""Masked knowledge distillation (Huang et al., ICLR 2023)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lixlib.core.checks import mean_over, valid_pixels
from lixlib.core.constants import IGNORE
from lixlib.core.options import Count, Epochs, Positive, Weight, checked
from lixlib.core.output import Output
from lixlib.distillers.stage import TwoStage
from lixlib.functional import maskd_diversity, maskd_loss
from lixlib.functional.maskd import maskd_masks


class Tokens(nn.Module):
    """K vectors, each the seed of a mask: see `lixlib.functional.maskd.maskd_masks`. **Shapes**: vectors (K, C)."""

    def __init__(self, count: int, channels: int):
        super().__init__()
        self.vectors = nn.Parameter(0.01 * torch.randn(count, channels))


class MasKD(TwoStage):
    """The term "maskd" = weight x `maskd_loss` on the logits, as in the reference's segmentation.

    Stage: the tokens learn where to look, by the cross-entropy "ce" of the teacher's logits times the sum of the masks
    and by "diversity", `maskd_diversity`. That sum is one positive number a pixel, so that it can make the teacher more
    or less sure, but not change its class. The teacher is in evaluation mode, which the reference forgets.

    Args:
        tokens: their number K.
        stage_epochs, stage_lr: how long and how fast they are trained.
    """

    STAGE_OPTIONS = ("tokens", "stage_epochs", "stage_lr")

    stage: Tokens

    @checked
    def __init__(
        self,
        student: Output,
        teacher: Output,
        *,
        weight: Weight = 1.0,
        tokens: Count = 8,
        stage_epochs: Epochs = 20,
        stage_lr: Positive = 0.1,
    ):
        super().__init__(Tokens(tokens, teacher.logits.shape[1]), epochs=stage_epochs, lr=stage_lr)
        self.weight = weight

    def stage_loss(self, teacher: Output, target: Tensor) -> dict[str, Tensor]:
        logits = teacher.logits.float()
        masks = maskd_masks(logits, self.stage.vectors)
        valid = valid_pixels(logits, target)
        loss = F.cross_entropy(logits * masks.sum(1, keepdim=True), target, ignore_index=IGNORE, reduction="none")
        return {"ce": mean_over(loss, valid), "diversity": maskd_diversity(logits, self.stage.vectors)}

    def forward(self, student: Output, teacher: Output, target: Tensor) -> dict[str, Tensor]:
        self.check_stage()
        return {"maskd": self.weight * maskd_loss(student.logits, teacher.logits, self.stage.vectors)}
