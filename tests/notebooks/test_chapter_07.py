"""Chapter 07 watches the networks with a dye, counts them and writes SNE out by hand: what it says is so."""

import pytest
import torch
from notebook_code import definitions, exercises, run
from torch import nn

from lixlib.data.x.normals import Intrinsics, surface_normals
from lixlib.functional import kd_loss
from lixlib.nets import Output, build
from lixlib.nets.off_net import as_colours
from lixlib.nets.resnet import ResNet

CHAPTER = definitions("07_networks")
CAMERA = Intrinsics(fx=70.0, fy=65.0, u0=29.0, v0=-7.0)
MEETINGS = {
    "mfnet": [("cat", stride) for stride in (2, 4, 8, 16)],
    "sne-roadseg": [("add", stride) for stride in (2, 4, 8, 16, 32)],
    "off-net": [("add", 4), ("mul", 4), ("add", 4)],
}
OPTIONS = {"sne-roadseg": {"encoder": "resnet18"}}


def solution(number):
    (found,) = (each for each in exercises() if each.number == number)
    namespace = definitions(found.chapter)
    run(found.solution, namespace)
    return next(value for name, value in namespace.items() if f"def {name}(" in found.solution)


def dyed(dye, *shape):
    image = torch.rand(shape)
    image.dye = dye
    return image


def traced(name, x_channels, num_classes=5):
    with torch.device("meta"):
        net = build(name, num_classes=num_classes, x_channels=x_channels, **OPTIONS.get(name, {}))
        return net, CHAPTER["trace"](net, *(torch.empty(1, c, 64, 96) for c in (3, x_channels) if c))


def test_dye_mixes_and_tells_where_pure_x_meets_rgb():
    rgb, x = dyed("r", 2, 3), dyed("x", 2, 3)
    with CHAPTER["Dye"]() as river:
        both = torch.cat([rgb.relu(), 2 * x])
        late = both.sum() * x + 1
        rgb.relu_().mul_(3)
    assert [both.dye, late.dye, rgb.dye] == ["rx", "rx", "r"]
    assert [how for how, _ in river.meetings] == ["cat", "mul"]


@pytest.mark.parametrize("name", MEETINGS)
def test_where_the_networks_meet(name):
    _, (stages, meetings, taps, _) = traced(name, 3)
    assert meetings == MEETINGS[name]
    assert {stage.dye for stage in stages} == {"r", "x", "rx"} and set(taps.values()) == {"rx"}
    _, (stages, meetings, taps, _) = traced(name, None)
    assert not meetings and {stage.dye for stage in stages} == {"r"} == set(taps.values())


@pytest.mark.parametrize("name", MEETINGS)
def test_the_cost_of_the_parts_is_that_of_the_whole(name):
    net, (*_, macs) = traced(name, 3)
    children = {child: part for child, part in net.named_children() if any(True for _ in part.parameters())}
    parts = [CHAPTER["cost"](part, f"{type(net).__name__}.{child}", macs) for child, part in children.items()]
    assert all(parts) and sum(parts) == pytest.approx(macs["Global"], rel=1e-3)  # parts are rounded down


def test_stages_and_macs_of_a_convolution():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(3, 8, 3, stride=2, padding=1)

        def forward(self, rgb):
            return Output(self.conv1(rgb), {})

    stages, meetings, _, macs = CHAPTER["trace"](Net(), torch.rand(1, 3, 16, 20), stages=r"conv\d")
    assert stages == [("conv1", 8, 2, "r")] and not meetings
    assert macs["Global"] == 8 * 10 * 9 * 3 * 8


def test_rounded_and_cut_off():
    assert CHAPTER["rounded"](528_096) == "0.53" and CHAPTER["truncated"](528_096) == "0.52"
    assert CHAPTER["truncated"](601_848) == "0.60" and CHAPTER["truncated"](116_281_344) == "116.28"


MINE = """
class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.inner = nn.Conv2d(channels, 8, 3, stride=2, padding=1)

    def forward(self, f):
        return self.inner(f).relu()


class Mine(nn.Module):
    def __init__(self):
        super().__init__()
        self.rgb, self.x, self.head = Block(3), Block(1), nn.Conv2d(8, 5, 1)

    def forward(self, rgb, x):
        return self.head(self.rgb(rgb) + self.x(x))
"""


def test_a_module_that_is_pasted_is_traced():
    stages, meetings = CHAPTER["pour"](MINE)
    assert [(stage.channels, stage.stride, stage.dye) for stage in stages] == [(8, 2, "r"), (8, 2, "x"), (5, 2, "rx")]
    assert meetings == [("add", 2)]
    student = MINE.replace("self, rgb, x", "self, rgb").replace(" + self.x(x)", "")
    stages, meetings = CHAPTER["pour"](student)
    assert {stage.dye for stage in stages} == {"r"} and not meetings


@pytest.mark.parametrize("code", ["class Mine(", "x = 1", MINE.replace("Conv2d(8, 5", "Conv2d(7, 5")])
def test_what_is_wrong_with_a_pasted_module_is_raised(code):
    with pytest.raises((SyntaxError, IndexError, RuntimeError)):
        CHAPTER["pour"](code)


@pytest.mark.parametrize("head", [nn.Identity(), nn.LeakyReLU(0.2), nn.ReLU()])
def test_the_wrong_class_learns_by_the_librarys_kd(head):
    z = torch.tensor([-3.0, -0.5, 0.7, 4.0], dtype=torch.float64, requires_grad=True)
    student = torch.cat([head(z)[:, None], torch.zeros(4, 6, dtype=torch.float64)], dim=1)
    teacher = torch.tensor([0.01, *[0.99 / 6] * 6], dtype=torch.float64).log().expand(4, 7)
    (expected,) = torch.autograd.grad(4 * kd_loss(student, teacher), z)
    p, gradient = CHAPTER["wrong_class"](head, z.detach(), wanted=0.01, others=6)
    torch.testing.assert_close(p, student.softmax(1)[:, 0].detach())
    torch.testing.assert_close(gradient, expected)


def test_a_position_looks_as_far_as_its_kernels():
    net = build("mfnet", num_classes=3, x_channels=1).eval()
    images = torch.rand(1, 3, 48, 64), torch.rand(1, 1, 48, 64)
    fields = CHAPTER["look_back"](net, ("conv2", "conv3"), *images)
    for field, reach in zip(fields, (12, 30), strict=True):
        rows, columns = (field.sum(side).nonzero()[:, 0] for side in (1, 0))
        assert all(reach - 4 <= seen[-1] - seen[0] + 1 <= reach for seen in (rows, columns))  # pooling drops some


def bumpy(scale):
    v, u = torch.meshgrid(torch.arange(30.0).double(), torch.arange(40.0).double(), indexing="ij")
    normal = torch.tensor([0.2, 0.9, 0.3]).double()
    return CHAPTER["plane_depth"](normal, 1.7, CAMERA, u, v) * (1 + scale * torch.sin(u / 4) * torch.cos(v / 5))


@pytest.mark.parametrize("scale", [0.0, 0.05, 0.4])
def test_sne_by_hand_is_the_librarys(scale):
    ours = CHAPTER["sne"](bumpy(scale), CAMERA)
    theirs, valid = surface_normals(bumpy(scale)[None], CAMERA)
    assert valid.all()
    torch.testing.assert_close(ours, theirs[:, 1:-1, 1:-1])


def test_the_normal_of_the_exercise_is_the_librarys_on_a_plane():
    depth = bumpy(0.0)
    inverse = 1 / depth
    v, u = torch.meshgrid(torch.arange(1.0, 29).double(), torch.arange(1.0, 39).double(), indexing="ij")
    du = (inverse[1:-1, 2:] - inverse[1:-1, :-2]) / 2
    dv = (inverse[2:, 1:-1] - inverse[:-2, 1:-1]) / 2
    seen = [image.flatten() for image in (inverse[1:-1, 1:-1], du, dv, u, v)]
    ours = solution("07.2")(*seen, CAMERA)
    theirs = surface_normals(depth[None], CAMERA)[0][:, 1:-1, 1:-1].flatten(1).T
    torch.testing.assert_close(ours, theirs)  # the road's normal points up and to the camera


def test_the_bottlenecks_of_the_exercise_are_resnet_152():
    count, blocks, channels = solution("07.1"), (3, 8, 36, 3), 64
    total = 64 * 3 * 49 + 2 * 64  # the stem and its batch norm
    for stage, number in enumerate(blocks):
        width = 64 * 2**stage
        for block in range(number):
            total += count(channels, width, 2 if block == 0 and stage else 1)
            channels = 4 * width
    with torch.device("meta"):
        assert total == sum(p.numel() for p in ResNet("resnet152").parameters()) == 58_143_808


@pytest.mark.parametrize("x_channels", [None, 1])
def test_the_network_of_ones_own(x_channels):
    net = CHAPTER["Early"](5, x_channels)
    logits, taps = net(*(torch.rand(2, c, 16, 24) for c in (3, x_channels) if c))
    assert logits.shape == (2, 5, 16, 24) and taps["conv3"].shape == (2, 64, 4, 6)


def test_three_copies_are_blind_to_a_flat_patch_only_without_biases(monkeypatch):
    near_and_far = CHAPTER["near_and_far"]
    monkeypatch.setitem(near_and_far.__globals__, "seed", 0)

    def copies(x):
        return x.expand(-1, 3, -1, -1)

    assert near_and_far(copies) < 0.1 < 1 < near_and_far(copies, tilt=0.05) < 10 < near_and_far(copies, bias=0.08)
    assert near_and_far(as_colours) > 50


def test_a_student_of_mfnet_saves_30_percent():
    costs = [traced("mfnet", x_channels, 15)[1][3]["Global"] for x_channels in (None, 1)]
    assert 1 - costs[0] / costs[1] == pytest.approx(0.30, abs=0.01)


def test_normals_have_the_same_colours_here_and_in_chapter_08():
    normals = torch.nn.functional.normalize(torch.randn(3, 5, 7), dim=0)
    normals[:, 0] = 0  # unknown
    pictures = [definitions(chapter)["drawn"](normals) for chapter in ("07_networks", "08_data")]
    assert torch.equal(*pictures) and (pictures[0][:, 0] == 1).all()
    up = torch.tensor([0.0, -1.0, 0.0])[:, None, None]
    assert torch.equal(CHAPTER["drawn"](up)[:, 0, 0], torch.tensor([0.5, 1.0, 0.5]))
    depth = torch.rand(1, 4, 6)
    maps = [definitions(chapter)["drawn"](depth) for chapter in ("07_networks", "08_data")]
    assert maps[0].shape == (4, 6, 3) and (maps[0] == maps[1]).all()
    assert (CHAPTER["drawn"](depth[..., :2]) == maps[0][:, :2]).all()  # whatever else is in the picture


@pytest.mark.parametrize("size", [(96, 320), (250, 371), (10, 20), (7, 3)])
def test_framed_pictures_have_one_shape(size):
    framed = CHAPTER["framed"](torch.zeros(3, *size))
    assert framed.shape[2] == 2 * framed.shape[1] and (framed == 0).sum() == 3 * size[0] * size[1]
