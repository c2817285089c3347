"""OFF-Net: the exact parameters, the taps, the gate, and Mix Transformer's attention."""

import pytest
import torch

from lixlib import nets
from lixlib.nets.mit import Attention, MiTBlock


def counted(x_channels=None, num_classes=15):
    with torch.device("meta"):  # shapes without memory
        net = nets.build("off-net", num_classes=num_classes, x_channels=x_channels)
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize("classes", [2, 15, 19])
def test_total_parameters(classes):
    assert counted(3, classes) == counted(1, classes) == 24_726_272 + 257 * classes
    assert counted(None, classes) == 24_722_112 + 257 * classes


@pytest.fixture(scope="module")
def teacher():
    torch.manual_seed(0)
    return nets.build("off-net", num_classes=4, x_channels=1).eval().requires_grad_(False)


def test_taps(teacher):
    rgb = torch.rand(1, 3, 64, 96)
    taps = teacher(rgb, torch.rand(1, 1, 64, 96)).taps
    expected = {"c1": (64, 16, 24), "c2": (128, 8, 12), "c3": (320, 4, 6), "c4": (512, 2, 3), "decode": (256, 16, 24)}
    assert {name: tuple(tap.shape[1:]) for name, tap in taps.items()} == expected
    student = nets.build("off-net", num_classes=4).eval()
    assert {name: tuple(tap.shape[1:]) for name, tap in student(rgb).taps.items()} == expected


def test_every_parameter_is_used(teacher):
    net = nets.build("off-net", num_classes=4, x_channels=3)
    net(torch.rand(1, 3, 32, 64), torch.rand(1, 3, 32, 64)).logits.sum().backward()
    assert [name for name, parameter in net.named_parameters() if parameter.grad is None] == []


def test_rgb_and_x_share_the_first_stage_and_meet_at_the_gate(teacher):
    rgb, x = torch.rand(1, 3, 32, 64), torch.rand(1, 1, 32, 64)
    taps = teacher(rgb, x).taps
    a, b = teacher.encoder.stage(1, rgb), teacher.encoder.stage(1, x.repeat(1, 3, 1, 1))
    gate = torch.sigmoid(
        torch.einsum("oc,bchw->bohw", teacher.gate.fc.weight, a + b) + teacher.gate.fc.bias[:, None, None]
    )
    torch.testing.assert_close(taps["c1"], a + gate * a)
    torch.testing.assert_close(taps["c2"], teacher.encoder.stage(2, a + gate * a + b + (1 - gate) * b))


def test_the_reference_leaves_the_logits_at_a_quarter(teacher):
    rgb = torch.rand(1, 3, 41, 64)
    net = nets.build("off-net", num_classes=4, full_size=False).eval()
    whole = nets.build("off-net", num_classes=4).eval()
    whole.load_state_dict(net.state_dict())
    quarter = net(rgb).logits
    assert quarter.shape == (1, 4, 11, 16)
    assert whole(rgb).logits.shape == (1, 4, 41, 64)
    # the corner of a bilinear map is that of the small one
    torch.testing.assert_close(whole(rgb).logits[..., 0, 0], quarter[..., 0, 0])


def test_attention_is_the_plain_formula():
    attention = Attention(32, heads=4, reduction=2).double()
    x, size = torch.rand(2, 24, 32, dtype=torch.float64), (4, 6)
    reduced = attention.sr(x.transpose(1, 2).reshape(2, 32, 4, 6)).flatten(2).transpose(1, 2)
    keys, values = attention.kv(attention.norm(reduced)).reshape(2, 6, 2, 4, 8).permute(2, 0, 3, 1, 4)
    queries = attention.q(x).reshape(2, 24, 4, 8).permute(0, 2, 1, 3)
    weights = (queries @ keys.transpose(-2, -1) / 8**0.5).softmax(-1)
    expected = attention.proj((weights @ values).transpose(1, 2).reshape(2, 24, 32))
    torch.testing.assert_close(attention(x, size), expected)


def test_a_dropped_path_is_the_shortcut_and_the_mean_stays():
    block = MiTBlock(8, heads=1, reduction=1, drop_path=0.5).train()
    branch = torch.ones(4000, 2, 8)
    dropped = block._dropped(branch)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert all(len(image.unique()) == 1 for image in dropped), "an image as a whole"
    assert abs(dropped.mean() - 1) < 0.1
    assert block.eval()._dropped(branch) is branch
