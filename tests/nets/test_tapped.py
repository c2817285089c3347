"""Any module with taps: what it returns, its state dict, copies, compilation, and what is refused."""

import copy
import pickle
import threading

import pytest
import torch
from torch import nn

from lixlib import checkpoints, nets
from lixlib.core.sample import Sample
from lixlib.distillers import Distiller

RGB = torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(1))
X = RGB[:, :1]


class Own(nn.Module):
    """Returns {"out": logits at half size}, as torchvision's segmentation networks do; takes X if it is there."""

    def __init__(self, channels=3):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(channels, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.head, self.unused = nn.Conv2d(8, 3, 1), nn.Identity()

    def forward(self, rgb, *x):
        return {"out": self.head(self.body(torch.cat([rgb, *x], 1)))}


def own(channels=3, **options):
    return nets.tapped(Own(channels), {"conv2": "body"}, **options)


def test_logits_and_taps_are_those_of_the_module():
    net = own().eval()
    logits, taps = nets.call(net, RGB)
    assert logits.shape == (2, 3, 16, 24) and torch.equal(taps["conv2"], net.module.body(RGB))
    resized = nn.functional.interpolate(net.module(RGB)["out"], (16, 24), mode="bilinear", align_corners=False)
    assert torch.equal(logits, resized) and net._maps.seen is None


@pytest.mark.parametrize("wrap", [lambda t: t, lambda t: (t, 1), lambda t: {"logits": t}, lambda t: nets.Output(t, {})])
def test_kinds_of_results(wrap):
    class Result(nn.Module):
        def forward(self, rgb):
            return wrap(rgb)

    assert torch.equal(nets.tapped(Result())(RGB).logits, RGB)
    assert torch.equal(nets.tapped(Result(), logits=lambda result: RGB * 2)(RGB).logits, RGB * 2)


def test_a_teacher_reads_x():
    plain = own(4, x_channels=1).eval()
    joined = own(4, x_channels=1, join=lambda rgb, x: torch.cat([rgb, x], 1)).eval()
    joined.load_state_dict(plain.state_dict())
    assert torch.equal(plain(RGB, X).logits, joined(RGB, X).logits)
    with pytest.raises(ValueError, match="needs X"):
        plain(RGB)


def test_weights_fit_with_and_without_the_wrapper():
    net, module = own(), Own()
    assert list(net.state_dict()) == list(module.state_dict())
    module.load_state_dict(net.state_dict())
    inside = nn.ModuleDict({"student": own()})
    inside.load_state_dict({f"student.{name}": tensor for name, tensor in module.state_dict().items()})
    assert torch.equal(inside["student"].eval()(RGB).logits, net.eval()(RGB).logits)
    with pytest.raises(RuntimeError, match="Missing key"):
        net.load_state_dict({})


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_a_copy_has_hooks_of_its_own(copied):
    net = own().eval()
    other = copied(net)
    nn.init.zeros_(other.module.body[0].weight)
    kept = net(RGB).taps["conv2"]
    assert not torch.equal(other(RGB).taps["conv2"], kept) and torch.equal(net(RGB).taps["conv2"], kept)


def test_threads_do_not_see_each_others_maps():
    net, found = own().eval(), {}
    images = [RGB * i for i in range(4)]

    def work(index):
        found[index] = [net(images[index]).taps["conv2"] for _ in range(10)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    for index, maps in found.items():
        assert all(torch.allclose(m, net.module.body(images[index]), atol=1e-6) for m in maps)


def test_compiled():
    net = own().eval()
    compiled = torch.compile(net, backend="eager", fullgraph=True)
    for image in (RGB, RGB * 0):
        assert torch.allclose(compiled(image).taps["conv2"], net(image).taps["conv2"], atol=1e-6)


def test_in_processes(tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
    try:
        net = own()
        parallel = nn.parallel.DistributedDataParallel(net)
        logits, taps = nets.call(parallel, RGB)
        (logits.sum() + taps["conv2"].sum()).backward()
        assert net.module.body[0].weight.grad.abs().sum() > 0
        assert list(checkpoints.plain_state(parallel)) == list(Own().state_dict())
    finally:
        torch.distributed.destroy_process_group()


def test_what_is_refused():
    with pytest.raises(ValueError, match="no submodule 'bod': did you mean body"):
        nets.tapped(Own(), {"conv2": "bod"})
    with pytest.raises(ValueError, match="'unused' did not run"):
        nets.tapped(Own(), {"conv2": "unused"})(RGB)
    with pytest.raises(ValueError, match=r"returned an object of type dict with out, expected a map"):
        nets.tapped(Own(), {"conv2": ""})(RGB)
    with pytest.raises(ValueError, match="join is for a teacher"):
        own(join=lambda rgb, x: rgb)
    with pytest.raises(ValueError, match="logits .* are needed"):
        nets.tapped(nn.Flatten())(RGB)


@pytest.mark.parametrize("method", ["kd", "arfd"])
def test_distilled(method):
    options = {"taps": ("conv2",)} if method == "arfd" else {}
    distiller = Distiller(own(), own(4, x_channels=1), method, example=(RGB, X), **options)
    batch = Sample(RGB, X, torch.ones(2, 1, 16, 24, dtype=torch.bool), torch.randint(3, (2, 16, 24)), "own")
    optimizer = torch.optim.SGD([p for p in distiller.parameters() if p.requires_grad], lr=0.1)
    losses = []
    for _ in range(5):
        loss = sum(distiller(batch).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_networks_of_transformers():
    made = pytest.importorskip("transformers", reason="transformers is not installed")
    widths = {"hidden_sizes": [8, 16, 24, 32], "num_attention_heads": [1] * 4, "decoder_hidden_size": 16}
    segformer = made.SegformerForSemanticSegmentation(made.SegformerConfig(num_labels=5, depths=[1] * 4, **widths))
    net = nets.tapped(segformer, {"head": "decode_head.batch_norm"}).eval()
    assert net(torch.rand(2, 3, 32, 96)).logits.shape == (2, 5, 32, 96)
    small = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 32}
    neck = {"neck_hidden_sizes": [8, 8, 16, 16], "fusion_hidden_size": 8, "backbone_out_indices": [0, 1, 2, 3]}
    config = made.DPTConfig(num_labels=5, image_size=32, patch_size=16, use_auxiliary_head=False, **small, **neck)
    net = nets.tapped(made.DPTForSemanticSegmentation(config), {"fused": "neck.fusion_stage.layers.3"}).eval()
    logits, taps = net(torch.rand(2, 3, 32, 32))
    assert logits.shape == (2, 5, 32, 32) and taps["fused"].shape[:2] == (2, 8)
