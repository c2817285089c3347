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


class Tokens(nn.Module):
    """The tokens of a map of stride 2, row by row, after others that belong to no pixel."""

    def __init__(self, before=0):
        super().__init__()
        self.body, self.before = nn.Identity(), before

    def forward(self, rgb):
        tokens = rgb[..., ::2, ::2].flatten(2).transpose(1, 2)
        self.body(torch.cat([tokens[:, : self.before], tokens], 1))
        return rgb


@pytest.mark.parametrize("size", [(16, 24), (24, 16), (15, 23), (2, 64), (1, 1), (77, 131)])
@pytest.mark.parametrize("before", [0, 1])
def test_tokens_become_a_map(size, before):
    rgb = torch.rand(2, 3, *size)
    assert torch.equal(nets.tapped(Tokens(before), {"t": "body"})(rgb).taps["t"], rgb[..., ::2, ::2])


def test_tokens_that_fit_no_map():
    with pytest.raises(ValueError, match=r"returned a tensor \(2, 100, 3\), expected .*, or tokens"):
        nets.tapped(Tokens(4), {"t": "body"})(RGB)


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
