"""What chapter 02 writes out by hand is what the library computes."""

import pytest
import torch
from notebook_code import definitions

from lixlib.distillers import DynamicWeightController
from lixlib.functional import confidence, decouple
from lixlib.functional.confidence import KINDS

CHAPTER = definitions("02_dynamic_weight_controller")


def logits(*size, scale=3.0):
    return scale * torch.randn(*size, dtype=torch.float64)


@pytest.mark.parametrize("values", [logits(2, 5, 4, 6), logits(40, 3), logits(1, 13, 3, 5, scale=60.0)])
def test_candidates(values):
    found = CHAPTER["candidates"](values)
    assert set(found) == set(KINDS)
    for kind, ours in found.items():
        torch.testing.assert_close(ours, confidence(values, kind=kind), atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize(("classes", "low", "high"), [(3, 1.0, 10.0), (13, 0.05, 1.0)])
def test_controller_by_hand(classes, low, high):
    library = DynamicWeightController(classes, beta_min=low, beta_max=high)
    by_hand = CHAPTER["same_weights"](library, CHAPTER["Controller"](classes, low, high))
    for values in (logits(2, classes, 4, 5).float(), logits(1, classes, 3, 3, scale=60.0).float()):
        rows = by_hand(values.movedim(1, -1).flatten(0, -2))
        torch.testing.assert_close(rows, library(values).movedim(1, -1).flatten(0, -2), atol=1e-4, rtol=1e-5)
        assert rows.min() >= low and rows.max() <= high


def test_controller_reads_the_logits_and_does_not_pull_at_them():
    values = logits(6, 4).float().requires_grad_()
    controller = CHAPTER["Controller"](4)
    controller(values).sum().backward()
    assert values.grad is None
    assert all(parameter.grad is not None for parameter in controller.parameters())


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_elements_sum_to_ncld(scale):
    student, teacher, target = logits(2, 5, 4, 6, scale=scale), logits(2, 5, 4, 6), torch.randint(5, (2, 4, 6))
    found = CHAPTER["elements"](student, teacher, target)
    torch.testing.assert_close(found.sum(1), decouple(student, teacher, target)[1])
    assert (found.gather(1, target.unsqueeze(1)) == 0).all()


def test_knows_errors_is_the_share_of_pairs():
    sure, right = torch.tensor([0.9, 0.5, 0.5, 0.1]), torch.tensor([True, True, False, False])
    assert CHAPTER["knows_errors"](sure, right) == pytest.approx((1 + 1 + 0.5 + 1) / 4)


def test_same_order():
    values = torch.tensor([0.1, 0.7, 0.2, 0.9])
    assert CHAPTER["same_order"](values, values.exp()) == pytest.approx(1)
    assert CHAPTER["same_order"](values, -values) == pytest.approx(-1)
