"""MFNet: the exact parameter counts, the taps, any input size, clear errors."""

import pytest
import torch

from lixlib import nets


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_encoder_parameters_are_the_papers():
    teacher, student = nets.build("mfnet", num_classes=15, x_channels=1), nets.build("mfnet", num_classes=15)
    assert count(teacher.rgb_encoder) + count(teacher.x_encoder) == 601_848
    assert count(student.rgb_encoder) == 528_096


@pytest.mark.parametrize("classes", [2, 9, 15, 19])
def test_total_parameters(classes):
    assert count(nets.build("mfnet", num_classes=classes, x_channels=1)) == 733_656 + 291 * classes
    assert count(nets.build("mfnet", num_classes=classes)) == 597_552 + 147 * classes


def test_three_channel_x():
    teacher = nets.build("mfnet", num_classes=15, x_channels=3)
    assert count(teacher.rgb_encoder) + count(teacher.x_encoder) == 602_136
    assert count(teacher) == 738_309


@pytest.mark.parametrize(
    "x_channels, channels", [(1, (64, 64, 132, 132, 64, 64, 32)), (None, (48, 48, 96, 96, 48, 48, 16))]
)
def test_taps(x_channels, channels):
    net = nets.build("mfnet", num_classes=4, x_channels=x_channels).eval()
    rgb = torch.rand(1, 3, 32, 48)
    output = net(rgb) if x_channels is None else net(rgb, torch.rand(1, 1, 32, 48))
    names = ("conv2", "conv3", "conv4", "conv5", "decode4", "decode3", "decode2")
    strides = (2, 4, 8, 16, 8, 4, 2)
    assert {name: tuple(tap.shape) for name, tap in output.taps.items()} == {
        name: (1, c, 32 // s, 48 // s) for name, c, s in zip(names, channels, strides, strict=True)
    }


@pytest.mark.parametrize("size", [(32, 48), (33, 50), (17, 31)])
def test_any_size_gives_logits_of_that_size(size):
    net = nets.build("mfnet", num_classes=3).eval()
    assert net(torch.rand(2, 3, *size)).logits.shape == (2, 3, *size)


def test_padding_does_not_touch_sizes_that_fit():
    torch.manual_seed(0)
    net, rgb = nets.build("mfnet", num_classes=3).eval(), torch.rand(1, 3, 32, 48)
    whole = net(rgb).logits
    cropped = net(rgb[..., :-1]).logits
    assert torch.allclose(whole[..., :8], cropped[..., :8], atol=1e-1) and not torch.equal(whole[..., :-1], cropped)


def test_the_activated_head_squashes_negative_logits():
    torch.manual_seed(0)
    rgb = torch.rand(2, 3, 32, 48)
    activated = nets.build("mfnet", num_classes=5)(rgb).logits
    plain = nets.build("mfnet", num_classes=5, activated_head=False)
    assert isinstance(plain.decoder.decode1, torch.nn.Conv2d)
    assert activated.min() < 0 and -activated.min() < 0.5 * activated.max()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: nets.build("resnet", num_classes=2), "mfnet"),
        (lambda: nets.build("mfnet", num_classes=2, x_channels=2), "x_channels must be 1"),
        (
            lambda: nets.build("mfnet", num_classes=2, encoder="resnet18"),
            "no option 'encoder': it takes activated_head",
        ),
        (lambda: nets.build("mfnet", num_classes=2)(torch.rand(1, 3, 16, 16), torch.rand(1, 1, 16, 16)), "RGB alone"),
        (lambda: nets.build("mfnet", num_classes=2, x_channels=1)(torch.rand(1, 3, 16, 16)), "needs X"),
        (lambda: nets.build("mfnet", num_classes=2)(torch.rand(1, 1, 16, 16)), r"\(1, 1, 16, 16\)"),
        (
            lambda: nets.build("mfnet", num_classes=2, x_channels=1)(torch.rand(1, 3, 16, 16), torch.rand(1, 1, 16, 8)),
            r"\(1, 1, 16, 8\)",
        ),
    ],
)
def test_errors_say_what_to_do(call, message):
    with pytest.raises(ValueError, match=message):
        call()
