"""Variational information distillation (Ahn et al., CVPR 2019)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lixlib.core.options import Names, Weight, checked
from lixlib.core.output import Output
from lixlib.distillers.common import encoder_pairs
from lixlib.functional import vid_loss
from lixlib.functional.pooling import pool_to_smaller

FIRST_VARIANCE, LEAST_VARIANCE = 5.0, 1e-5


class VID(nn.Module):
    """The term "vid" = weight x sum over taps of `vid_loss`; it may be negative.

    At each tap, three 1x1 convolutions with ReLU between them predict the teacher's map from the student's, and every
    channel of the teacher has a variance v = softplus(a) + 1e-5, 5 at first. Both are trained with the student;
    mdistiller leaves a out of the optimiser, which makes its VID a mean squared error.

    Args:
        taps: the names to compare; None: the encoder's.
    """

    @checked
    def __init__(self, student: Output, teacher: Output, *, weight: Weight = 1.0, taps: Names | None = None):
        super().__init__()
        self.weight = weight
        pairs = encoder_pairs(student, teacher, taps)
        self.taps = tuple(pairs)
        self.regressors = nn.ModuleList(_regressor(s.shape[1], t.shape[1]) for s, t in pairs.values())
        first = math.log(math.expm1(FIRST_VARIANCE - LEAST_VARIANCE))  # softplus(first) + LEAST = FIRST
        self.raw_variances = nn.ParameterList(torch.full((t.shape[1],), first) for _, t in pairs.values())

    def forward(self, student: Output, teacher: Output, target: Tensor) -> dict[str, Tensor]:
        pairs = encoder_pairs(student, teacher, self.taps).values()
        losses = []
        for (s, t), regress, raw in zip(pairs, self.regressors, self.raw_variances, strict=True):
            s, t = pool_to_smaller(s, t)
            losses.append(vid_loss(regress(s), t, F.softplus(raw) + LEAST_VARIANCE))
        return {"vid": self.weight * torch.stack(losses).sum()}


def _regressor(channels: int, teacher_channels: int) -> nn.Sequential:
    """**Shapes**: (B, channels, H, W) -> (B, teacher_channels, H, W)."""
    return nn.Sequential(
        nn.Conv2d(channels, teacher_channels, 1, bias=False),
        nn.ReLU(inplace=True),
        nn.Conv2d(teacher_channels, teacher_channels, 1, bias=False),
        nn.ReLU(inplace=True),
        nn.Conv2d(teacher_channels, teacher_channels, 1, bias=False),
    )
