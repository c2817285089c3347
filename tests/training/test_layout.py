"""Half precision on a CPU: gradients of dilated convolutions are right, and nothing is left behind."""

import copy

import pytest
import torch
from torch import nn

from lixlib.training.layout import fast_layout

CPU = torch.device("cpu")


def gradient(conv: nn.Conv2d, images: torch.Tensor, *, half: bool) -> torch.Tensor:
    junk = [torch.full((100_000,), float("nan"), dtype=torch.bfloat16) for _ in range(30)]
    del junk  # memory that is read without having been written is NaN now
    conv.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        found = conv(images)
    found.float().square().mean().backward()
    return conv.weight.grad


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("size", [(6, 20), (24, 32), (12, 40)])
def test_gradients_in_bfloat16_are_those_of_float32(dilation, size):
    torch.manual_seed(0)
    conv = nn.Conv2d(36, 18, 3, padding=dilation, dilation=dilation)
    images = torch.randn(4, 36, *size).to(memory_format=torch.channels_last)
    with fast_layout(conv, CPU):
        for _ in range(3):
            expected = gradient(conv, images, half=False).clone()
            torch.testing.assert_close(gradient(conv, images, half=True), expected, rtol=0.05, atol=1e-3)


def test_only_dilated_convolutions_on_a_cpu_are_changed():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, dilation=2))
    for device, changed in ((CPU, 1), (torch.device("cuda"), 0)):
        with fast_layout(net, device):
            assert [len(conv._forward_pre_hooks) for conv in net] == [0, changed]
            assert net[0].weight.is_contiguous(memory_format=torch.channels_last)
            assert net[1].weight.is_contiguous(memory_format=torch.channels_last) != bool(changed)
        assert not any(conv._forward_pre_hooks for conv in net)


def test_in_float32_nothing_changes():
    torch.manual_seed(0)
    plain = nn.Conv2d(6, 4, 3, padding=2, dilation=2)
    laid_out = copy.deepcopy(plain)
    plain.to(memory_format=torch.channels_last)
    images = torch.randn(2, 6, 12, 20).to(memory_format=torch.channels_last)
    with fast_layout(laid_out, CPU):
        assert torch.equal(gradient(laid_out, images, half=False), gradient(plain, images, half=False))
