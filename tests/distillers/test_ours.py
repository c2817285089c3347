"""LIX, ours, its logit half, and pseudo-labels, which it has to be better than."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lixlib.distillers import ARFD, RWLD, LIXOurs, PseudoLabels, build
from lixlib.functional import rarity_weights, rwld_loss
from lixlib.nets import Output


def outputs(*channels: int):
    torch.manual_seed(1)
    pair = [
        Output(torch.randn(2, 4, 6, 8), {f"tap{i}": torch.randn(2, c + 2 * is_t, 6, 8) for i, c in enumerate(channels)})
        for is_t in range(2)
    ]
    return *pair, torch.randint(4, (2, 6, 8))


def test_rwld_weighs_by_the_teacher():
    student, teacher, target = outputs(3)
    weights = rarity_weights(teacher.logits, target, gamma=0.5)
    expected = 2 * rwld_loss(student.logits, teacher.logits, target, weights)
    found = build("rwld", student, teacher, weight=2.0, gamma=0.5)(student, teacher, target)
    torch.testing.assert_close(found["rwld"], expected)


def test_without_an_adapter_there_is_nothing_to_train_but_the_student():
    student, teacher, target = outputs(3, 5)
    student.taps["tap0"].requires_grad_()
    ours = LIXOurs(student, teacher)
    assert list(ours.parameters()) == []
    terms = ours(student, teacher, target)
    assert list(terms) == ["rwld", "arfd"] and 0 < terms["arfd"] < 1
    terms["arfd"].backward()
    assert student.taps["tap0"].grad.abs().max() > 0
    same = ARFD(teacher, teacher, adapters="none")
    assert abs(same(teacher, teacher, target)["arfd"]) < 1e-5


def test_taps_of_one_size_but_other_channels_are_compared_in_their_own_groups():
    student, teacher, target = outputs(3, 3)
    teacher.taps["tap1"] = torch.randn(2, 9, 6, 8)
    both = ARFD(student, teacher, adapters="none")(student, teacher, target)["arfd"]
    each = [ARFD(student, teacher, adapters="none", taps=[t])(student, teacher, target)["arfd"] for t in student.taps]
    torch.testing.assert_close(both, sum(each) / 2)


def test_a_half_without_weight_costs_nothing():
    student, teacher, target = outputs(3)
    assert LIXOurs(student, teacher, lambda_f=0.0).arfd is None
    assert list(LIXOurs(student, teacher, lambda_f=0.0)(student, teacher, target)) == ["rwld"]


@pytest.mark.parametrize("options", [{"samples": "channels"}, {"kernel": "none", "measure": "cosine"}])
def test_channels_that_differ_need_an_adapter(options):
    student, teacher, _ = outputs(3)
    with pytest.raises(ValueError, match=r"tap 'tap0' has 3 channels in the student and 5 in the teacher"):
        ARFD(student, teacher, adapters="none", **options)


def test_pseudo_labels_are_the_teachers_classes():
    student, teacher, target = outputs(3)
    target[0] = 255
    seen = teacher.logits.argmax(1)
    plain = PseudoLabels(student, teacher, weight=3.0, balanced=False)(student, teacher, target)["pseudo"]
    torch.testing.assert_close(plain, 3 * F.cross_entropy(student.logits[1:], seen[1:]))
    share = torch.bincount(seen[1].flatten(), minlength=4) / seen[1].numel()
    balanced = PseudoLabels(student, teacher)(student, teacher, target)["pseudo"]
    torch.testing.assert_close(balanced, F.cross_entropy(student.logits[1:], seen[1:], share.rsqrt()))
    student.logits.requires_grad_()
    nothing = PseudoLabels(student, teacher)(student, teacher, torch.full_like(target, 255))["pseudo"]
    nothing.backward()
    assert nothing == 0 and not student.logits.grad.any()


def test_the_methods_are_modules():
    student, teacher, _ = outputs(3)
    assert all(isinstance(build(name, student, teacher), nn.Module) for name in ("rwld", "lix-ours", "pseudo-labels"))
    assert isinstance(build("rwld", student, teacher), RWLD)
