"""The losses that go over the pixels in blocks: what they hold where a block ends, and the memory that they need."""

import pytest
import torch

from lixlib import functional
from lixlib.functional import blocks, cwkd_loss, dkd_loss, dwld_loss, kd_loss, reference
from tools.benchmarks.measure import peak_bytes

# pixels that fill no whole number of blocks, one pixel, one image, images that share a block, and rows
SHAPES = [(2, 5, 3, 7), (3, 5, 1, 1), (1, 5, 1, 1), (5, 5, 1, 2), (1, 5, 4, 9), (2, 5, 23), (23, 5), (1, 5)]
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
losses = pytest.mark.parametrize("name", ["kd_loss", "dkd_loss", "dwld_loss", "kd_loss of all pixels"])


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """More threads have larger blocks."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)


def test_blocks_grow_with_the_threads(monkeypatch):
    maps = torch.zeros(1, 4, 4 * blocks.ENTRIES)
    one = list(blocks.places(maps))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert len(one) == 4 * len(list(blocks.places(maps)))


def make(name, shape, dtype=torch.float64, layout="contiguous"):
    """The loss as a function of a module and of what is learnt, and what is learnt."""
    tensors = [3 * torch.randn(shape, dtype=dtype), 3 * torch.randn(shape, dtype=dtype), torch.rand(shape, dtype=dtype)]
    if len(shape) == 4:
        tensors = [values.contiguous(memory_format=LAYOUTS[layout]) for values in tensors]
    student, teacher, weight = tensors
    target = torch.randint(shape[1], shape[:1] + shape[2:])
    target[torch.rand(target.shape) < 0.3] = 255
    target.view(-1)[0] = 0
    learnt = [student.requires_grad_(), *([weight.requires_grad_()] if name == "dwld_loss" else [])]
    rest = {"kd_loss of all pixels": [], "cwkd_loss": [], "dwld_loss": [target, weight]}.get(name, [target])

    def result(module):
        value = getattr(module, name.split()[0])(student, teacher, *rest, temperature=2.0)
        return value, *torch.autograd.grad(value, learnt)

    return result


@losses
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
@pytest.mark.parametrize("pixels", [1, 4, 7, 1000])
def test_blocks_of_any_size(name, shape, pixels, monkeypatch):
    monkeypatch.setattr(blocks, "ENTRIES", pixels * shape[1])
    result = make(name, shape)
    torch.testing.assert_close(result(functional), result(reference), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if len(shape) > 2], ids=lambda s: "x".join(map(str, s)))
@pytest.mark.parametrize("entries", [1, 60, 1000])
def test_blocks_of_any_number_of_channels(shape, entries, monkeypatch):
    monkeypatch.setattr(blocks, "ENTRIES", entries)
    result = make("cwkd_loss", shape)
    torch.testing.assert_close(result(functional), result(reference), rtol=1e-9, atol=1e-9)


@losses
@pytest.mark.parametrize("layout", LAYOUTS)
def test_blocks_of_their_own_size(name, layout):
    result = make(name, (2, 3, 211, 331), torch.float32, layout)  # 3 blocks an image, the last one smaller
    found, expected = result(functional), result(reference)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-8)
    assert all(values.is_contiguous(memory_format=LAYOUTS[layout]) for values in found[1:])


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
@pytest.mark.parametrize("pixels", [1, 4, 1000])
def test_every_pixel_lies_in_one_block(shape, pixels, monkeypatch):
    monkeypatch.setattr(blocks, "ENTRIES", pixels * 5)
    seen = torch.zeros(shape[0], 5, torch.Size(shape[2:]).numel())
    for place in blocks.places(seen):
        assert 0 < seen[place].numel() <= pixels * 5
        seen[place] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("loss", "maps"),
    [
        (lambda s, t, y, w: kd_loss(s, t, y), 2.1),
        (lambda s, t, y, w: dkd_loss(s, t, y), 2.1),
        (lambda s, t, y, w: dwld_loss(s, t, y, w), 2.1),
        (lambda s, t, y, w: dwld_loss(s, t, y, w, divergence="bregman"), 2.1),
        (lambda s, t, y, w: dwld_loss(s, t, y, w.requires_grad_()), 4.1),
    ],
    ids=["kd", "dkd", "dwld", "dwld bregman", "dwld whose weights learn"],
)
def test_peak_memory(loss, maps, layout):
    """In maps of the size of the logits: a gradient that is kept, and what is made of it for the caller."""
    student, teacher, weight = (
        values.contiguous(memory_format=LAYOUTS[layout]) for values in torch.randn(3, 4, 19, 96, 320)
    )
    target = torch.randint(19, (4, 96, 320))
    student.requires_grad_()
    peak = peak_bytes(lambda: loss(student, teacher, target, weight).backward(), student.device)
    assert peak <= maps * student.numel() * student.element_size()


@pytest.mark.parametrize(("layout", "maps"), [("contiguous", 2.1), ("channels_last", 4.1)])
def test_peak_memory_of_channels(layout, maps):
    """Both logits are copied if the positions of a channel do not lie side by side."""
    student, teacher = (values.contiguous(memory_format=LAYOUTS[layout]) for values in torch.randn(2, 4, 19, 96, 320))
    student.requires_grad_()
    peak = peak_bytes(lambda: cwkd_loss(student, teacher).backward(), student.device)
    assert peak <= maps * student.numel() * student.element_size()
