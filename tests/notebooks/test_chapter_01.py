"""Chapter 01's own functions against the library and autograd, in float64."""

import pytest
import torch
from notebook_code import definitions

from lixlib.course.exercises import EXERCISES
from lixlib.functional import decouple, dkd_loss, kd_loss

CHAPTER = definitions("01_dkd_gradient")


def make(classes=5, scale=2.0, lead=0.0):
    """Random pixels; `lead` is added to the student's logit of the target."""
    student, teacher = scale * torch.randn(2, 40, classes, dtype=torch.float64)
    target = torch.randint(classes, (40,))
    student[range(40), target] += lead
    return student, teacher, target


cases = pytest.mark.parametrize(
    "options", [{}, {"classes": 2}, {"classes": 13, "scale": 4.0}, {"lead": 12.0}, {"lead": -12.0}], ids=str
)


def close(found, expected, within=1e-9):
    torch.testing.assert_close(found, expected, rtol=0, atol=within)


@cases
def test_the_two_terms_are_the_librarys(options):
    student, teacher, target = make(**options)
    tcld, ncld, kl = decouple(student, teacher, target)
    for found, expected in zip(CHAPTER["tcld_ncld"](student, teacher, target), (tcld, ncld), strict=True):
        close(found, expected)
    close(CHAPTER["kl"](teacher.softmax(1), student.softmax(1)), kl)
    close(kl.mean(), kd_loss(student, teacher))


@cases
def test_split_and_margin_give_the_softmax_back(options):
    student, _, target = make(**options)
    b, q = CHAPTER["split"](student, target)
    p = student.softmax(1)
    hit = torch.nn.functional.one_hot(target, p.shape[1]).bool()
    close(b[:, 0], p[hit])
    close(q * b[:, 1:], p[~hit].view(len(p), -1))
    close(q.sum(1), torch.ones(len(q), dtype=q.dtype))
    close(CHAPTER["margin"](student, target).sigmoid(), b[:, 0])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("options", [{}, {"classes": 2}, {"classes": 13, "scale": 4.0}, {"lead": 80.0}, {"scale": 1e4}])
def test_the_gradient_is_autograds(options, temperature):
    student, teacher, target = make(**options)
    student.requires_grad_()
    dkd_loss(student, teacher, target, alpha=1.5, beta=4.0, temperature=temperature).backward()
    arguments = (student.detach(), teacher, target, 1.5, 4.0, temperature)
    close(CHAPTER["dkd_gradient"](*arguments), len(target) * student.grad)
    close(sum(CHAPTER["two_parts"](*arguments)), len(target) * student.grad)


def test_a_push_on_logits_moves_probabilities_by_the_derivative_of_softmax():
    student, gradient, _ = make()
    _, expected = torch.autograd.functional.jvp(lambda z: z.softmax(1), student, -gradient)
    close(CHAPTER["push"](student.softmax(1), gradient), expected, within=1e-14)


def test_the_weight_of_ncld_in_the_kl():
    logits, target = 3 * torch.randn(2, 5, 3, 4, dtype=torch.float64), torch.randint(5, (2, 3, 4))
    for temperature in (1.0, 4.0):
        p = (logits / temperature).softmax(1).gather(1, target.unsqueeze(1)).squeeze(1)
        close(CHAPTER["not_target"](logits, target, temperature), 1 - p, within=1e-14)


def test_descent_ends_at_the_teacher():
    start, teacher = (torch.tensor(p, dtype=torch.float64) for p in ([0.1, 0.2, 0.7], [[0.6, 0.3, 0.1]]))
    path = CHAPTER["descend"](start, teacher, 1.0, 1.0)
    close(path[0], start)
    close(path[-1], teacher[0], within=1e-6)
    assert (CHAPTER["distance"](path, teacher).diff() <= 1e-12).all()


def test_a_walk_down_ncld_ends_where_two_sums_are_conserved():
    start, teacher = (torch.tensor(p, dtype=torch.float64) for p in ([0.15, 0.10, 0.75], [[0.70, 0.25, 0.05]]))
    path = CHAPTER["descend"](start, teacher, 0.0, 1.0, steps=2000)
    close(path[-1], EXERCISES["01.3"].expected(start, teacher[0]), within=1e-6)
    assert path[-1][0] > path[0][0], "the target has grown, without a gradient of its own"
