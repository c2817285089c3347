"""Factor transfer (Kim et al., NeurIPS 2018)."""

from typing import Annotated

import torch.nn.functional as F
from annotated_types import Interval
from torch import Tensor, nn

from lixlib.core.options import Epochs, Positive, Weight, checked
from lixlib.core.output import Output
from lixlib.distillers.common import check_batch_norm, deepest_pair
from lixlib.distillers.stage import TwoStage
from lixlib.functional import factor_transfer_loss
from lixlib.functional.pooling import pool_to_smaller

SLOPE = 0.1  # of the LeakyReLU


class Paraphraser(nn.Module):
    """An auto-encoder of the teacher's map; what lies between encoder and decoder are the factors.

    **Shapes**: (B, C, H, W) -> the same; factors (B, K, H, W).
    """

    def __init__(self, channels: int, factors: int):
        super().__init__()
        self.encoder = _encoder(channels, factors, norm=False)
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(factors, factors, 3, padding=1),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.ConvTranspose2d(factors, channels, 3, padding=1),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.ConvTranspose2d(channels, channels, 3, padding=1),
            nn.LeakyReLU(SLOPE, inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        rebuilt: Tensor = self.decoder(self.encoder(x))
        return rebuilt


class FT(TwoStage):
    """The term "ft" = weight x `factor_transfer_loss` of the student's translator and the teacher's paraphraser.

    Stage: the `Paraphraser` learns to rebuild the teacher's map, by the mean squared error "reconstruction". Then it is
    frozen, and the translator, shaped like its encoder but with batch norm, is trained with the student.

    Args:
        p: of the loss. The weight is that of p = 1.
        rate: factors per channel of the teacher, k in the paper.
        tap: the name to compare; None: the deepest.
        stage_epochs, stage_lr: how long and how fast the paraphraser is trained. At the reference's rate of 0.01 it
            learns nothing in so few updates; at 0.1 maps with much larger values than MFNet's make it diverge.

    Raises:
        ValueError: in training, a single position in a batch of a single image, of which batch norm can make nothing.
    """

    STAGE_OPTIONS = ("rate", "tap", "stage_epochs", "stage_lr")

    stage: Paraphraser

    @checked
    def __init__(
        self,
        student: Output,
        teacher: Output,
        *,
        weight: Weight = 1000.0,
        p: Annotated[int, Interval(ge=1, le=2)] = 1,
        rate: Annotated[float, Interval(gt=0, le=16)] = 0.5,
        tap: str | None = None,
        stage_epochs: Epochs = 40,
        stage_lr: Positive = 0.1,
    ):
        tap, s, t = deepest_pair(student, teacher, tap)
        channels = t.shape[1]
        factors = max(int(rate * channels), 1)
        super().__init__(Paraphraser(channels, factors), epochs=stage_epochs, lr=stage_lr)
        self.weight, self.p, self.tap = weight, p, tap
        self.translator = _encoder(s.shape[1], factors, norm=True)

    def stage_loss(self, teacher: Output, target: Tensor) -> dict[str, Tensor]:
        t = teacher.taps[self.tap]
        return {"reconstruction": F.mse_loss(self.stage(t).float(), t.float())}

    def forward(self, student: Output, teacher: Output, target: Tensor) -> dict[str, Tensor]:
        self.check_stage()
        name, s, t = deepest_pair(student, teacher, self.tap)
        check_batch_norm(self, name, s)
        s, t = pool_to_smaller(self.translator(s), self.stage.encoder(t))
        return {"ft": self.weight * factor_transfer_loss(s, t, p=self.p)}


def _encoder(channels: int, factors: int, *, norm: bool) -> nn.Sequential:
    """**Shapes**: (B, channels, H, W) -> (B, factors, H, W)."""
    layers: list[nn.Module] = []
    for width_in, width_out in ((channels, channels), (channels, factors), (factors, factors)):
        layers.append(nn.Conv2d(width_in, width_out, 3, padding=1))
        layers += [nn.BatchNorm2d(width_out)] if norm else []
        layers.append(nn.LeakyReLU(SLOPE, inplace=True))
    return nn.Sequential(*layers)
