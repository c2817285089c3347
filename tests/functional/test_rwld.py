"""Rarity weights and the divergence that they weight: what chapter 02 and the docs say of them."""

import pytest
import torch

from lixlib.functional import kd_loss, rarity_weights, rwld_loss


@pytest.fixture
def batch():
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 2, 5, 3, 4, dtype=torch.float64)
    target = torch.randint(5, (2, 3, 4))
    target[0, 0] = 255
    return student.requires_grad_(), teacher, target


def test_with_equal_weights_it_is_kd(batch):
    torch.testing.assert_close(rwld_loss(*batch, torch.ones(5)), kd_loss(*batch))
    torch.testing.assert_close(rwld_loss(*batch, rarity_weights(batch[1], gamma=0)), kd_loss(*batch))


def test_it_is_least_where_the_student_is_the_teacher_whatever_the_weights(batch):
    _, teacher, target = batch
    for _ in range(10):
        weight = 100 * torch.rand(5, dtype=torch.float64) + 1e-3
        student = teacher.clone().requires_grad_()
        loss = rwld_loss(student, teacher, target, weight)
        loss.backward()
        assert abs(loss) < 1e-12 and student.grad.abs().max() < 1e-12
        assert rwld_loss(teacher + torch.randn_like(teacher), teacher, target, weight) > 0


def test_a_rare_class_has_a_large_weight_and_none_exceeds_the_bound():
    logits = torch.zeros(1, 3, 10, 10)
    logits[:, 0] = 20
    logits[:, 1, 0] = 25  # seen in one row of ten
    weights = rarity_weights(logits)
    torch.testing.assert_close(weights[:2], torch.tensor([1 / (3 * 0.9), 1 / (3 * 0.1)]), rtol=0.05, atol=0)
    assert weights[2] == pytest.approx(100)  # never seen
    assert rarity_weights(logits, gamma=0.5)[2] == pytest.approx(10)


def test_ignored_pixels_are_not_counted(batch):
    _, teacher, target = batch
    changed = teacher.clone()
    changed[0, 3, 0] += 50
    assert torch.equal(rarity_weights(teacher, target), rarity_weights(changed, target))
    assert not torch.equal(rarity_weights(teacher), rarity_weights(changed))


def test_it_refuses_a_second_derivative_and_weights_that_do_not_fit(batch):
    student, teacher, target = batch
    (slope,) = torch.autograd.grad(rwld_loss(student, teacher, target, torch.ones(5)), student, create_graph=True)
    with pytest.raises(RuntimeError, match="twice|again|second"):
        torch.autograd.grad(slope.sum(), student)
    with pytest.raises(
        ValueError, match=r"weight must be \(C,\) or shaped like the logits \(2, 5, 3, 4\), found \(4,\)"
    ):
        rwld_loss(student, teacher, target, torch.ones(4))
    with pytest.raises(ValueError, match="rarity weights need gamma >= 0 and lowest > 0, found -1 and 0.01"):
        rarity_weights(teacher, gamma=-1)
