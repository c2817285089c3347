"""DWLD and LIX: the options, the weights, and what the controller learns."""

import pytest
import torch
from torch import nn
from two_layers import C, outputs

from lixlib.distillers import DWLD, DynamicWeightController, build
from lixlib.distillers.dwld import WEIGHTINGS
from lixlib.functional import blocks, decouple, dwld_loss
from lixlib.nets import Output
from tools.benchmarks.measure import peak_bytes


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("divergence", ["kl", "bregman"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"input": "teacher", "kind": "squares"},
        {"with_confidence": False, "features": "logits"},
        {"depth": 1, "kind": "max"},
        {"depth": 5, "dropout": 0.5, "hidden": 8, "temperature": 4.0},
    ],
)
def test_dwld_options(weighting, divergence, options):
    student, teacher, target = outputs()
    target[0, :3] = 255
    student.logits.requires_grad_()
    teacher.logits.requires_grad_()
    dwld = build("dwld", student, teacher, weighting=weighting, divergence=divergence, **options)
    value = dwld(student, teacher, target)["dwld"]
    value.backward()
    assert value.isfinite() and student.logits.grad.isfinite().all() and student.logits.grad.abs().max() > 0
    assert teacher.logits.grad is None
    assert (dwld.controller is None) == (weighting in ("closed-form", "confidence-gap", "focal"))
    assert all(p.grad.isfinite().all() for p in dwld.parameters())
    weights = dwld.weights(student, teacher, target)
    assert weights.shape == student.logits.shape and (weights > 0).all()
    if weighting != "normalised":
        assert weights.min() >= 1 and weights.max() <= 10


def test_the_weights_pass_no_gradient_to_the_student():
    student, teacher, target = outputs()
    student.logits.requires_grad_()
    for weighting in WEIGHTINGS:
        weights = build("dwld", student, teacher, weighting=weighting).weights(student, teacher, target)
        assert (
            not weights.requires_grad
            or torch.autograd.grad(weights.sum(), student.logits, allow_unused=True)[0] is None
        )


def test_closed_form_follows_the_confidence():
    student, teacher, _ = outputs()
    student.logits[0, :, 0, 0] = 0
    student.logits[0, :, 0, 1] = torch.tensor([100.0, 0, 0, 0])
    weights = build("dwld", student, teacher, weighting="closed-form", beta_min=2, beta_max=6).weights(student)
    torch.testing.assert_close(weights[0, :, 0, 0], torch.full((C,), 6.0))
    torch.testing.assert_close(weights[0, :, 0, 1], torch.full((C,), 2.0))


def test_confidence_gap_is_where_the_teacher_is_sure_and_the_student_is_not():
    student, teacher, _ = outputs()
    sure, unsure = torch.tensor([100.0, 0, 0, 0]), torch.zeros(C)
    pixels = {(0, 0): (unsure, sure, 6.0), (0, 1): (sure, unsure, 2.0), (0, 2): (sure, sure, 2.0)}
    for (row, column), (s, t, _) in pixels.items():
        student.logits[0, :, row, column], teacher.logits[0, :, row, column] = s, t
    dwld = build("dwld", student, teacher, weighting="confidence-gap", beta_min=2, beta_max=6)
    weights = dwld.weights(student, teacher)
    for (row, column), (_, _, expected) in pixels.items():
        torch.testing.assert_close(weights[0, :, row, column], torch.full((C,), expected))


def test_focal_grows_with_ncld():
    student, teacher, target = outputs()
    teacher.logits[0, :, 0, 0] = student.logits[0, :, 0, 0]
    dwld = build("dwld", student, teacher, weighting="focal", beta_min=2, beta_max=6)
    weights = dwld.weights(student, teacher, target)
    torch.testing.assert_close(weights[0, :, 0, 0], torch.full((C,), 2.0))
    ncld = decouple(student.logits, teacher.logits, target)[1]
    torch.testing.assert_close(weights[:, 0], 6 - 4 * (-ncld).exp())


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ({"weighting": "confidence-gap"}, "confidence-gap reads the teacher: pass it"),
        ({"weighting": "focal"}, "focal reads the teacher and the target: pass"),
        ({"weighting": "joint", "input": "teacher"}, "reads the teacher: pass it"),
    ],
)
def test_weights_say_what_they_need(options, missing):
    student, teacher, _ = outputs()
    with pytest.raises(ValueError, match=missing):
        build("dwld", student, teacher, **options).weights(student)


def test_normalised_keeps_the_mean():
    student, teacher, target = outputs()
    target[1, 2:] = 255
    dwld = build("dwld", student, teacher, weighting="normalised")
    nn.init.normal_(dwld.controller.mlp[-1].weight)
    weights = dwld.weights(student, teacher, target).movedim(1, -1)
    valid = target != 255
    non_target = ~nn.functional.one_hot(target[valid], C).bool()
    assert weights[valid][non_target].mean().item() == pytest.approx(5.5, rel=1e-5)


def test_lix_is_dwld_and_arfd():
    student, teacher, target = outputs()
    torch.manual_seed(1)
    lix = build(
        "lix",
        student,
        teacher,
        lambda_l=0.5,
        lambda_f=2,
        logit={"weighting": "closed-form"},
        feature={"kernel": "linear"},
    )
    torch.manual_seed(1)
    dwld = build("dwld", student, teacher, weight=0.5, weighting="closed-form")(student, teacher, target)
    arfd = build("arfd", student, teacher, weight=2, kernel="linear")(student, teacher, target)
    assert lix(student, teacher, target) == {**dwld, **arfd}


def train_toy(weighting, divergence="kl", steps=250):
    """Student logits and controller, trained on one pixel whose teacher is (.6, .3, .1) beside the target class."""
    teacher = Output(torch.log(torch.tensor([0.5, 0.3, 0.15, 0.05])).view(1, C, 1, 1), {})
    student = Output(torch.zeros(1, C, 1, 1, requires_grad=True), {})
    dwld = DWLD(student, teacher, weighting=weighting, divergence=divergence)
    optimizer = torch.optim.Adam([student.logits, *dwld.parameters()], lr=0.04)
    target = torch.zeros(1, 1, 1, dtype=torch.int64)
    for _ in range(steps):
        optimizer.zero_grad()
        dwld(student, teacher, target)["dwld"].backward()
        optimizer.step()
    q = student.logits.detach()[0, 1:, 0, 0].softmax(0)
    return q, dwld.weights(student).detach()[0, 1:, 0, 0]


def test_a_controller_trained_jointly_exploits_the_weighted_kl():
    q, w = train_toy("joint")
    torch.testing.assert_close(w, torch.tensor([1.0, 10, 10]), rtol=0, atol=0.3)
    torch.testing.assert_close(q, torch.tensor([0.13, 0.65, 0.22]), rtol=0, atol=0.03)  # the teacher says .6, .3, .1


@pytest.mark.parametrize("weighting", ["joint", "reversed", "closed-form"])
def test_bregman_finds_the_teacher_whatever_the_weights(weighting):
    q, _ = train_toy(weighting, "bregman")
    torch.testing.assert_close(q, torch.tensor([0.6, 0.3, 0.1]), rtol=0, atol=0.02)


def test_joint_weights_fall_and_reversed_weights_rise():
    student, teacher, target = outputs()
    moved = {}
    for weighting in ("joint", "reversed"):
        torch.manual_seed(0)
        dwld = build("dwld", student, teacher, weighting=weighting, divergence="bregman")
        before = dwld.weights(student).mean()
        optimizer = torch.optim.SGD(dwld.parameters(), lr=0.1)
        for _ in range(20):
            optimizer.zero_grad()
            dwld(student, teacher, target)["dwld"].backward()
            optimizer.step()
        moved[weighting] = (dwld.weights(student).mean() - before).item()
    assert moved["joint"] < -0.5 and moved["reversed"] > 0.5


def test_reversal_leaves_the_students_gradient():
    student, teacher, target = outputs()
    gradients = []
    for weighting in ("joint", "reversed"):
        torch.manual_seed(0)
        dwld = build("dwld", student, teacher, weighting=weighting)
        logits = student.logits.clone().requires_grad_()
        dwld(Output(logits, {}), teacher, target)["dwld"].backward()
        gradients.append((logits.grad, dwld.controller.mlp[0].weight.grad))
    assert torch.equal(gradients[0][0], gradients[1][0])
    assert torch.equal(gradients[0][1], -gradients[1][1])


@pytest.mark.parametrize("weighting", ["joint", "reversed"])
@pytest.mark.parametrize("divergence", ["kl", "bregman"])
@pytest.mark.parametrize("input", ["student", "teacher"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_weights_made_in_blocks_are_those_made_at_once(weighting, divergence, input, layout, monkeypatch):
    monkeypatch.setattr(blocks, "ENTRIES", C * 7)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    torch.manual_seed(0)
    shape = 3, C, 5, 9
    student, teacher = (Output(torch.randn(shape).contiguous(memory_format=layout), {}) for _ in range(2))
    target = torch.randint(C, (3, 5, 9))
    target[0, :3] = 255
    student.logits[0, :, 0] = teacher.logits[0, :, 0] = torch.nan
    student.logits.requires_grad_()
    dwld = build(
        "dwld", student, teacher, weight=0.3, weighting=weighting, divergence=divergence, input=input, temperature=2.0
    ).to(memory_format=layout)
    learnt = [student.logits, *dwld.parameters()]
    loss = dwld(student, teacher, target)["dwld"]
    weights = dwld.weights(student, teacher, target)
    expected = 0.3 * dwld_loss(student.logits, teacher.logits, target, weights, temperature=2.0, divergence=divergence)
    torch.testing.assert_close(loss, expected)
    of_logits, *found = torch.autograd.grad(loss, learnt)
    expected_of_logits, *expected = torch.autograd.grad(expected, learnt)
    torch.testing.assert_close(of_logits, expected_of_logits, rtol=1e-4, atol=1e-8)
    sign = -1 if weighting == "reversed" else 1
    torch.testing.assert_close(found, [sign * gradient for gradient in expected], rtol=1e-4, atol=1e-7)


def test_no_map_of_the_weights_is_written(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)  # more threads have larger blocks
    student, teacher = (Output(torch.randn(4, 19, 96, 320), {}) for _ in range(2))
    target = torch.randint(19, (4, 96, 320))
    student.logits.requires_grad_()
    dwld = build("dwld", student, teacher)
    peak = peak_bytes(lambda: dwld(student, teacher, target)["dwld"].backward(), target.device)
    assert peak <= 3 * student.logits.numel() * student.logits.element_size()


def test_controller_is_an_mlp_on_every_pixel():
    controller = DynamicWeightController(C, hidden=8)
    assert [m.out_channels for m in controller.mlp if isinstance(m, nn.Conv2d)] == [8, 8, C]
    assert controller.mlp[0].in_channels == C + 1
    logits = torch.randn(2, C, 3, 5)
    pixel = controller(logits[1:, :, 2:, 3:4])
    torch.testing.assert_close(controller(logits)[1:, :, 2:, 3:4], pixel)
