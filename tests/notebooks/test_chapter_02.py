"""What chapter 02 writes out by hand is what the library computes."""

import pytest
import torch
from notebook_code import definitions

from lixlib.core.files import read_json_lines
from lixlib.distillers import DynamicWeightController
from lixlib.functional import confidence, decouple
from lixlib.functional.confidence import KINDS
from tools.dev.execute_notebooks import FOLDER
from tools.studies import frozen_controllers

CHAPTER = definitions("02_dynamic_weight_controller")
LINES = read_json_lines(FOLDER.parent / "results" / "controllers" / "toydrive.jsonl")


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


def test_h_is_the_rate_at_which_a_step_down_ncld_lowers_the_cross_entropy():
    student, teacher, target = logits(2, 5, 4, 6).requires_grad_(), logits(2, 5, 4, 6), torch.randint(5, (2, 4, 6))
    (down,) = torch.autograd.grad(decouple(student, teacher, target)[1].sum(), student)
    (by_label,) = torch.autograd.grad(torch.nn.functional.cross_entropy(student, target, reduction="sum"), student)
    torch.testing.assert_close(CHAPTER["helps"](student, teacher, target), (down * by_label).sum(1))
    q = CHAPTER["without_target"](student, target)
    assert (q.gather(1, target.unsqueeze(1)) == 0).all()
    torch.testing.assert_close(q.sum(1), torch.ones_like(q[:, 0]))


def test_knows_errors_is_the_share_of_pairs():
    sure, right = torch.tensor([0.9, 0.5, 0.5, 0.1]), torch.tensor([True, True, False, False])
    assert CHAPTER["knows_errors"](sure, right) == pytest.approx((1 + 1 + 0.5 + 1) / 4)


def test_same_order():
    values = torch.tensor([0.1, 0.7, 0.2, 0.9])
    assert CHAPTER["same_order"](values, values.exp()) == pytest.approx(1)
    assert CHAPTER["same_order"](values, -values) == pytest.approx(-1)


def test_jensen_bounds_the_mean_of_any_group():
    generator = torch.Generator().manual_seed(0)
    q_teacher, q_student = (
        (2 * torch.randn(5000, 6, generator=generator, dtype=torch.float64)).softmax(1) for _ in range(2)
    )
    terms = q_teacher * (q_teacher / q_student).log()
    for group in torch.arange(5000).split(7):
        for j in range(6):
            least = CHAPTER["jensen"](q_teacher[group, j].mean(), q_student[group, j].mean())
            assert terms[group, j].mean() >= least - 1e-12
    # equal wherever teacher and student answer the same for all that look alike
    same = torch.tensor([0.2, 0.2], dtype=torch.float64), torch.tensor([0.5, 0.5], dtype=torch.float64)
    torch.testing.assert_close(
        CHAPTER["jensen"](*(q.mean() for q in same)), (same[0] * (same[0] / same[1]).log()).mean()
    )


@pytest.fixture(scope="module")
def seen():
    return frozen_controllers.load(8)[0]


def test_a_calibrated_student_overstates_where_its_weights_count(seen):
    p_s, p_t = (each.logits.double().softmax(1) for each in (seen.student, seen.teacher))
    believed = (p_s > 0.5) & (p_s < 0.95)
    mask = believed & seen.used
    assert abs(p_t[believed].mean() - p_s[believed].mean()) < 0.03, "calibrated over all entries"
    assert abs((~seen.used)[believed].double().mean() - p_s[believed].mean()) < 0.06
    assert p_t[mask].mean() < 0.5 * p_s[mask].mean(), "overstated where the class is not the target"


def test_mean_d_is_negative_at_a_wrong_first_choice_and_positive_elsewhere(seen):
    d = seen.elements()
    assert d[seen.used & seen.top].mean() < -0.03 and d[seen.used & ~seen.top].mean() > 0.03


def test_what_is_left_to_learn_rises_with_doubt(seen):
    ncld, doubt = seen.elements().sum(1).flatten(), seen.doubt[:, 0].flatten()
    fifths = [ncld[part].mean() for part in doubt.argsort().chunk(5)]
    assert fifths == sorted(fifths) and fifths[-1] > 2.5 * fifths[0]


def test_the_tool_measures_what_the_chapter_defines(seen, monkeypatch):
    torch.manual_seed(0)
    w = 1 + 9 * torch.rand_like(seen.student.logits).double() * seen.doubt
    found = seen.statistics(w)
    for name, value in {"used": seen.used, "doubt": seen.doubt[:, 0]}.items():
        monkeypatch.setitem(CHAPTER["per_class"].__globals__, name, value)
    assert found["between_classes"] == pytest.approx(CHAPTER["between_classes"](w), rel=1e-4)
    assert found["with_doubt_within_a_class"] == pytest.approx(CHAPTER["follows_doubt"](w), rel=1e-4)


def test_a_short_training_gives_the_committed_line(seen):
    """On another processor the last digits differ; what is told does not."""
    (line,) = (line for line in LINES if (line["way"], line["seed"]) == ("joint, kl", 0))
    (first, second, *_) = frozen_controllers.train("joint, kl", 0, 30, seen, seen)
    for look, committed in zip((first, second), line["looks"], strict=False):
        assert look["update"] == committed["update"]
        for key in ("mean", "top", "rest"):
            assert look["seen"][key] == pytest.approx(committed["seen"][key], rel=0.05)


def last(way):
    return [line["looks"][-1] for line in LINES if line["way"] == way]


def test_controllers_that_are_trained_longer_find_the_wrong_first_choices():
    joint = last("joint, kl")
    free = [look for look in joint if look["seen"]["top"] > 2]
    assert len(joint) >= 5 and 2 * len(free) > len(joint)
    ncld = LINES[0]["ncld"]["unseen"]
    for look in free:
        assert look["update"] == 3000
        assert look["seen"]["top"] > 3 and look["seen"]["rest"] < 1.2
        assert look["seen"]["between_classes"] < 0.35
        assert look["unseen"]["weighted_ncld"] < 0.9 * ncld, "on frames that it never saw"
    for look in joint:
        assert look["seen"]["with_doubt_within_a_class"] > 0.5
        assert look in free or look["seen"]["top"] < 1.05, "stuck where the sigmoid is flat"


def test_on_a_budget_downhill_leaves_the_wrong_first_choices_and_uphill_seeks_them():
    down, up = ([look["seen"] for look in last(way)] for way in ("normalised", "up, budget"))
    assert max(look["top"] for look in down) < 2 and min(look["top"] for look in up) > 9
    assert max(look["with_doubt_within_a_class"] for look in down) < 0.1
    assert min(look["with_doubt_within_a_class"] for look in up) > 0.2
