"""SNE-RoadSeg: the exact parameters with every encoder, the taps, the fusion, and what checkpointing changes."""

import pytest
import torch

from lixlib import nets
from lixlib.nets.sne_roadseg import RoadSegDecoder


def build(x_channels=None, *, num_classes=5, encoder="resnet18", **options):
    return nets.build("sne-roadseg", num_classes=num_classes, x_channels=x_channels, encoder=encoder, **options)


def counted(x_channels=None, **options):
    with torch.device("meta"):  # shapes without memory
        return build(x_channels, **options)


def count(*modules):
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def test_encoder_parameters_are_the_papers():
    depth, normals, student = (counted(x_channels, encoder="resnet152") for x_channels in (1, 3, None))
    assert count(depth.rgb_encoder, depth.x_encoder) == 116_281_344
    assert count(normals.rgb_encoder, normals.x_encoder) == 116_287_616
    assert count(student.rgb_encoder) == 58_143_808


@pytest.mark.parametrize("classes", [2, 15, 19])
def test_total_parameters(classes):
    options = {"encoder": "resnet152", "num_classes": classes}
    assert count(counted(1, **options)) == 201_317_376 + 579 * classes
    assert count(counted(3, **options)) == 201_323_648 + 579 * classes
    assert count(counted(None, **options)) == 143_179_840 + 579 * classes


@pytest.mark.parametrize(
    "encoder, both, one, decoder",
    [
        ("resnet18", 22_346_752, 11_176_512, 6_063_021),
        ("resnet34", 42_563_072, 21_284_672, 6_063_021),
        ("resnet50", 47_009_792, 23_508_032, 85_044_717),
        ("resnet101", 84_994_048, 42_500_160, 85_044_717),
        ("resnet152", 116_281_344, 58_143_808, 85_044_717),
    ],
)
def test_parameters_of_every_encoder(encoder, both, one, decoder):
    teacher, student = counted(1, encoder=encoder, num_classes=15), counted(encoder=encoder, num_classes=15)
    assert count(teacher.rgb_encoder, teacher.x_encoder) == both
    assert count(student.rgb_encoder) == one
    assert count(teacher.decoder) == count(student.decoder) == decoder


@pytest.mark.parametrize(
    "encoder, widths", [("resnet18", (64, 64, 128, 256, 512)), ("resnet50", (64, 256, 512, 1024, 2048))]
)
@pytest.mark.parametrize("x_channels", [1, 3, None])
def test_taps(encoder, widths, x_channels):
    net = build(x_channels, encoder=encoder).eval()
    x = None if x_channels is None else torch.rand(1, x_channels, 64, 96)
    with torch.no_grad():
        taps = net(torch.rand(1, 3, 64, 96), x).taps
    levels = [(f"e{level}", level) for level in (1, 2, 3, 4, 5)] + [(f"d{level}", level) for level in (4, 3, 2, 1)]
    assert {name: tuple(tap.shape) for name, tap in taps.items()} == {
        name: (1, widths[level - 1], 64 >> level, 96 >> level) for name, level in levels
    }
    assert list(taps) == [name for name, _ in levels]


def test_every_stage_but_the_last_passes_the_sum_on_and_x_stays_alone():
    net = build(1).eval()
    rgb, x = torch.rand(1, 3, 32, 64), torch.rand(1, 1, 32, 64)
    taps = net(rgb, x).taps
    for stage in (1, 2, 3, 4, 5):
        x = net.x_encoder.stage(stage, x)
        rgb = net.rgb_encoder.stage(stage, rgb) + x
        assert torch.equal(taps[f"e{stage}"], rgb)


def test_a_node_sees_all_nodes_of_its_level_and_one_of_the_level_below():
    decoder = RoadSegDecoder((4, 8, 16, 32, 64), 3, activated_head=True, checkpointing=False).eval()
    features = [torch.rand(1, width, 64 >> i, 64 >> i) for i, width in enumerate((4, 8, 16, 32, 64), start=1)]
    _, decoded = decoder(features)

    def node(level, column):
        if column == 0:
            return features[level - 1]
        beside = [node(level, before) for before in range(column)]
        up = getattr(decoder, f"up{level + 1}_{column - 1}")(node(level + 1, column - 1))
        return getattr(decoder, f"conv{level}_{column}")(torch.cat([*beside, up], dim=1))

    for level in (1, 2, 3, 4):
        torch.testing.assert_close(decoded[f"d{level}"], node(level, 5 - level))


def test_the_activated_head_has_no_negative_logits():
    rgb = torch.rand(2, 3, 32, 64)
    assert build()(rgb).logits.min() == 0
    assert build(activated_head=False)(rgb).logits.min() < 0


def test_checkpointing_keeps_loss_gradients_and_running_statistics():
    rgb, x = torch.rand(2, 3, 32, 64), torch.rand(2, 1, 32, 64)
    outcomes = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        net = build(1, checkpointing=checkpointing).train()
        loss = net(rgb, x).logits.square().mean()
        loss.backward()
        outcomes.append((loss, [p.grad for p in net.parameters()], list(net.buffers())))
    (loss, gradients, buffers), (lean_loss, lean_gradients, lean_buffers) = outcomes
    assert loss == lean_loss
    assert all(torch.equal(a, b) for a, b in zip(gradients, lean_gradients, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(buffers, lean_buffers, strict=True))


def test_checkpointing_keeps_fewer_maps_for_the_backward_pass():
    def kept(checkpointing):
        sizes = {}
        net = build(checkpointing=checkpointing).train()
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t: sizes.update({t.data_ptr(): t.nbytes}) or t, lambda t: t
        ):
            output = net(torch.rand(2, 3, 64, 64))
        assert output.logits.requires_grad
        return sum(sizes.values())

    assert kept(True) < 0.7 * kept(False)


def test_an_unknown_encoder_lists_those_that_exist():
    with pytest.raises(ValueError, match="encoder must be 'resnet18', 'resnet34', .* found 'resnet20'"):
        build(encoder="resnet20")
