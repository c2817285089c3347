"""check(): every stub of every chapter fails politely, every folded solution passes, and a hint says what is wrong."""

import ast
import copy

import numpy as np
import pytest
import torch
from notebook_code import definitions, exercises, run

from lixlib.course.checker import Exercise
from lixlib.course.exercises import EXERCISES, check, verdict
from lixlib.functional import kd_loss

FOUND = exercises()


def test_every_exercise_has_a_checker_and_every_checker_an_exercise():
    assert sorted(found.number for found in FOUND) == sorted(EXERCISES)
    assert all(found.number.startswith(found.chapter[:2]) for found in FOUND)


@pytest.mark.parametrize("found", FOUND, ids=lambda found: found.number)
def test_the_stub_fails_politely_and_the_solution_passes(found, capsys):
    (stub,) = ast.parse(found.stub).body
    assert isinstance(stub, ast.FunctionDef), "the cell after an exercise defines one function"
    assert ast.unparse(ast.parse(found.checked)) == f"check('{found.number}', {stub.name})"
    assert found.solution, "no <details><summary>Solution</summary> with a ```python block"
    for source, start in ((found.stub, "Not written yet. Hint: "), (found.solution, "Correct")):
        namespace = definitions(found.chapter)
        run(source, namespace)
        check(found.number, namespace[stub.name])
        assert capsys.readouterr().out.startswith(start)


@pytest.mark.parametrize("number", list(EXERCISES))
def test_the_librarys_own_answer_is_correct_and_no_mistake_is(number):
    exercise = EXERCISES[number]
    if exercise.entries is None:  # else the library's own may be larger than the exercise asks for
        assert verdict(number, exercise.expected).startswith("Correct")
    for sentence, mistake in exercise.mistakes.items():
        assert verdict(number, mistake).endswith(sentence)


# Right answers of every kind: the solution, and what else a learner may hand in for it.
def in_single_precision(value):
    """Tensors and cameras' numbers as float32 where they are floating."""
    floating = isinstance(value, torch.Tensor) and value.is_floating_point()
    return value.float() if floating else value


def as_python(value):
    """Numbers and nested lists of numbers."""
    return value.tolist() if isinstance(value, torch.Tensor) else value


def greedy(solution):
    """An answer that empties its arguments before it returns."""

    def answer(*args):
        found = copy.deepcopy(solution(*args))
        for argument in args:
            if isinstance(argument, torch.Tensor):
                argument.zero_()
        return found

    return answer


RIGHT = {
    "as it is": lambda f: f,
    "float32": lambda f: lambda *args: in_single_precision(f(*args)),
    "float32 from the start": lambda f: lambda *args: f(*map(in_single_precision, args)),
    "float32 on the way": lambda f: lambda *args: torch.as_tensor(f(*map(in_single_precision, args))).double(),
    "NumPy": lambda f: lambda *args: np.asarray(torch.as_tensor(f(*args))),
    "NumPy, float32, reversed twice": lambda f: (
        lambda *args: np.flip(np.flip(np.asarray(in_single_precision(torch.as_tensor(f(*args))))))
    ),
    "Python": lambda f: lambda *args: as_python(f(*args)),
    "Python, from float32": lambda f: lambda *args: as_python(f(*map(in_single_precision, args))),
    "with a gradient": lambda f: (
        lambda *args: (
            torch.as_tensor(f(*args), dtype=torch.float64) + torch.zeros((), dtype=torch.float64, requires_grad=True)
        )
    ),
    "in place": greedy,
}
# (number, kind): why it is refused all the same, and what is said
REFUSED = {
    ("02.1", "with a gradient"): "a gradient flows back",  # W would teach the student to be unsure
    ("03.1", "float32 from the start"): "float32 has too few digits",  # the exercise is about just these digits
    ("03.1", "float32 on the way"): "float32 has too few digits",
    ("03.1", "Python, from float32"): "float32 has too few digits",
}


def solution_of(found):
    namespace = definitions(found.chapter)
    run(found.solution, namespace)
    return namespace[ast.parse(found.stub).body[0].name]


@pytest.mark.parametrize("kind", RIGHT)
@pytest.mark.parametrize("found", FOUND, ids=lambda found: found.number)
def test_a_right_answer_is_taken_in_every_form(found, kind):
    said = verdict(found.number, RIGHT[kind](solution_of(found)))
    if (found.number, kind) in REFUSED:
        assert said.startswith("Not yet") and REFUSED[found.number, kind] in said
    else:
        assert said.startswith("Correct"), said


@pytest.mark.parametrize("kind", ["float32", "NumPy", "Python", "in place"])
@pytest.mark.parametrize("number", list(EXERCISES))
def test_no_mistake_is_taken_in_any_form(number, kind):
    for sentence, mistake in EXERCISES[number].mistakes.items():
        said = verdict(number, RIGHT[kind](mistake))
        assert said.startswith("Not yet"), sentence
        if not EXERCISES[number].double:  # else rounding makes another mistake of it
            assert said.endswith(sentence)


def right(x):
    return x.square().sum(1)


def wasteful(x):
    return (x[:, :, None] * x[:, None]).diagonal(dim1=1, dim2=2).sum(1)


@pytest.fixture
def exercise(monkeypatch):
    def inputs(generator):
        x = torch.randn(3, 2, dtype=torch.float64, generator=generator)
        return {"random x": (x,), "large x": (x * 1e100,)}

    entry = Exercise(right, inputs, "square, then add.", entries=lambda x: x.numel())
    monkeypatch.setitem(EXERCISES, "99.1", entry)


def raises(x):
    raise RuntimeError("no idea")


def unfinished(x):
    raise NotImplementedError


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (lambda x: None, "Not written yet. Hint: square, then add."),
        (unfinished, "Not written yet. Hint: square, then add."),
        (raises, "Python stumbled over random x: RuntimeError: no idea"),
        (lambda: 1, "Python stumbled over random x: TypeError: "),
        (lambda x: "seven", "Not yet, with random x: a str came back where a tensor or a number is expected."),
        (lambda x: x.square(), "Not yet, with random x: the shape is (3, 2), expected (3,)."),
        (lambda x: -right(x), "Not yet, with random x: the sign is the wrong way round."),
        (lambda x: right(x) / 2, "Not yet, with random x: it is 2 times too small, and 2 is the number of"),
        (lambda x: right(x) * torch.nan, "Not yet, with random x: 3 of 3 values are NaN."),
        (lambda x: x.pow(2).sum(1) * (x[:, 0].abs() < 1e50), "Not yet, with large x: "),
        (
            wasteful,
            "Not yet, with random x: the values are right, but on the way you hold 12 entries at once, and 6 must do.",
        ),
    ],
)
def test_one_sentence_says_what_is_wrong(answer, sentence, exercise):
    said = verdict("99.1", answer)
    assert said.startswith(sentence) and "\n" not in said


def test_an_answer_may_write_into_its_arguments():
    def greedy(student, teacher):
        loss = kd_loss(student, teacher)
        student.zero_()
        return loss

    assert verdict("09.1", greedy).startswith("Correct")


def test_an_unknown_number_is_the_authors_mistake():
    with pytest.raises(ValueError, match="no exercise '12.3'.*00.1"):
        check("12.3", right)
