"""VID and PAD: the variance that they learn."""

import torch
from torch import nn
from two_layers import outputs

from lixlib.distillers import build


def test_vid_starts_with_a_variance_of_five_and_trains_it():
    student, teacher, target = outputs()
    vid = build("vid", student, teacher)
    (raw,) = vid.raw_variances
    torch.testing.assert_close(nn.functional.softplus(raw) + 1e-5, torch.full((5,), 5.0))
    vid(student, teacher, target)["vid"].backward()
    assert raw.grad.abs().min() > 0


def test_pad_bounds_the_variance():
    student, teacher, target = outputs()
    pad = build("pad", student, teacher)
    nn.init.constant_(pad.head[1].bias, -1e9)
    projected = pad.projection(student.taps["tap"])
    expected = ((projected - teacher.taps["tap"]).square() / (1e-6 + torch.tensor(-10.0).exp()) - 10).mean()
    torch.testing.assert_close(pad(student, teacher, target)["pad"], expected)
