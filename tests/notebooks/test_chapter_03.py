"""Chapter 03: what it writes out is what the library does, and what it derives holds."""

import itertools

import pytest
import torch
from notebook_code import definitions

from lixlib import checkpoints, data
from lixlib.functional import dkd_loss, dwld_loss

CHAPTER = "03_dwld_loss"
OPTIONS = [
    {"temperature": temperature, "divergence": divergence}
    for temperature, divergence in itertools.product((1.0, 4.0), ("kl", "bregman"))
]


@pytest.fixture(scope="module")
def chapter():
    return definitions(CHAPTER)


def make(seed, scale, shape=(2, 7, 5, 9)):
    """Student and teacher logits, labels, weights in [1, 10]."""
    generator = torch.Generator().manual_seed(seed)
    student, teacher = scale * torch.randn(2, *shape, dtype=torch.float64, generator=generator)
    target = torch.randint(shape[1], (shape[0], *shape[2:]), generator=generator)
    return student, teacher, target, 1 + 9 * torch.rand(shape, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("seed, scale", [(0, 1), (1, 5), (2, 100)])
def test_plain_loss_and_hand_written_gradient_are_the_librarys(chapter, seed, scale, options):
    arguments = make(seed, scale)
    expected = dwld_loss(*arguments, **options)
    torch.testing.assert_close(chapter["dwld_plain"](*arguments, **options), expected, rtol=1e-12, atol=1e-12)
    by_hand = chapter["dwld_gradient"](*arguments, **options)
    for loss in (chapter["dwld_plain"], dwld_loss):
        found = chapter["gradients"](loss, *arguments, **options)
        torch.testing.assert_close(found, by_hand, rtol=1e-9, atol=1e-12)


def test_constant_weight_is_dkd(chapter):
    student, teacher, target, _ = make(3, 4)
    found = chapter["dwld_plain"](student, teacher, target, 8.0, 2.0)
    torch.testing.assert_close(found, dkd_loss(student, teacher, target, beta=8.0, temperature=2.0))


@pytest.mark.parametrize("delta", [1e4, 1e9])
def test_matrix_forms_are_the_split(chapter, delta):
    student, _, target, _ = make(4, 5, (40, 6))
    g, p, b, q = chapter["matrix_forms"](student, target, delta)
    hit, miss, log_q = chapter["split"](student, g.bool())
    torch.testing.assert_close(p, student.softmax(1))
    torch.testing.assert_close(b, torch.stack([hit, miss], 1).exp())
    torch.testing.assert_close(q, log_q.exp().masked_fill(g.bool(), 0))


def distributions(seed, count=6, classes=4):
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(count, classes, dtype=torch.float64, generator=generator)).softmax(1)


@pytest.mark.parametrize("seed", range(3))
def test_slope_is_the_derivative(chapter, seed):
    teacher, weight = distributions(seed), 1 + 9 * torch.rand(6, 4, dtype=torch.float64)
    z = distributions(seed + 10).log().requires_grad_()
    for divergence in ("kl", "bregman"):
        (expected,) = torch.autograd.grad((weight * chapter["elements"](teacher, z.softmax(1), divergence)).sum(), z)
        torch.testing.assert_close(chapter["slope"](teacher, z.softmax(1), weight, divergence).detach(), expected)


@pytest.mark.parametrize("seed", range(3))
def test_the_minimum_lies_at_the_weighted_teacher_and_has_the_value_of_the_floor(chapter, seed):
    teacher, weight = distributions(seed), 1 + 9 * torch.rand(6, 4, dtype=torch.float64)
    best = chapter["minimiser"](teacher, weight)
    lowest = (weight * chapter["elements"](teacher, best)).sum(1)
    torch.testing.assert_close(chapter["floor"](teacher, weight), lowest)
    assert (lowest <= 1e-12).all()
    assert chapter["slope"](teacher, best, weight, "kl").abs().max() < 1e-12
    for _ in range(20):
        other = (best.log() + torch.randn_like(best)).softmax(1)
        assert ((weight * chapter["elements"](teacher, other)).sum(1) >= lowest).all()
        assert (chapter["elements"](teacher, other, "bregman") >= -1e-15).all()


@pytest.mark.parametrize(
    "start, weights, student",
    [
        ([1 / 3] * 3, (1, 10, 10), (0.13, 0.65, 0.22)),
        ([0.58, 0.21, 0.21], (10, 1, 1), (0.937, 0.047, 0.016)),  # a student that exaggerates the first class
    ],
)
def test_student_and_weights_agree_against_the_teacher(chapter, start, weights, student):
    teacher, start = torch.tensor([[0.6, 0.3, 0.1], start], dtype=torch.float64)
    w, q = chapter["play"](teacher, start, "kl", 2000)
    assert w[-1].tolist() == pytest.approx(weights, abs=0.15)
    assert q[-1].tolist() == pytest.approx(student, abs=5e-3)


def test_with_bregman_weights_only_fall_and_the_student_ends_at_the_teacher(chapter):
    teacher, start = torch.tensor([[0.6, 0.3, 0.1], [1 / 3] * 3], dtype=torch.float64)
    w, q = chapter["play"](teacher, start, "bregman", 500)
    assert (w.diff(dim=0) <= 1e-12).all()
    torch.testing.assert_close(q[-1], teacher)


def test_a_calibrated_student_leaves_no_class_to_turn_up(chapter):
    """The argument of section 6: Jensen's inequality over the pixels that look alike to a controller."""
    generator = torch.Generator().manual_seed(0)
    teachers = (2 * torch.randn(3000, 5, dtype=torch.float64, generator=generator)).softmax(1)
    average = teachers.mean(0)
    terms = chapter["elements"](teachers, average)
    assert (terms < 0).any(1).double().mean() > 0.9, "in a single pixel, a class is overstated"
    assert (terms.mean(0) > 0).all(), "on average, none is"
    student = (average.log() + torch.tensor([2.0, 0, 0, 0, 0])).softmax(0)
    mean = chapter["elements"](teachers, student).mean(0)
    assert mean[0] < 0 and (mean >= chapter["elements"](average, student) - 1e-12).all()


@pytest.mark.parametrize("lead", [-20.0, 0.0, 30.0, 100.0])
def test_delta_must_exceed_the_lead_of_the_target_by_17(chapter, lead):
    others = torch.tensor([0.0, 1.0, -2.0, 0.5])
    z = torch.cat([others.logsumexp(0, keepdim=True) + lead, others])[None]
    g = torch.tensor([[1.0, 0, 0, 0, 0]])
    exact = others.double().softmax(0)

    def error(delta):
        return ((z - delta * g).softmax(1)[0, 1:].double() - exact).abs().max()

    assert error(lead + 17) < 1e-6 < error(lead + 10)
    if lead > 20:
        assert error(z.max() + 5) > 1e-4, "larger than any logit is not enough"


def test_the_first_choice_of_a_student_is_overstated_where_its_weight_counts(chapter):
    """The rule of section 9 lowers the loss of frames that it has not been made for, without teacher or label."""
    nets = [checkpoints.load(checkpoints.shipped(f"toydrive-mfnet-{role}")) for role in ("student", "teacher")]
    recipe = nets[0][1]["recipe"]
    frames = data.load("toydrive", "test", size=recipe["size"], eval_count=4, difficulty=recipe["data"]["difficulty"])
    batch = data.collate(list(frames))
    with torch.no_grad():
        z_s, z_t = nets[0][0](batch.rgb).logits.double(), nets[1][0](batch.rgb, batch.x).logits.double()
    is_target = torch.zeros_like(z_s, dtype=torch.bool).scatter(1, batch.label[:, None], True)
    log_s, log_t = (chapter["split"](z, is_target)[2] for z in (z_s, z_t))
    d = (log_t.exp() * (log_t - log_s)).masked_fill(is_target, 0)
    first = torch.zeros_like(is_target).scatter(1, z_s.argmax(1, keepdim=True), True)
    assert d[first & ~is_target].mean() < -0.03 and d[~first & ~is_target].mean() > 0.02
    for frame, own in zip(d, first, strict=True):
        assert (frame * (1 + 9 * own)).sum(0).mean() < frame.sum(0).mean()
