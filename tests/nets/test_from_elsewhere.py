"""Networks of other libraries, unchanged: as student, as teacher with X, distilled, copied, saved, exported."""

import copy
import json
import math

import pytest
import torch
from torch import nn

from lixlib import nets
from lixlib.cli import export
from lixlib.core.sample import Sample
from lixlib.distillers import Distiller

CLASSES = 5
STAGES = range(4)


def library(name):
    """The library, or a skipped test: torchvision fails in its own way where it is of another build than torch."""
    try:
        return __import__(name, fromlist=["models"])
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"{name} cannot be imported here ({str(error).partition(chr(10))[0]})")


def deeplab(channels):
    library("torchvision")
    from torchvision.models.segmentation import deeplabv3_resnet50

    net = deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=CLASSES)
    net.backbone.conv1 = nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
    return net, {f"stage{i + 1}": f"backbone.layer{i + 1}" for i in STAGES}


def lraspp(channels):
    library("torchvision")
    from torchvision.models.segmentation import lraspp_mobilenet_v3_large

    net = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=CLASSES)
    net.backbone["0"][0] = nn.Conv2d(channels, 16, 3, 2, 1, bias=False)
    return net, {"low": "backbone.4", "high": "backbone.16"}


def unet(channels):
    library("torchvision")  # which it imports
    net = library("segmentation_models_pytorch").Unet(
        "resnet18", encoder_weights=None, in_channels=channels, classes=CLASSES
    )
    return net, {f"stage{i + 1}": f"encoder.layer{i + 1}" for i in STAGES}


def segformer(channels):
    made = pytest.importorskip("transformers", reason="transformers is not installed")
    sizes = {"hidden_sizes": [8, 16, 24, 32], "num_attention_heads": [1, 1, 2, 2], "decoder_hidden_size": 16}
    config = made.SegformerConfig(num_labels=CLASSES, num_channels=channels, depths=[1] * 4, **sizes)
    net = made.SegformerForSemanticSegmentation(config)
    return net, {f"stage{i + 1}": f"segformer.stages.{i}.layer_norm" for i in STAGES}  # tokens, not maps


def dpt(channels):
    made = pytest.importorskip("transformers", reason="transformers is not installed")
    small = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 32}
    neck = {"neck_hidden_sizes": [8, 8, 16, 16], "fusion_hidden_size": 8, "backbone_out_indices": [0, 1, 2, 3]}
    options = {"num_labels": CLASSES, "num_channels": channels, "use_auxiliary_head": False, **small, **neck}
    net = made.DPTForSemanticSegmentation(made.DPTConfig(image_size=64, patch_size=16, **options))
    return net, {"block2": "dpt.encoder.layer.1", "fused": "neck.fusion_stage.layers.3"}  # tokens after a class token


SIZES = {deeplab: (32, 64), lraspp: (32, 64), unet: (32, 64), segformer: (40, 72), dpt: (64, 64)}  # of DPT square ones


def tapped(make, x_channels=None):
    net, taps = make(3 + (x_channels or 0))
    join = None if x_channels is None else lambda rgb, x: torch.cat([rgb, x], 1)
    return nets.tapped(net, taps, x_channels=x_channels, join=join)


@pytest.fixture(params=SIZES, ids=lambda make: make.__name__)
def made(request):
    """What makes a network, and (rgb, x) of a size that it takes."""
    rgb = torch.rand(2, 3, *SIZES[request.param])
    return request.param, rgb, rgb[:, :1].clone()


def test_taken_as_it_is(made):
    make, rgb, x = made
    student, teacher = tapped(make).eval(), tapped(make, 1).eval()
    with torch.no_grad():
        output = student(rgb)
        assert output.logits.shape == teacher(rgb, x).logits.shape == (2, CLASSES, *rgb.shape[-2:])
        assert set(output.taps) == set(student.taps)
        maps = [tuple(math.ceil(side / stride) for side in rgb.shape[-2:]) for stride in (2, 4, 8, 16, 32)]
        assert all(tap.shape[-2:] in maps for tap in output.taps.values())
        other = tapped(make).eval()
        other.load_state_dict(student.state_dict())
        for same in (other, copy.deepcopy(student)):
            again = same(rgb)
            assert torch.equal(again.logits, output.logits)
            assert all(torch.equal(tap, again.taps[name]) for name, tap in output.taps.items())
    assert list(student.state_dict()) == list(student.module.state_dict())


@pytest.mark.parametrize("method", ["kd", "lix"])
def test_distilled(made, method):
    make, rgb, x = made
    student = tapped(make)
    before = copy.deepcopy(student.state_dict())
    distiller = Distiller(student, tapped(make, 1), method, example=(rgb, x)).train()
    batch = Sample(rgb, x, torch.ones_like(x, dtype=torch.bool), torch.randint(CLASSES, rgb[:, 0].shape), "own")
    optimizer = torch.optim.SGD([p for p in distiller.parameters() if p.requires_grad], lr=0.01)
    for _ in range(2):
        loss = sum(distiller(batch).values())
        assert loss.isfinite()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert any(not torch.equal(tensor, before[name]) for name, tensor in student.state_dict().items())


def test_exported(made, tmp_path):
    make, rgb, _ = made
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    net = tapped(make).eval()
    if make is dpt:
        with pytest.raises(ValueError, match="fails on an image of 64 x 96"):
            export._write(net, tmp_path / "net.onnx", {}, 17, 16)
        return
    export._write(net, tmp_path / "net.onnx", {"network": "own:net"}, 17, 32)  # which compares both
    (about,) = onnx.load(tmp_path / "net.onnx").metadata_props
    assert json.loads(about.value) == "own:net"
