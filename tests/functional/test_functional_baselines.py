"""Losses of the compared methods that need no module: reference values, definitions, extreme and degenerate inputs."""

import pytest
import torch
import torch.nn.functional as F

from lixlib.functional import (
    attention_transfer_loss,
    cwkd_loss,
    dist_loss,
    fitnet_loss,
    nst_loss,
    rkd_loss,
    sp_loss,
    wsld_loss,
)

C = 5
LOGIT = {
    "cwkd": lambda s, t, y, **k: cwkd_loss(s, t, **{k_: v for k_, v in k.items() if k_ == "temperature"}),
    "dist": dist_loss,
    "wsld": wsld_loss,
}
FEATURE = {
    "at": attention_transfer_loss,
    "fitnet": fitnet_loss,
    "nst": nst_loss,
    "rkd": rkd_loss,
    "sp": sp_loss,
}
logit = pytest.mark.parametrize("loss", LOGIT.values(), ids=LOGIT)
labelled = pytest.mark.parametrize("loss", [dist_loss, wsld_loss])
feature = pytest.mark.parametrize("name", FEATURE)
every = pytest.mark.parametrize("name", [*LOGIT, *FEATURE])


def make(name, batch=4, h=3, w=7, scale=3.0, dtype=torch.float64, ignored=0.3):
    """Arguments of a loss: logits and labels, or features."""
    student, teacher = (scale * torch.randn(batch, C, h, w, dtype=dtype) for _ in range(2))
    target = torch.randint(C, (batch, h, w))
    target[torch.rand(target.shape) < ignored] = 255
    inputs = student.requires_grad_(), teacher.requires_grad_()
    return (*inputs, target) if name in LOGIT else inputs


def loss_of(name):
    return {**LOGIT, **FEATURE}[name]


@pytest.mark.parametrize(
    "name, loss",
    [
        ("cwd_dense_T4", lambda g: cwkd_loss(g["student"], g["teacher"])),
        ("dist_dense_valid_b1_g1", lambda g: dist_loss(g["student"], g["teacher"], g["target"])),
        ("wsld_dense_valid_soft", lambda g: g["alpha"] * wsld_loss(g["student"], g["teacher"], g["target"])),
        ("at_p2", lambda g: attention_transfer_loss(g["student"], g["teacher"])),
        ("fitnet_mse", lambda g: fitnet_loss(g["student"], g["teacher"])),
        ("fitnet_conv1x1", lambda g: fitnet_loss(F.conv2d(g["student"], g["conv_weight"]), g["teacher"])),
        ("nst_poly", lambda g: nst_loss(g["student"], g["teacher"])),
        ("sp_feat", lambda g: sp_loss(g["student"], g["teacher"])),
        ("rkd_feat_both", lambda g: rkd_loss(g["student"], g["teacher"])),
    ],
)
def test_reference_values(golden, name, loss):
    g = golden(name)
    value = loss(g)
    value.backward()
    assert abs(value.item() - g["loss"]) < 1e-9
    torch.testing.assert_close(g["student"].grad, g["grad_student"], rtol=0, atol=1e-8)


@every
def test_gradient_goes_to_the_student_alone(name):
    loss, inputs = loss_of(name), make(name)
    value = loss(*inputs)
    value.backward()
    assert value.dim() == 0 and value.dtype == torch.float64 and value > 0
    assert inputs[0].grad.abs().max() > 0 and inputs[1].grad is None
    if name != "wsld":  # its weight is a constant to the gradient
        assert torch.autograd.gradcheck(lambda s: loss(s, *inputs[1:]), inputs[0])


@every
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(name, dtype):
    loss, (student, *others) = loss_of(name), make(name, dtype=dtype)
    value = loss(student, *others)
    value.backward()
    assert value.dtype == torch.float32 and student.grad.dtype == dtype and student.grad.isfinite().all()
    expected = loss(student.float(), others[0].float(), *others[1:])
    assert value.item() == pytest.approx(expected.item(), rel=1e-6)


@every
def test_autocast(name):
    loss, inputs = loss_of(name), make(name, dtype=torch.float32)
    expected = loss(*inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(loss(*inputs), expected)


@every
@pytest.mark.parametrize("constant", [False, True])
def test_extreme_inputs(name, constant):
    loss, (student, teacher, *target) = loss_of(name), make(name, dtype=torch.float32)
    values = torch.full_like(student, 1e4) if constant else 1e4 * (2 * torch.rand_like(student) - 1)
    values[0], values[1, 0] = -1e4, 1e4
    for s, t in ((values, -values), (values, teacher), (student, values), (values, values)):
        s = s.detach().clone().requires_grad_()
        value = loss(s, t, *target)
        value.backward()
        assert value.isfinite() and s.grad.isfinite().all()
        exact = loss(s.detach().double(), t.double(), *target)
        assert value.item() == pytest.approx(exact.item(), rel=1e-3, abs=1e-4)


@every
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("h, w", [(1, 1), (4, 9)])
def test_small_batches_and_maps(name, batch, h, w):
    inputs = make(name, batch, h, w, ignored=0)
    value = loss_of(name)(*inputs)
    value.backward()
    assert value.isfinite() and inputs[0].grad.isfinite().all()
    if name == "rkd" or (name, batch) == ("sp", 1):
        assert value == 0 and (inputs[0].grad == 0).all()


@every
def test_a_constant_student_has_a_finite_gradient(name):
    inputs = make(name, dtype=torch.float32)
    student = torch.zeros_like(inputs[0], requires_grad=True)
    loss_of(name)(student, *inputs[1:]).backward()
    assert student.grad.isfinite().all()


@every
def test_identical_networks_cost_nothing(name):
    student, _, *target = make(name)
    value = loss_of(name)(student, student.detach(), *target)
    if name != "wsld":  # a cross-entropy
        assert value.item() == pytest.approx(0, abs=1e-7)


@every
def test_wrong_shapes(name):
    student, teacher, *target = make(name)
    with pytest.raises(ValueError, match=r"\(4, 5, 3, 7\) and \(3, 5, 3, 7\)"):
        loss_of(name)(student, teacher[:3], *target)


# logits


@logit
def test_rows_are_pixels(loss):
    student, teacher, target = make("dist", batch=1)
    s, t = (v.movedim(1, -1).reshape(-1, C) for v in (student, teacher))
    assert abs(loss(student, teacher, target) - loss(s, t, target.flatten())) < 1e-12


@logit
def test_wrong_logits(loss):
    student, teacher, target = make("dist")
    with pytest.raises(ValueError, match=r"\(4, 5, 3, 7\) and \(4, 5, 3, 6\)"):
        loss(student, teacher[..., :6], target)
    with pytest.raises(ValueError, match="temperature"):
        loss(student, teacher, target, temperature=0)
    with pytest.raises(ValueError, match="found"):
        loss(student[0, 0, 0], teacher[0, 0, 0], target)


@labelled
@pytest.mark.parametrize("shape", [(1, C, 4, 9), (6, C)])
def test_no_valid_pixel(loss, shape):
    student, teacher = torch.randn(shape, requires_grad=True), torch.randn(shape)
    value = loss(student, teacher, torch.full(shape[:1] + shape[2:], 255))
    value.backward()
    assert value == 0 and value.dim() == 0 and torch.equal(student.grad, torch.zeros_like(student))


@labelled
def test_ignored_pixels_do_not_count(loss):
    student, teacher, target = make("dist", h=4, ignored=0)
    target[:, 2:] = 255
    value = loss(student, teacher, target, temperature=3.0)
    value.backward()
    assert (student.grad[:, :, 2:] == 0).all()
    alone = loss(student[:, :, :2], teacher[:, :, :2], target[:, :2], temperature=3.0)
    assert abs(value - alone) < 1e-12
    target[:, 2:] = 0
    other = loss(student, teacher, torch.where(target == 1, 255, target), ignore_index=255)
    assert other == loss(student, teacher, target, ignore_index=1)


@labelled
@pytest.mark.parametrize("label", [C, -1, 254])
def test_wrong_label(loss, label):
    student, teacher, target = make("dist")
    target[1, 2, 3] = label
    with pytest.raises(ValueError, match=f"label {label} at image 1, row 2, column 3"):
        loss(student, teacher, target)
    with pytest.raises(ValueError, match=r"target \(4, 3, 6\) and logits \(4, 5, 3, 7\)"):
        loss(student, teacher, target[..., :6])


def test_cwkd_does_not_see_a_constant_of_a_channel():
    student, teacher, _ = make("cwkd")
    assert abs(cwkd_loss(student + torch.randn(4, C, 1, 1), teacher) - cwkd_loss(student, teacher)) < 1e-12


def test_cwkd_by_definition():
    student, teacher, _ = make("cwkd")
    s, t = (x.flatten(2).div(2.5).softmax(2) for x in (student, teacher))
    expected = 2.5**2 * (t * (t / s).log()).sum(2).mean()
    assert abs(cwkd_loss(student, teacher, temperature=2.5) - expected) < 1e-12


def test_dist_by_definition():
    student, teacher, target = make("dist")
    rows = [(x / 2).movedim(1, -1)[target != 255].softmax(1) for x in (student, teacher)]
    inter, intra = (
        1 - torch.stack([torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(*p, strict=True)]).mean()
        for p in (rows, [x.T for x in rows])
    )
    found = dist_loss(student, teacher, target, beta=0.3, gamma=2.0, temperature=2.0)
    assert abs(found - 4 * (0.3 * inter + 2 * intra)) < 1e-6  # corrcoef adds no 1e-8
    everything = torch.zeros_like(target)
    assert abs(dist_loss(student, teacher) - dist_loss(student, teacher, everything)) < 1e-12


@pytest.mark.parametrize("labelled", [True, False])
def test_the_gradient_of_dist(labelled):
    student, teacher, target = make("dist", h=3)
    target = target if labelled else None
    options = {"beta": 0.3, "gamma": 2.0, "temperature": 2.0}
    assert torch.autograd.gradcheck(lambda s: 0.7 * dist_loss(s, teacher, target, **options), student)
    (first,) = torch.autograd.grad(dist_loss(student, teacher, target), student, create_graph=True)
    with pytest.raises(RuntimeError, match="no second derivative"):
        first.sum().backward()


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("logit", [0.0, 5.3])
def test_dist_of_constant_probabilities_gives_no_gradient(logit, temperature):
    """As a last layer that starts at zero has them: the quotient of two norms has a gradient of 4e6 there."""
    _, teacher, target = make("dist", dtype=torch.float32)
    student = torch.full_like(teacher, logit).requires_grad_()
    value = dist_loss(student, teacher, target, temperature=temperature)
    value.backward()
    assert value.item() == pytest.approx(2 * temperature**2) and (student.grad == 0).all()
    student = (logit + 1e-3 * torch.randn_like(teacher)).requires_grad_()
    dist_loss(student, teacher, target, temperature=temperature).backward()
    assert 0 < student.grad.abs().max() < 1e3


@pytest.mark.parametrize("loss", [cwkd_loss, dist_loss])
def test_a_class_that_is_switched_off_in_both(loss):
    student, teacher, _ = make("dist")
    with torch.no_grad():
        student[:, -1], teacher[:, -1] = -torch.inf, -torch.inf
    value = loss(student, teacher)
    value.backward()
    assert value.isfinite() and student.grad.isfinite().all() and (student.grad[:, -1] == 0).all()
    if loss is cwkd_loss:
        assert abs(value - (C - 1) / C * loss(student[:, :-1], teacher[:, :-1])) < 1e-12


def test_wsld_of_a_class_that_is_switched_off():
    student, teacher, target = make("wsld", ignored=0)
    target = target.clamp(max=C - 2)
    with torch.no_grad():
        student[:, -1], teacher[:, -1] = -torch.inf, -torch.inf
    value = wsld_loss(student, teacher, target)
    assert abs(value - wsld_loss(student[:, :-1], teacher[:, :-1], target)) < 1e-12
    assert wsld_loss(student, teacher, target.fill_(C - 1)).isfinite()


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@labelled
def test_nothing_of_an_ignored_pixel_is_used(loss, bad):
    student, teacher, target = make("dist", h=4, ignored=0)
    target[:, 2:] = 255
    expected = torch.autograd.grad(loss(student, teacher, target), student)[0]
    with torch.no_grad():
        student[:, :, 2:], teacher[:, :, 2:] = bad, bad
    assert torch.equal(torch.autograd.grad(loss(student, teacher, target), student)[0], expected)


def test_wsld_is_kd_where_the_student_is_far_worse():
    student = torch.tensor([[0.0, 50.0, 0.0]], dtype=torch.float64)
    teacher = torch.tensor([[5.0, 0.0, 0.0]], dtype=torch.float64)
    soft = -(teacher / 3).softmax(1) * (student / 3).log_softmax(1)
    for label, weight in ((0, 1.0), (1, 0.0)):
        found = wsld_loss(student, teacher, torch.tensor([label]), temperature=3.0)
        assert found.item() == pytest.approx(9 * weight * soft.sum().item(), abs=1e-6)


# features


@pytest.mark.parametrize("name", ["at", "nst", "rkd", "sp"])
@pytest.mark.parametrize(
    "student, teacher", [((3, 8, 12), (5, 4, 5)), ((3, 4, 5), (5, 8, 12)), ((3, 12, 5), (5, 6, 9))]
)
def test_channels_and_sizes_may_differ(name, student, teacher):
    s, t = (torch.randn(4, *shape, dtype=torch.float64) for shape in (student, teacher))
    loss = FEATURE[name]
    found = loss(s.requires_grad_(), t)
    found.backward()
    assert found > 0 and s.grad.isfinite().all()
    if name in ("at", "nst"):
        size = tuple(map(min, student[1:], teacher[1:]))
        assert abs(found - loss(*(F.adaptive_avg_pool2d(f, size) for f in (s, t)))) < 1e-12
        with pytest.raises(ValueError, match=r"\(B, C, H, W\)"):
            loss(s.flatten(2), t.flatten(2))


@pytest.mark.parametrize("p", [1, 1.5, 2, 3])
def test_at_by_definition(p):
    student, teacher = make("at")
    q_s, q_t = (f.abs().pow(p).mean(1).flatten(1) for f in (student, teacher))
    q_s, q_t = (q / q.norm(dim=1, keepdim=True) for q in (q_s, q_t))
    assert abs(attention_transfer_loss(student, teacher, p=p) - (q_s - q_t).square().mean()) < 1e-12
    with pytest.raises(ValueError, match="p must be at least 1"):
        attention_transfer_loss(student, teacher, p=0.5)


@feature
def test_dead_images_and_channels_get_no_gradient(name):
    student, teacher = make(name, dtype=torch.float32)
    with torch.no_grad():
        student[1], student[2, 3] = 0, 0
    FEATURE[name](student, teacher).backward()
    assert student.grad.abs().max() < 1e3
    if name in ("at", "nst"):
        assert (student.grad[1] == 0).all() and (student.grad[2, 3] == 0).all()


def test_fitnet_needs_one_shape():
    student, teacher = make("fitnet")
    with pytest.raises(ValueError, match=r"\(4, 5, 3, 7\) and \(4, 4, 3, 7\)"):
        fitnet_loss(student, teacher[:, :4])


def test_nst_is_a_discrepancy_of_channels():
    student, _ = make("nst")
    order = torch.randperm(C)
    assert nst_loss(student, student[:, order]).item() == pytest.approx(0, abs=1e-14)
    assert nst_loss(student, torch.cat([student, student], 1)).item() == pytest.approx(0, abs=1e-14)


def plain_rkd(student, teacher):
    """The definition as it is written, over all pairs and triples of (B, D)."""
    n, distances, angles = len(student), [], []
    for x in (student.flatten(1), teacher.flatten(1)):
        d = torch.stack([torch.stack([(a - b).norm() if a is not b else a.new_zeros(()) for b in x]) for a in x])
        distances.append(d / (d.sum() / (n * (n - 1))))
        e = F.normalize(x[None] - x[:, None], dim=2)
        angles.append(e @ e.mT)
    return 25 * F.smooth_l1_loss(*distances) + 50 * F.smooth_l1_loss(*angles)


@pytest.mark.parametrize("offset, spread", [(0, 1), (10, 1e-3), (1e4, 1)])
def test_rkd_of_nearly_equal_rows_is_exact(offset, spread):
    student, teacher = ((offset + spread * torch.randn(6, 512, dtype=torch.float64)).float() for _ in range(2))
    exact = student.double().requires_grad_()
    expected = plain_rkd(exact, teacher.double())
    expected.backward()
    found = rkd_loss(student.requires_grad_(), teacher)
    found.backward()
    assert found.dtype == torch.float32 and found.item() == pytest.approx(expected.item(), rel=1e-5)
    torch.testing.assert_close(student.grad.double(), exact.grad, rtol=1e-4, atol=1e-5 * exact.grad.abs().max().item())


def test_rkd_of_two_close_rows_among_others():
    student, teacher = (torch.randn(5, 64) for _ in range(2))
    student[1] = student[0] + 1e-4 * torch.randn(64)
    expected = plain_rkd(student.double(), teacher.double())
    assert rkd_loss(student, teacher).item() == pytest.approx(expected.item(), rel=1e-5)


def test_rkd_of_equal_rows():
    student, teacher = torch.randn(5, 64), torch.randn(5, 64)
    student[1] = student[3] = student[0]
    for rows in (student, student[:1].expand(5, -1).clone()):
        rows.requires_grad_()
        value = rkd_loss(rows, teacher)
        value.backward()
        assert value > 0 and rows.grad.isfinite().all() and rows.grad.abs().max() < 1e3


def test_rkd_is_blind_to_scale_and_motion():
    student, teacher = (torch.randn(6, 8, dtype=torch.float64) for _ in range(2))
    moved = 3 * student @ torch.linalg.qr(torch.randn(8, 8, dtype=torch.float64)).Q + 7
    assert abs(rkd_loss(student, teacher) - rkd_loss(moved, teacher)) < 1e-12
    assert rkd_loss(student, moved) < 1e-12
    parts = rkd_loss(student, teacher, angle_weight=0), rkd_loss(student, teacher, distance_weight=0)
    assert abs(sum(parts) - rkd_loss(student, teacher)) < 1e-12 and min(parts) > 0
