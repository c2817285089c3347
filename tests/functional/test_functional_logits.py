"""kd_loss, decouple, dkd_loss, dwld_loss, confidence: reference values and identities of the paper."""

import math

import pytest
import torch
from logit_losses import LOSSES, C, losses, make
from torch import nn

from lixlib.functional import confidence, decouple, dkd_loss, dwld_loss, kd_loss


@pytest.mark.parametrize("name, loss", [("kd_dense_valid_T4", kd_loss), ("dkd_dense_valid_a1_b8_T4", dkd_loss)])
def test_reference_values(golden, name, loss):
    g = golden(name)
    value = loss(g["student"], g["teacher"], g["target"], temperature=g["T"], ignore_index=g["ignore"])
    value.backward()
    assert abs(value.item() - g["loss"]) < 1e-9
    torch.testing.assert_close(g["student"].grad, g["grad_student"], rtol=0, atol=1e-8)


def test_reference_decomposition(golden):
    g = golden("dkd_decomposition_T1")
    for found, name in zip(decouple(g["student"], g["teacher"], g["target"]), ("tckd", "nckd", "kl"), strict=True):
        torch.testing.assert_close(found.detach(), g[name], rtol=0, atol=1e-9)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("classes", [2, 5])
def test_kl_is_tcld_plus_weighted_ncld(classes, temperature):
    student, teacher, target = make((2, classes, 3, 7))
    tcld, ncld, kl = decouple(student, teacher, target, temperature=temperature)
    valid = target != 255
    p_t = (teacher / temperature).softmax(1).gather(1, target.where(valid, 0).unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(kl[valid], (tcld + (1 - p_t) * ncld)[valid], rtol=0, atol=1e-12)
    for values in (tcld, ncld, kl):
        assert values.shape == target.shape and (values[~valid] == 0).all()
    if classes == 2:
        assert (ncld == 0).all()


def test_gradient_is_equation_5():
    student, teacher, target = make((40, C), ignored=0)
    alpha, beta = 1.5, 4.0
    dkd_loss(student, teacher, target, alpha=alpha, beta=beta).backward()
    p_s, p_t = student.detach().softmax(1), teacher.detach().softmax(1)
    rows = torch.arange(len(target))
    q_s, q_t = (p.scatter(1, target.unsqueeze(1), 0) for p in (p_s, p_t))
    q_s, q_t = (q / q.sum(1, keepdim=True) for q in (q_s, q_t))
    gap = (p_t - p_s)[rows, target].unsqueeze(1)
    expected = alpha * gap * q_s + beta * (q_s - q_t)  # the non-target logits do get a gradient from NCLD
    expected[rows, target] = -alpha * gap.squeeze(1)
    torch.testing.assert_close(student.grad, expected / len(target), rtol=0, atol=1e-14)
    assert teacher.grad is None


def test_ncld_gives_the_target_logit_exactly_no_gradient():
    student, teacher, target = make((40, C), ignored=0, dtype=torch.float32)
    dkd_loss(student, teacher, target, alpha=0.0).backward()
    assert student.grad.gather(1, target.unsqueeze(1)).abs().max() < 1e-8


@pytest.mark.parametrize("divergence", ["kl", "bregman"])
@pytest.mark.parametrize("as_tensor", [False, True])
def test_constant_weight_is_dkd(divergence, as_tensor):
    student, teacher, target = make()
    weight = torch.full_like(student, 8.0) if as_tensor else 8.0
    found = dwld_loss(student, teacher, target, weight, temperature=3.0, divergence=divergence)
    expected = dkd_loss(student, teacher, target, alpha=1.0, beta=8.0, temperature=3.0)
    assert abs(found - expected) < 1e-12
    (found - expected).backward()
    assert student.grad.abs().max() < 1e-12


def q_logits(*q):
    """Logits whose target class is 0 and whose non-target distribution is q. **Shapes**: -> (1, C)."""
    return torch.tensor([[0.0, *(math.log(v) for v in q)]], dtype=torch.float64)


def ncld(student, teacher, weight, divergence):
    target = torch.zeros(1, dtype=torch.int64)
    weight = torch.tensor([[1.0, *weight]], dtype=torch.float64)
    tcld = decouple(student, teacher, target)[0].mean()
    return (dwld_loss(student, teacher, target, weight, divergence=divergence) - tcld).item()


def test_weighted_kl_can_be_negative_and_bregman_cannot():
    student, teacher = q_logits(0.9, 0.1), q_logits(0.5, 0.5)
    assert ncld(student, teacher, (10, 1), "kl") == pytest.approx(-2.13, abs=5e-3)
    assert ncld(student, teacher, (10, 1), "bregman") > 0


@pytest.mark.parametrize("weight", [(1, 10, 3), (10, 1, 1)])
def test_bregman_is_least_where_student_is_teacher(weight):
    teacher = q_logits(0.6, 0.3, 0.1)
    assert ncld(teacher, teacher, weight, "bregman") == 0
    for _ in range(50):
        assert ncld(teacher + torch.randn(1, 4), teacher, weight, "bregman") > 0
    same = teacher.clone().requires_grad_()
    target = torch.zeros(1, dtype=torch.int64)
    w = torch.tensor([[1.0, *weight]], dtype=torch.float64)
    for divergence, stationary in (("bregman", True), ("kl", False)):
        same.grad = None
        dwld_loss(same, teacher, target, w, divergence=divergence).backward()
        assert (same.grad.abs().max() < 1e-12) == stationary


def plain_dwld(student, teacher, weight, target, temperature, divergence):
    """LIX Eq. (9) as it is written, for ordinary logits without ignored pixels; autograd finds its gradient."""
    hit = nn.functional.one_hot(target, C).movedim(-1, 1).bool()
    p_s, p_t = ((logits / temperature).softmax(1) for logits in (student, teacher))
    b_s, b_t = (torch.stack([(p * hit).sum(1), (p * ~hit).sum(1)]) for p in (p_s, p_t))
    q_s, q_t = (p.masked_fill(hit, 0) / b[1].unsqueeze(1) for p, b in ((p_s, b_s), (p_t, b_t)))
    terms = q_t * (q_t.masked_fill(hit, 1).log() - q_s.masked_fill(hit, 1).log())
    if divergence == "bregman":
        terms = terms - q_t + q_s
    return temperature**2 * ((b_t * (b_t / b_s).log()).sum(0) + (weight * terms).sum(1)).mean()


@pytest.mark.parametrize("divergence", ["kl", "bregman"])
@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("kind", ["a weight per class", "one weight", "a number"])
def test_the_backward_pass_of_dwld_is_the_gradient_of_equation_9(divergence, temperature, kind):
    student, teacher, target = make(ignored=0)
    weight = {"a weight per class": 1 + 9 * torch.rand_like(student), "one weight": torch.tensor(7.0).double()}.get(
        kind, 3
    )
    inputs = [tensor.requires_grad_() for tensor in (student, weight) if isinstance(tensor, torch.Tensor)]
    options = {"temperature": temperature, "divergence": divergence}
    found = dwld_loss(student, teacher, target, weight, **options)
    expected = plain_dwld(student, teacher, weight, target, **options)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    # scaled, as by lambda_L
    found, expected = (torch.autograd.grad(0.3 * loss, inputs) for loss in (found, expected))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("loss", [kd_loss, dkd_loss])
def test_second_derivatives(loss):
    student, teacher, target = make((2, 4, 2, 2))
    assert torch.autograd.gradgradcheck(lambda s: loss(s, teacher, target, temperature=2.0), student)


@pytest.mark.parametrize("divergence", ["kl", "bregman"])
@pytest.mark.parametrize("learnt", ["student", "weight"])
def test_dwld_refuses_a_second_derivative(learnt, divergence):
    student, teacher, target = make()
    scale = torch.ones((), dtype=torch.float64, requires_grad=True)  # where student or weight comes from
    weight = 1 + torch.rand_like(student)
    inputs = (scale * student.detach(), weight) if learnt == "student" else (student.detach(), scale * weight)
    loss = dwld_loss(inputs[0], teacher, target, inputs[1], divergence=divergence)
    (first,) = torch.autograd.grad(loss, scale, retain_graph=True)
    (again,) = torch.autograd.grad(loss, scale, create_graph=True)
    assert first == again
    with pytest.raises(RuntimeError, match="DWLD.* has no second derivative"):
        torch.autograd.grad(again, scale, retain_graph=True)
    # also as one term of several, where the others have one
    (again,) = torch.autograd.grad(loss + scale**3, scale, create_graph=True)
    with pytest.raises(RuntimeError, match="DWLD"):
        torch.autograd.grad(again, scale)


def test_gradient_reaches_the_weights():
    student, teacher, target = make()
    weight = torch.rand_like(student).requires_grad_()
    dwld_loss(student, teacher, target, weight).backward()
    valid = target != 255
    assert (weight.grad.movedim(1, -1)[~valid] == 0).all() and (weight.grad.movedim(1, -1)[valid] != 0).any(1).all()
    at_target = weight.grad.gather(1, target.where(valid, 0).unsqueeze(1))
    assert (at_target == 0).all()


@losses
def test_rows_are_pixels(loss):
    student, teacher, target = make()
    s, t = (v.movedim(1, -1).reshape(-1, C) for v in (student, teacher))
    weights = torch.linspace(1, 10, student.numel()).view_as(student)
    if loss is LOSSES["dwld-kl"]:
        w = weights.movedim(1, -1).reshape(-1, C)
        assert abs(loss(student, teacher, target) - dwld_loss(s, t, target.flatten(), w)) < 1e-12
    else:
        assert abs(loss(student, teacher, target) - loss(s, t, target.flatten())) < 1e-12
    maps = decouple(student, teacher, target)
    for a, b in zip(maps, decouple(s, t, target.flatten()), strict=True):
        torch.testing.assert_close(a.flatten(), b)


@losses
def test_identical_networks_cost_nothing(loss):
    student, _, target = make(dtype=torch.float32, scale=50)
    value = loss(student, student.detach(), target)
    value.backward()
    assert value == 0


def test_kd_without_target_is_the_mean_over_all_pixels():
    student, teacher, target = make(ignored=0)
    assert abs(kd_loss(student, teacher) - kd_loss(student, teacher, target)) < 1e-12


@pytest.mark.parametrize(
    "kind, flat, sure",
    [("negentropy", 0.0, 1.0), ("entropy", math.log(C), 0.0), ("squares", 1 / C, 1.0), ("max", 1 / C, 1.0)],
)
def test_confidence(kind, flat, sure):
    logits = torch.zeros(2, C, 3, 4, dtype=torch.float64)
    torch.testing.assert_close(confidence(logits, kind=kind), torch.full((2, 3, 4), flat, dtype=torch.float64))
    logits[:, 1] = 1e3
    torch.testing.assert_close(confidence(logits, kind=kind), torch.full((2, 3, 4), sure, dtype=torch.float64))
    with pytest.raises(ValueError, match="negentropy, entropy, squares, max"):
        confidence(logits, kind="variance")
