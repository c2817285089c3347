"""kd_loss, decouple, dkd_loss, dwld_loss, confidence: reference values, identities of the paper, extreme inputs."""

import math

import pytest
import torch
from torch import nn

from lixlib.functional import confidence, decouple, dkd_loss, dwld_loss, kd_loss, wsld_loss

C = 5
LOSSES = {
    "kd": lambda s, t, y, **k: kd_loss(s, t, y, **k),
    "dkd": lambda s, t, y, **k: dkd_loss(s, t, y, **k),
    "dwld-kl": lambda s, t, y, **k: dwld_loss(s, t, y, torch.linspace(1, 10, s.numel()).view_as(s), **k),
    "dwld-bregman": lambda s, t, y, **k: dwld_loss(s, t, y, 3.0, divergence="bregman", **k),
}
losses = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def make(shape=(2, C, 3, 7), scale=3.0, dtype=torch.float64, ignored=0.3):
    student = (scale * torch.randn(shape, dtype=dtype)).requires_grad_()
    teacher = (scale * torch.randn(shape, dtype=dtype)).requires_grad_()
    target = torch.randint(shape[1], shape[:1] + shape[2:])
    target[torch.rand(target.shape) < ignored] = 255
    return student, teacher, target


@pytest.mark.parametrize("loss", [*LOSSES.values(), wsld_loss], ids=[*LOSSES, "wsld"])
def test_no_pixel_at_all_costs_nothing(loss):
    for shape in ((0, C, 3, 7), (2, C, 0, 7)):
        student, teacher, target = make(shape)
        value = loss(student, teacher, target)
        value.backward()
        assert value == 0 and student.grad.shape == shape


@pytest.mark.parametrize("loss", [*LOSSES.values(), wsld_loss], ids=[*LOSSES, "wsld"])
def test_arrays_of_numpy_are_taken(loss):
    student, teacher, target = make()
    expected = loss(student, teacher, target)
    for kind in ("int64", "int32", "uint8", "uint16"):
        assert torch.equal(loss(student, teacher.detach().numpy(), target.numpy().astype(kind)), expected)


@pytest.mark.parametrize("loss", [*LOSSES.values(), wsld_loss], ids=[*LOSSES, "wsld"])
def test_a_teacher_of_another_precision(loss):
    student, teacher, target = make()
    expected = loss(student, teacher, target)
    torch.testing.assert_close(loss(student, teacher.float(), target), expected, rtol=1e-5, atol=1e-6)


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


def extremes(dtype=torch.float32):
    """Every combination of a large logit at the target or beside it, in the student or the teacher, and random ones."""
    rows = torch.tensor([[1e4, -1e4, -1e4, 0, 0], [-1e4, 1e4, -1e4, 0, 0], [0] * 5, [1e4] * 5, [-1e4] * 5])
    rows = torch.cat([rows, 1e4 * (2 * torch.rand(20, 5) - 1)]).to(dtype)
    pairs = torch.cartesian_prod(torch.arange(len(rows)), torch.arange(len(rows)))
    target = torch.arange(len(pairs)) % 5
    return rows[pairs[:, 0]].requires_grad_(), rows[pairs[:, 1]], target


@losses
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_extreme_logits(loss, temperature):
    student, teacher, target = extremes()
    value = loss(student, teacher, target, temperature=temperature)
    value.backward()
    assert value.isfinite() and student.grad.isfinite().all()
    exact = loss(student.detach().double(), teacher.double(), target, temperature=temperature)
    assert value.item() == pytest.approx(exact.item(), rel=1e-4)
    assert all(v.isfinite().all() for v in decouple(student, teacher, target))


@pytest.mark.parametrize("kind", ["negentropy", "entropy", "squares", "max"])
def test_confidence_of_extreme_logits(kind):
    logits, _, _ = extremes()
    value = confidence(logits, kind=kind)
    value.sum().backward()
    assert value.isfinite().all() and logits.grad.isfinite().all()


@losses
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(loss, dtype):
    student, teacher, target = make(dtype=dtype, scale=20)
    value = loss(student, teacher, target)
    value.backward()
    assert value.dtype == torch.float32 and student.grad.dtype == dtype and student.grad.isfinite().all()
    assert value.item() == pytest.approx(loss(student.float(), teacher.float(), target).item(), rel=1e-6)


@losses
def test_autocast(loss):
    student, teacher, target = make(dtype=torch.float32)
    expected = loss(student, teacher, target)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(loss(student, teacher, target), expected)


@losses
@pytest.mark.parametrize("shape", [(1, C, 4, 9), (6, C)])
def test_no_valid_pixel(loss, shape):
    student, teacher, target = make(shape, ignored=1.1)
    value = loss(student, teacher, target)
    value.backward()
    assert value == 0 and value.dim() == 0 and torch.equal(student.grad, torch.zeros_like(student))


@losses
def test_ignored_pixels_do_not_count(loss):
    student, teacher, target = make((1, C, 4, 9), ignored=0)
    target[:, 2:] = 255
    value = loss(student, teacher, target)
    value.backward()
    changed = student.detach().clone()
    changed[:, :, 2:] += 7
    assert loss(changed, teacher, target) == value
    assert (student.grad[:, :, 2:] == 0).all()


@losses
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["student", "teacher"])
def test_nothing_of_an_ignored_pixel_is_used(loss, bad, where):
    student, teacher, target = make((1, C, 4, 9), ignored=0)
    target[:, 2:] = 255
    expected = loss(student, teacher, target)
    expected.backward()
    kept, student.grad = student.grad, None
    with torch.no_grad():
        {"student": student, "teacher": teacher}[where][:, :, 2:] = bad
    value = loss(student, teacher, target)
    value.backward()
    assert torch.equal(value, expected) and torch.equal(student.grad, kept)


@pytest.mark.parametrize("loss", [kd_loss, dkd_loss, lambda s, t, y: dwld_loss(s, t, y, 8.0)])
def test_a_class_that_is_switched_off_costs_nothing(loss):
    student, teacher, target = make(ignored=0)
    target = target.clamp(max=C - 2)
    with torch.no_grad():
        student[:, -1], teacher[:, -1] = -math.inf, -math.inf
    value = loss(student, teacher, target)
    value.backward()
    rest = student.detach()[:, :-1].requires_grad_()
    expected = loss(rest, teacher[:, :-1], target)
    expected.backward()
    torch.testing.assert_close(value, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(student.grad[:, :-1], rest.grad, rtol=0, atol=1e-12)
    assert (student.grad[:, -1] == 0).all()


@losses
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_nan_at_a_labelled_pixel_is_seen(loss, scale):
    for which in (0, 1):
        inputs = make(scale=scale, ignored=0)
        with torch.no_grad():
            inputs[which][0, :, 1, 2] = math.nan
        assert loss(*inputs).isnan()


@losses
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.uint16, torch.int32])
def test_labels_of_any_integer_type(loss, dtype):
    student, teacher, target = make()
    assert torch.equal(loss(student, teacher, target.to(dtype)), loss(student, teacher, target))


def test_ignore_index_may_be_a_class():
    student, teacher, _ = make((3, C))
    both = dkd_loss(student, teacher, torch.tensor([0, 1, 2]), ignore_index=0)
    assert abs(both - dkd_loss(student[1:], teacher[1:], torch.tensor([1, 2]))) < 1e-12


def test_kd_without_target_is_the_mean_over_all_pixels():
    student, teacher, target = make(ignored=0)
    assert abs(kd_loss(student, teacher) - kd_loss(student, teacher, target)) < 1e-12


@losses
@pytest.mark.parametrize("label", [C, -1, 254])
def test_wrong_label(loss, label):
    student, teacher, target = make()
    target[1, 2, 3] = label
    with pytest.raises(ValueError, match=f"label {label} at image 1, row 2, column 3"):
        loss(student, teacher, target)
    with pytest.raises(ValueError, match=f"label {label} at row 4"):
        loss(student[:, :, 0, 0].repeat(3, 1), teacher[:, :, 0, 0].repeat(3, 1), torch.tensor([0, 1, 255, 0, label, 0]))


@losses
def test_wrong_shapes(loss):
    student, teacher, target = make()
    with pytest.raises(ValueError, match=r"\(2, 5, 3, 7\) and \(2, 5, 3, 6\)"):
        loss(student, teacher[..., :6], target)
    with pytest.raises(ValueError, match=r"target \(2, 3, 6\) and logits \(2, 5, 3, 7\)"):
        loss(student, teacher, target[..., :6])
    with pytest.raises(ValueError, match="integer labels"):
        loss(student, teacher, target.double())
    with pytest.raises(ValueError, match="temperature"):
        loss(student, teacher, target, temperature=0)


def test_one_class_has_no_other():
    student, teacher, target = make((4, 1), ignored=0)
    for loss in (dkd_loss, decouple):
        with pytest.raises(ValueError, match="at least 2 classes"):
            loss(student, teacher, target)


def test_wrong_weight_and_divergence():
    student, teacher, target = make()
    with pytest.raises(ValueError, match=r"\(2, 5, 3, 7\), found \(2, 1, 3, 7\)"):
        dwld_loss(student, teacher, target, torch.ones(2, 1, 3, 7))
    with pytest.raises(ValueError, match="kl, bregman"):
        dwld_loss(student, teacher, target, 1.0, divergence="js")


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
