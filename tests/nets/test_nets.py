"""MFNet: the exact parameter counts and the taps. All networks: any input size, layout, precision, clear errors."""

import pytest
import torch

from lixlib import nets
from lixlib.nets import inputs


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


@pytest.mark.parametrize("width", [0.25, 0.5, 2.0])
def test_width_scales_every_map(width):
    plain, scaled = (nets.build("mfnet", num_classes=4, width=w).eval() for w in (1.0, width))
    rgb = torch.rand(1, 3, 32, 48)
    taps = zip(plain(rgb).taps.values(), scaled(rgb).taps.values(), strict=True)
    assert all(b.shape[1] == width * a.shape[1] and b.shape[2:] == a.shape[2:] for a, b in taps)
    teacher = nets.build("mfnet", num_classes=4, x_channels=1, width=width).eval()
    assert teacher(rgb, rgb[:, :1]).logits.shape == (1, 4, 32, 48)


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


SMALL = {"mfnet": {}, "sne-roadseg": {"encoder": "resnet18"}, "off-net": {}}


@pytest.fixture(params=SMALL)
def name(request):
    return request.param


def small(name, x_channels=None):
    torch.manual_seed(0)
    return nets.build(name, num_classes=3, x_channels=x_channels, **SMALL[name])


@pytest.mark.parametrize("size", [(32, 64), (33, 50), (17, 31)])
def test_any_size_gives_logits_of_that_size(name, size):
    net = small(name, 1).eval()
    with torch.no_grad():
        assert net(torch.rand(2, 3, *size), torch.rand(2, 1, *size)).logits.shape == (2, 3, *size)


def test_an_odd_size_is_padded_by_its_last_row_and_column_and_cropped_back(name):
    net, rgb = small(name).eval(), torch.rand(1, 3, 30, 62)
    by_hand = torch.cat([rgb, rgb[..., -1:], rgb[..., -1:]], dim=-1)
    by_hand = torch.cat([by_hand, by_hand[:, :, -1:], by_hand[:, :, -1:]], dim=-2)
    with torch.no_grad():
        torch.testing.assert_close(net(rgb).logits, net(by_hand).logits[..., :30, :62])


def test_channels_last_goes_through_and_changes_nothing(name):
    net, rgb, x = small(name, 1).eval(), torch.rand(1, 3, 32, 64), torch.rand(1, 1, 32, 64)
    with torch.no_grad():
        expected = net(rgb, x).logits
        last = {"memory_format": torch.channels_last}
        found = net.to(**last)(rgb.to(**last), x.to(**last))
    torch.testing.assert_close(found.logits, expected, rtol=1e-3, atol=1e-4)
    assert all(tap.is_contiguous(**last) for tap in found.taps.values())


def test_mixed_precision_is_finite_and_close(name):
    net, rgb, x = small(name, 1).train(), torch.rand(2, 3, 32, 64), torch.rand(2, 1, 32, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = net(rgb, x)
    assert output.logits.dtype == torch.bfloat16 and all(tap.dtype == torch.bfloat16 for tap in output.taps.values())
    output.logits.float().square().mean().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in net.parameters())
    for tap in ("conv2", "e1", "c1"):  # the first map; errors grow with depth
        if tap in output.taps:
            exact = net(rgb, x).taps[tap]
            assert (output.taps[tap].float() - exact).abs().mean() < 0.02 * exact.abs().mean()


@pytest.mark.slow
def test_it_compiles_as_one_graph(name):
    net, rgb, x = small(name, 1).train(), torch.rand(2, 3, 30, 62), torch.rand(2, 1, 30, 62)
    torch.manual_seed(0)  # of the paths that OFF-Net drops
    expected = net(rgb, x).logits
    torch.manual_seed(0)
    found = torch.compile(net, fullgraph=True, backend="eager")(rgb, x).logits  # the other backends only take longer
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_padding_compiles_for_sizes_that_are_left_open():
    compiled = torch.compile(inputs.pad, fullgraph=True, dynamic=True, backend="eager")
    for size in ((30, 62), (33, 50), (17, 31), (32, 64)):
        image = torch.rand(1, 3, *size)
        found = compiled(image, 16)
        assert torch.equal(found, inputs.pad(image, 16)) and torch.equal(found[..., : size[0], : size[1]], image)
        assert all(side % 16 == 0 and 0 <= side - own < 16 for side, own in zip(found.shape[2:], size, strict=True))


@pytest.mark.parametrize("name, side", [("mfnet", 16), ("sne-roadseg", 32)])
def test_one_image_of_one_deepest_pixel_cannot_be_trained_on(name, side):
    net, rgb = small(name), torch.rand(1, 3, side, side)
    with pytest.raises(ValueError, match=f"cannot train on one image of {side} x {side} pixels.*larger batch"):
        net.train()(rgb)
    assert net.eval()(rgb).logits.shape == (1, 3, side, side)
    net.train()(rgb.repeat(2, 1, 1, 1))
    assert small("off-net").train()(rgb).logits.shape == (1, 3, side, side), "no batch norm so deep"


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
        (lambda: nets.build("mfnet", num_classes=2, width=0), "width must be above 0, found 0"),
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


class Own(torch.nn.Module):
    """A network that says nothing about X, and answers what it is told to."""

    def __init__(self, answer=None):
        super().__init__()
        self.answer = answer

    def forward(self, rgb, *x):
        assert len(x) == (getattr(self, "x_channels", None) is not None)
        return nets.Output(rgb, {"tap": rgb}) if self.answer is None else self.answer(rgb)


RGB, X = torch.rand(2, 3, 8, 16), torch.rand(2, 1, 8, 16)


@pytest.mark.parametrize("wrap", [lambda net: net, torch.nn.DataParallel])
@pytest.mark.parametrize("channels", ["absent", None, 1])
def test_only_a_network_that_says_so_is_handed_x(channels, wrap):
    net = Own()
    if channels != "absent":
        net.x_channels = channels
    net = wrap(net)
    assert nets.x_channels(net) == (1 if channels == 1 else None)
    assert nets.call(net, RGB, X).logits.equal(RGB)
    if channels == 1:
        with pytest.raises(ValueError, match="reads X in 1 channels, and this batch has none"):
            nets.call(net, RGB)
    else:
        nets.call(net, RGB)


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (lambda rgb: rgb, "type Tensor"),
        (lambda rgb: (rgb, {}), "type tuple"),
        (lambda rgb: {"logits": rgb, "taps": {}}, "type dict"),
        (lambda rgb: Ellipsis, "type ellipsis"),
        (lambda rgb: nets.Output({"out": rgb}, {}), "logits: type dict where"),
        (lambda rgb: nets.Output(rgb, [rgb]), "taps: type list where"),
        (lambda rgb: nets.Output(rgb[..., ::2, ::2], {}), r"logits: \(2, 3, 4, 8\) where \(2, classes, 8, 16\) is"),
        (lambda rgb: nets.Output(rgb.mean((2, 3)), {}), r"logits: \(2, 3\) where"),
        (lambda rgb: nets.Output(rgb, {"pool": rgb.mean((2, 3))}), r"tap 'pool': \(2, 3\) where \(2, channels,"),
        (lambda rgb: nets.Output(rgb, {"pool": None}), "tap 'pool': type NoneType where"),
    ],
)
def test_a_network_that_returns_something_else_is_refused_in_one_line(answer, found):
    with pytest.raises(ValueError, match=f"Own must return lixlib.nets.Output.*found {found}") as caught:
        nets.call(Own(answer), RGB)
    assert "\n" not in str(caught.value)
