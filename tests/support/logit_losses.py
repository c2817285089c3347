"""The losses of logits, and inputs for them."""

import pytest
import torch

from lixlib.functional import dkd_loss, dwld_loss, kd_loss

C = 5
LOSSES = {
    "kd": lambda s, t, y, **k: kd_loss(s, t, y, **k),
    "dkd": lambda s, t, y, **k: dkd_loss(s, t, y, **k),
    "dwld-kl": lambda s, t, y, **k: dwld_loss(s, t, y, torch.linspace(1, 10, s.numel()).view_as(s), **k),
    "dwld-bregman": lambda s, t, y, **k: dwld_loss(s, t, y, 3.0, divergence="bregman", **k),
}
losses = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def make(shape=(2, C, 3, 7), scale=3.0, dtype=torch.float64, ignored=0.3):
    """Logits of a student and of a teacher, and labels of which the share `ignored` is missing."""
    student = (scale * torch.randn(shape, dtype=dtype)).requires_grad_()
    teacher = (scale * torch.randn(shape, dtype=dtype)).requires_grad_()
    target = torch.randint(shape[1], shape[:1] + shape[2:])
    target[torch.rand(target.shape) < ignored] = 255
    return student, teacher, target
