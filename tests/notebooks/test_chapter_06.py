"""Chapter 06 writes ARFD and its gradient out by hand: the same as the library's, on random maps."""

import pytest
import torch
from notebook_code import definitions
from torch import nn

from lixlib import checkpoints, data
from lixlib.course.exercises import verdict
from lixlib.distillers import ARFD
from lixlib.functional import cka, gram
from lixlib.nets import Output

CHAPTER = definitions("06_arfd_loss")


def random_taps(sizes, channels, scale=1.0):
    return {name: scale * torch.randn(2, channels, *size) for name, size in sizes.items()}


@pytest.mark.parametrize("scale", [1.0, 300.0])
@pytest.mark.parametrize("smaller", ["student", "teacher"])
def test_loss_and_gradient_are_the_librarys(smaller, scale):
    large, small = {"early": (9, 14), "late": (4, 3)}, {"early": (5, 7), "late": (4, 3)}
    sizes = (small, large) if smaller == "student" else (large, small)
    student, teacher = random_taps(sizes[0], 5, scale), random_taps(sizes[1], 7)
    loss = ARFD(Output(None, student), Output(None, teacher), max_positions=20)
    adapters = dict(zip(loss.taps, loss.adapters, strict=True))
    for f in student.values():
        f.requires_grad_()
    inputs = [*student.values(), *loss.parameters()]
    ours = CHAPTER["arfd"](student, teacher, adapters, 20)
    logits = torch.zeros(2, 3, 4, 4)
    theirs = loss(Output(logits, student), Output(logits, teacher), None)["arfd"]
    torch.testing.assert_close(ours, theirs)
    for a, b in zip(torch.autograd.grad(ours, inputs), torch.autograd.grad(theirs, inputs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4 * b.abs().max().item())


@pytest.mark.parametrize("measure", ["cosine", "euclidean", "pearson", "cka"])
@pytest.mark.parametrize("kernel", ["laplace", "gaussian", "linear", "none"])
def test_every_combination_is_the_librarys(kernel, measure):
    sizes = {"tap": (4, 6)}
    student, teacher = random_taps(sizes, 5), random_taps(sizes, 5)
    loss = ARFD(Output(None, student), Output(None, teacher), kernel=kernel, measure=measure)
    pair = CHAPTER["align"](student["tap"], teacher["tap"], loss.adapters[0], 256)
    features = [CHAPTER["recalibrate"](f, kernel) for f in pair]
    losses = CHAPTER["one_minus"](*features, measure, kernel != "none")
    logits = torch.zeros(2, 3, 4, 4)
    expected = loss(Output(logits, student), Output(logits, teacher), None)["arfd"]
    assert losses.shape == (2,)
    torch.testing.assert_close(losses.mean(), expected)


@pytest.mark.parametrize(("n", "d", "scale"), [(12, 4, 1.0), (5, 9, 1e-3), (8, 3, 1e3)])
def test_springs_are_minus_the_gradient(n, d, scale):
    f = (scale * torch.randn(n, d, dtype=torch.float64)).requires_grad_()
    target = gram(torch.randn(n, 6, dtype=torch.float64), kernel="laplace")
    (gradient,) = torch.autograd.grad(1 - cka(gram(f, kernel="laplace"), target), f)
    forces = CHAPTER["forces"](f.detach(), target)
    torch.testing.assert_close(forces, -gradient, rtol=1e-9, atol=1e-12 / scale)


def test_the_wish_is_minus_the_gradient_and_balanced():
    k = gram(torch.randn(9, 4, dtype=torch.float64), kernel="laplace").requires_grad_()
    target = gram(torch.randn(9, 3, dtype=torch.float64), kernel="gaussian")
    (gradient,) = torch.autograd.grad(1 - cka(k, target), k)
    wish = CHAPTER["wish"](k.detach(), target)
    torch.testing.assert_close(wish, -gradient)
    assert wish.sum(0).abs().max() < 1e-12


def test_by_hand_on_a_constant_channel():
    f = torch.randn(2, 3, 4, 5)
    f[:, 1] = -1.0  # dead after the ReLU
    aligned = CHAPTER["standardise"](f)
    assert aligned.isfinite().all() and (aligned[..., 1] == 0).all()
    similarity = CHAPTER["similarity"](CHAPTER["laplace"](aligned), CHAPTER["laplace"](aligned))
    torch.testing.assert_close(similarity, torch.ones(2))


def test_each_view_is_blind_to_the_others_order():
    s, t = torch.randn(2, 10, 6), torch.randn(2, 10, 6)
    view = CHAPTER["view"]
    assert view(s[:, torch.randperm(10)], t, "channels") == pytest.approx(view(s, t, "channels"), abs=1e-5)
    assert view(s[:, :, torch.randperm(6)], t, "positions") == pytest.approx(view(s, t, "positions"), abs=1e-5)


def test_the_unused_adapter_of_the_teacher_is_none():
    on_student, on_teacher, losses = run_race(both=False)
    assert isinstance(on_teacher, nn.Identity) and losses[-1] < losses[0]
    assert on_student.weight.shape == (4, 3, 1, 1)
    assert isinstance(run_race(both=True)[1], nn.Conv2d)


def run_race(both):
    return CHAPTER["race"](torch.randn(3, 3, 2, 4), torch.randn(3, 4, 2, 4), both, steps=5)


def test_channels_that_trade_places_leave_the_matrix_and_positions_do_not():
    f = torch.randn(12, 8)
    same, traded = (CHAPTER["traded"](count, torch.randperm(8)) for count in (0, 8))
    assert same.tolist() == list(range(8)) and sorted(traded.tolist()) == list(range(8))
    assert not (traded == torch.arange(8)).any()
    k = CHAPTER["laplace"](f[None])
    torch.testing.assert_close(CHAPTER["laplace"](f[None, :, traded]), k)
    moved = CHAPTER["laplace"](f[None, CHAPTER["traded"](12, torch.randperm(12))])
    assert (moved - k).abs().max() > 0.1


def test_the_prediction_is_what_the_two_views_do():
    s, t = torch.randn(2, 30, 6), torch.randn(2, 30, 6)
    one = torch.nn.functional.one_hot(torch.tensor(3), 6)
    done = [s[:, torch.randperm(30)], s[:, :, torch.randperm(6)], 2 * s, s + one, s * (1 - 2 * one)]
    views = ("positions", "channels")
    noticed = [[int(abs(CHAPTER["view"](f, t, by) - CHAPTER["view"](s, t, by)) > 1e-4) for by in views] for f in done]
    assert verdict("06.2", lambda: noticed).startswith("Correct")


def test_conv5_is_high_for_the_layout_not_for_few_samples():
    files = [checkpoints.shipped(f"toydrive-mfnet-{name}") for name in ("student", "teacher")]
    (student, stored), (teacher, _) = (checkpoints.load(file) for file in files)
    recipe = stored["recipe"]
    frames = data.load(
        "toydrive", "test", eval_count=8, size=tuple(recipe["size"]), difficulty=recipe["data"]["difficulty"]
    )
    rgb, x = (torch.stack([getattr(frame, key) for frame in frames]) for key in ("rgb", "x"))
    with torch.no_grad():
        s, t = (CHAPTER["sheet"](out.taps["conv5"], (3, 10)) for out in (student(rgb), teacher(rgb, x)))
    k, target = (gram(f) for f in (s, t))
    shuffled = [order for order in (torch.randperm(30) for _ in range(200))]
    floor = torch.stack([cka(k, target[:, order][:, :, order]).mean() for order in shuffled]).mean()
    right, wrong = (cka(k, other).mean() for other in (target, target.roll(1, 0)))
    assert floor < 0.35 and wrong > 0.8 and right - wrong < 0.05
