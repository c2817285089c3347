"""Networks of two layers, a batch for them and a distiller of them: what the tests of the methods share."""

import pytest
import torch
from torch import nn

from lixlib.core.sample import Sample
from lixlib.distillers import METHODS, Distiller
from lixlib.nets import Output

C = 4
ALL = list(METHODS)
methods = pytest.mark.parametrize("method", ALL)


class Net(nn.Module):
    """Two convolutions with batch norm; taps at full and at half size."""

    def __init__(self, width=5, x_channels=None, names=("early", "late"), stride=2):
        super().__init__()
        self.x_channels, self.names = x_channels, names
        self.stem = nn.Sequential(nn.Conv2d(3 + (x_channels or 0), width, 3, padding=1), nn.BatchNorm2d(width))
        self.body = nn.Conv2d(width, 2 * width, 3, stride=stride, padding=1)
        self.head = nn.Conv2d(2 * width, C, 1)

    def forward(self, rgb, *x):
        assert len(x) == (self.x_channels is not None), "a student must not see X"
        early = self.stem(torch.cat([rgb, *x], 1))
        late = self.body(early.relu())
        logits = nn.functional.interpolate(self.head(late.relu()), rgb.shape[-2:])
        return Output(logits, dict(zip(self.names, (early, late), strict=True)))


def make_batch(size=2, h=12, w=20, ignored=0.2):
    """Random images, X and labels of `size` images; the share `ignored` of the pixels has no label."""
    label = torch.randint(C, (size, h, w))
    label[torch.rand(size, h, w) < ignored] = 255
    x = torch.rand(size, 1, h, w)
    return Sample(torch.rand(size, 3, h, w), x, x > 0, label, tuple("ab"[:size]))


def make(method, batch, teacher=None, **hyper):
    """A distiller of the two-layer networks."""
    return Distiller(Net(), teacher or Net(7, 1), method, example=batch, **hyper)


def outputs(batch_size=2, h=6, w=9, widths=(3, 5), scale=2.0):
    """Outputs of a student and of a teacher with one tap each, and labels."""

    def one(width):
        return Output(scale * torch.randn(batch_size, C, h, w), {"tap": torch.randn(batch_size, width, h, w)})

    return one(widths[0]), one(widths[1]), torch.randint(C, (batch_size, h, w))


def trainable(module):
    """The ids of the parameters that are trained."""
    return {id(p) for p in module.parameters() if p.requires_grad}
