"""Work that is counted without computing is that of the computation, and the cards have sensible numbers."""

import pytest
import torch
from torch import nn

from lixlib import nets
from lixlib.course.full_run import CARDS, count

SIZE = (32, 48)


def on_meta(network, batch=1, x_channels=None, num_classes=5, **options):
    with torch.device("meta"):
        net = nets.build(network, num_classes=num_classes, x_channels=x_channels, **options)
        return count(net, torch.empty(batch, 3, *SIZE), *([torch.empty(batch, 1, *SIZE)] if x_channels else []))


@pytest.mark.parametrize(("network", "options"), [("mfnet", {}), ("sne-roadseg", {"encoder": "resnet18"})])
def test_work_on_meta_is_that_of_real_tensors(network, options):
    net = nets.build(network, num_classes=5, x_channels=1, **options)
    assert count(net, torch.rand(1, 3, *SIZE), torch.rand(1, 1, *SIZE)) == on_meta(network, x_channels=1, **options)


def test_the_backward_pass_is_twice_the_forward_pass_and_a_batch_a_multiple_of_an_image():
    one, four = on_meta("mfnet"), on_meta("mfnet", batch=4)
    assert one.training == pytest.approx(3 * one.forward, rel=0.03), "the image itself needs no gradient"
    assert (four.forward, four.training) == (4 * one.forward, 4 * one.training)
    assert four.kept == pytest.approx(4 * one.kept, rel=0.01)


def test_a_convolution_and_a_relu_by_hand():
    with torch.device("meta"):
        work = count(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.ReLU()), torch.empty(1, 3, 10, 20))
    forward = 2 * 3 * 8 * 9 * 200
    assert work.forward == forward and work.training == 2 * forward, "no gradient of the image"
    assert work.kept == 4 * 200 * (3 + 8), "the image, for the weights' gradient, and what ReLU let through"


def test_without_gradients_there_is_no_backward_pass():
    both = on_meta("mfnet", x_channels=1)
    with torch.no_grad():
        alone = on_meta("mfnet", x_channels=1)
    assert (alone.forward, alone.training, alone.kept) == (both.forward, both.forward, 0)


def test_mfnet_at_the_papers_size():
    """9.58 billion multiply-adds, as instantiated elsewhere; a smaller image, for they grow with its pixels."""
    forward = on_meta("mfnet", num_classes=15).forward * (384 * 1248) / (SIZE[0] * SIZE[1])
    assert forward / 2 == pytest.approx(9.575e9, rel=0.001)


def test_cards():
    for name, card in CARDS.items():
        assert name.startswith("NVIDIA ") and min(card) > 0
        assert 30 <= 1000 * card.tflops / card.bandwidth <= 500, "operations that a card makes while it moves a byte"
