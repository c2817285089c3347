"""check(): every stub of every chapter fails politely, every folded solution passes, and a hint says what is wrong."""

import ast

import pytest
import torch
from notebook_code import definitions, exercises, run

from lixlib.exercises import EXERCISES, Exercise, check, verdict
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
        (lambda x: right(x) / 2, "Not yet, with random x: it is 0.5 times too large."),
        (lambda x: right(x) * torch.nan, "Not yet, with random x: 3 of 3 values are NaN."),
        (lambda x: x.pow(2).sum(1) * (x[:, 0].abs() < 1e50), "Not yet, with large x: "),
        (wasteful, "The values are right, but one of your tensors has 12 entries, and 6 must do."),
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
