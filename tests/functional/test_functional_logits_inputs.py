"""kd_loss, decouple, dkd_loss, dwld_loss, confidence: extreme, ignored, missing and wrong inputs."""

import math

import pytest
import torch
from logit_losses import LOSSES, C, losses, make

from lixlib.functional import confidence, decouple, dkd_loss, dwld_loss, kd_loss, wsld_loss


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
