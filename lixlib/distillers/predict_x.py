"""Predicting X from RGB: the plain way to let a student profit from X, as a second task or before the first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

from lixlib.core.output import Output, call

if TYPE_CHECKING:
    from lixlib.core.sample import Sample


class XHead(nn.Module):
    """Predicts X by a 1x1 convolution of the student's finest decoder map: multi-task learning (Caruana, 1997).

    **Shapes**: an `Output` of the student and a batch -> loss (), the mean of |predicted X - X| over the valid pixels
    and the channels of X.
    """

    def __init__(self, student: Output, x_channels: int):
        super().__init__()
        pixels = {name: tap[0, 0].numel() for name, tap in student.taps.items()}
        # of an encoder and a decoder map of one size, the decoder's
        self.tap = max(reversed(pixels), key=lambda name: pixels[name])
        self.head = nn.Conv2d(student.taps[self.tap].shape[1], x_channels, 1)

    def forward(self, student: Output, batch: Sample) -> Tensor:
        predicted = F.interpolate(self.head(student.taps[self.tap]).float(), size=batch.x.shape[-2:], mode="bilinear")
        valid = batch.valid.expand_as(batch.x)
        return (predicted - batch.x.where(valid, 0)).abs().where(valid, 0).sum() / valid.sum().clamp(min=1)


class PredictX(nn.Module):
    """A student and its `XHead` as one module that `lixlib.training.fit` trains: no labels, one term "x"."""

    def __init__(self, student: nn.Module, example: Sample):
        super().__init__()
        self.student = student
        self.head = XHead(call(student, example.rgb, None), example.x.shape[1])

    def forward(self, batch: Sample) -> dict[str, Tensor]:
        return {"x": self.head(call(self.student, batch.rgb, None), batch)}
