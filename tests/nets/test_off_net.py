"""OFF-Net: the exact parameters, the taps, the gate, and Mix Transformer's attention."""

import pytest
import torch

from lixlib import nets
from lixlib.nets.mit import Attention, MiTBlock
from lixlib.nets.off_net import as_colours


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
    a, b = teacher.encoder.stage(1, rgb), teacher.encoder.stage(1, torch.cat([x, 1 - x, x], dim=1))
    gate = torch.sigmoid(
        torch.einsum("oc,bchw->bohw", teacher.gate.fc.weight, a + b) + teacher.gate.fc.bias[:, None, None]
    )
    torch.testing.assert_close(taps["c1"], a + gate * a)
    torch.testing.assert_close(taps["c2"], teacher.encoder.stage(2, a + gate * a + b + (1 - gate) * b))


@pytest.mark.parametrize("channels", [1, 3])
def test_x_without_values_leaves_the_shared_stage_alone(channels):
    """Of zeros layer norm has no direction, and its gradient no bound: once it ruined the biases that RGB shares."""
    net = nets.build("off-net", num_classes=4, x_channels=channels)
    bias, rgb = net.encoder.patch_embed1.proj.bias, torch.rand(1, 3, 32, 64)
    sizes = []
    for x in (torch.rand(1, channels, 32, 64), torch.zeros(1, channels, 32, 64)):
        net.zero_grad()
        net(rgb, x).logits.square().mean().backward()
        sizes.append(bias.grad.norm())
    assert sizes[1] < 10 * sizes[0]


def test_the_first_stage_tells_near_from_far(teacher):
    near, far = (teacher.encoder.stage(1, as_colours(torch.full((1, 1, 32, 32), x))) for x in (0.9, 0.1))
    assert (near - far)[..., 2:-2, 2:-2].abs().mean() > 0.1 * near.abs().mean()


def test_unknown_normals_face_the_camera():
    x = torch.tensor([[0.0, 0.6], [0.0, 0.0], [0.0, -0.8]])[None, :, None]
    assert as_colours(x)[0, :, 0].T.tolist() == [[0.0, 0.0, -1.0], x[0, :, 0, 1].tolist()]


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
