"""ARFD: its options, the size of its maps, its adapters, its bandwidth, and dead features."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from two_layers import C, make, make_batch, outputs

from lixlib.distillers import build
from lixlib.functional import gram, reference
from lixlib.nets import Output


@pytest.mark.parametrize("samples", ["positions", "channels"])
@pytest.mark.parametrize("measure", ["cka", "cosine", "euclidean", "pearson"])
@pytest.mark.parametrize(
    "kernel, smoother", [("laplace", 0), ("gaussian", 0), ("linear", 0), ("none", 0), ("laplace", 1)]
)
def test_arfd_options(samples, measure, kernel, smoother):
    student, teacher, target = outputs()
    student.taps["tap"].requires_grad_()
    teacher.taps["tap"].requires_grad_()
    arfd = build("arfd", student, teacher, samples=samples, measure=measure, kernel=kernel, smoother=bool(smoother))
    value = arfd(student, teacher, target)["arfd"]
    value.backward()
    gradient = student.taps["tap"].grad
    assert value > 0 and gradient.isfinite().all() and gradient.abs().max() > 0
    assert teacher.taps["tap"].grad is None
    assert arfd.adapters[0].weight.grad.abs().max() > 0


@pytest.mark.parametrize("measure", ["cka", "cosine", "euclidean", "pearson"])
@pytest.mark.parametrize("samples", ["positions", "channels"])
def test_arfd_of_equal_features_is_zero(measure, samples):
    student, teacher, target = outputs(widths=(4, 4))
    arfd = build("arfd", student, teacher, measure=measure, samples=samples)
    nn.init.dirac_(arfd.adapters[0].weight)
    nn.init.zeros_(arfd.adapters[0].bias)
    assert arfd(teacher, teacher, target)["arfd"].item() == pytest.approx(0, abs=1e-6)
    assert arfd.similarity(teacher, teacher)["tap"] == pytest.approx(1, abs=1e-6)
    assert 0 < arfd.similarity(student, teacher)["tap"] < 0.995  # four rows of noise: biased CKA is near 1


@pytest.mark.parametrize(
    "student, teacher, limit, expected",
    [
        ((6, 9), (6, 9), 256, (6, 9)),
        ((32, 104), (32, 104), 256, (8, 28)),
        ((12, 9), (6, 18), 256, (6, 9)),
        ((1, 900), (2, 900), 256, (1, 256)),
    ],
)
def test_arfd_map_sizes(student, teacher, limit, expected):
    s, t = (Output(torch.randn(1, C, 4, 4), {"tap": torch.randn(1, 3, *size)}) for size in (student, teacher))
    arfd = build("arfd", s, t, max_positions=limit)
    aligned = arfd._align(s.taps["tap"], t.taps["tap"], arfd.adapters[0])
    assert all(tuple(f.shape) == (1, expected[0] * expected[1], 3) for f in aligned)
    assert arfd(s, t, None)["arfd"].isfinite()


def test_arfd_adapts_only_the_student_and_survives_dead_features():
    student, teacher, target = outputs(widths=(3, 5))
    arfd = build("arfd", student, teacher)
    assert [tuple(p.shape) for p in arfd.parameters()] == [(5, 3, 1, 1), (5,)]
    dead = Output(teacher.logits, {"tap": -torch.ones_like(teacher.taps["tap"])})
    student.taps["tap"].requires_grad_()
    value = arfd(student, dead, target)["arfd"]
    value.backward()
    assert value == 1 and (student.taps["tap"].grad == 0).all()


@pytest.mark.parametrize("measure", ["cka", "cosine", "pearson"])
@pytest.mark.parametrize("kernel", ["none", "laplace", "linear"])
def test_arfd_of_a_dead_map_gives_no_gradient(measure, kernel):
    student, teacher, target = outputs()
    student.taps["tap"] = torch.zeros_like(student.taps["tap"], requires_grad=True)
    arfd = build("arfd", student, teacher, measure=measure, kernel=kernel)
    nn.init.ones_(arfd.adapters[0].bias)  # constant above 0: the ReLU lets the gradient through
    arfd(student, teacher, target)["arfd"].backward()
    assert (student.taps["tap"].grad.abs() < 1e-3).all() and arfd.adapters[0].weight.grad.abs().max() < 1e-3


def test_arfd_needs_two_samples():
    student, teacher, _ = outputs(h=1, w=1)
    with pytest.raises(ValueError, match="tap 'tap' has 1 of positions"):
        build("arfd", student, teacher)


def test_distillation_brings_the_features_together():
    batch = make_batch()
    distiller = make("arfd", batch).train()
    with torch.no_grad():
        teacher = distiller.teacher(batch.rgb, batch.x)
    before = distiller.method.similarity(distiller.student(batch.rgb), teacher)
    optimizer = torch.optim.Adam([p for p in distiller.parameters() if p.requires_grad], lr=0.01)
    for _ in range(30):
        optimizer.zero_grad()
        distiller(batch)["arfd"].backward()
        optimizer.step()
    after = distiller.method.similarity(distiller.student(batch.rgb), teacher)
    assert set(after) == {"early", "late"} and all(after[name] > before[name] for name in after)


@pytest.mark.parametrize("factor", [0.3, 3.0])
@pytest.mark.parametrize("bandwidth", [None, 2.0])
@pytest.mark.parametrize("kernel", ["laplace", "gaussian", "linear"])
def test_arfd_bandwidth_factor_scales_the_bandwidth(kernel, bandwidth, factor):
    student, teacher, target = outputs()
    arfd = build("arfd", student, teacher, kernel=kernel, bandwidth=bandwidth, bandwidth_factor=factor)
    f = torch.randn(2, 7, 5)
    gap, pairs = (f[:, :, None] - f[:, None]).abs(), 7 * 6
    mean = {"laplace": gap.sum((1, 2, 3)) / pairs, "gaussian": (gap.square().sum((1, 2, 3)) / pairs).sqrt()}
    own = mean.get(kernel, torch.ones(2)).tolist() if bandwidth is None else [bandwidth] * 2  # of each image
    expected = torch.stack([gram(one, kernel=kernel, bandwidth=s * factor) for one, s in zip(f, own, strict=True)])
    torch.testing.assert_close(arfd._recalibrate(f), expected)
    plain = build("arfd", student, teacher, kernel=kernel, bandwidth=bandwidth)
    plain.load_state_dict(arfd.state_dict())
    values = [module(student, teacher, target)["arfd"] for module in (arfd, plain)]
    assert torch.equal(*values) == (kernel == "linear")


def test_arfd_bandwidth_factor_must_be_above_zero():
    student, teacher, _ = outputs()
    with pytest.raises(ValueError, match="bandwidth_factor must be above 0, found 0"):
        build("arfd", student, teacher, bandwidth_factor=0)


def test_arfd_adapts_both_sides_if_asked():
    student, teacher, target = outputs(widths=(3, 5))
    teacher.taps["tap"].requires_grad_()
    arfd = build("arfd", student, teacher, adapters="both")
    shapes = {name: tuple(p.shape) for name, p in arfd.named_parameters()}
    assert shapes["adapters.0.weight"] == (5, 3, 1, 1) and shapes["teacher_adapters.0.weight"] == (5, 5, 1, 1)
    value = arfd(student, teacher, target)["arfd"]
    value.backward()
    assert all(p.grad.abs().max() > 0 for p in (arfd.adapters[0].weight, arfd.teacher_adapters[0].weight))
    assert teacher.taps["tap"].grad is None, "the teacher itself learns nothing"
    one = build("arfd", student, teacher)
    one.adapters.load_state_dict(arfd.adapters.state_dict())
    nn.init.dirac_(arfd.teacher_adapters[0].weight)
    nn.init.zeros_(arfd.teacher_adapters[0].bias)
    torch.testing.assert_close(arfd(student, teacher, target)["arfd"], one(student, teacher, target)["arfd"])
    assert arfd.similarity(student, teacher) == pytest.approx(one.similarity(student, teacher))
    with pytest.raises(ValueError, match="adapters must be 'student', 'both' or 'none', found 'teacher'"):
        build("arfd", student, teacher, adapters="teacher")


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("samples", ["positions", "channels"])
@pytest.mark.parametrize("kernel", ["laplace", "gaussian"])
def test_arfd_is_the_mean_over_taps_of_its_plain_form(kernel, samples, channels_last):
    layout = torch.channels_last if channels_last else torch.contiguous_format
    shapes = {"one": (5, 6, 8), "like it": (5, 12, 16), "smaller": (4, 3, 5)}  # of the first two the samples are alike
    s, t = (
        Output(torch.zeros(2, C, 1, 1), {name: torch.randn(2, *shape).to(memory_format=layout) for name, shape in each})
        for each in ([(name, (3, *shape[1:])) for name, shape in shapes.items()], shapes.items())
    )
    for tap in s.taps.values():
        tap.requires_grad_()
    arfd = build("arfd", s, t, kernel=kernel, samples=samples, max_positions=48)
    expected = 0
    for name, adapter in zip(s.taps, arfd.adapters, strict=True):
        size = (6, 8) if name != "smaller" else (3, 5)
        maps = (F.adaptive_avg_pool2d(adapter(s.taps[name]), size), F.adaptive_avg_pool2d(t.taps[name], size))
        rows = [F.layer_norm(f.relu().flatten(2), (size[0] * size[1],)) for f in maps]
        rows = [f.mT for f in rows] if samples == "positions" else rows
        expected = expected + 1 - reference.cka(*(reference.gram(f, kernel=kernel) for f in rows)).mean()
    learnt = [*s.taps.values(), *arfd.parameters()]
    found, expected = arfd(s, t, None)["arfd"], expected / 3
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    for a, b in zip(torch.autograd.grad(found, learnt), torch.autograd.grad(expected, learnt), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-6)
    assert sum(arfd.similarity(s, t).values()) / 3 == pytest.approx(1 - found.item(), abs=1e-5)
