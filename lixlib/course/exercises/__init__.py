"""The exercises of the notebooks: `check("01.2", my_function)` compares an answer with the library and gives a hint.

Each chapter has a file of its own; `lixlib/course/checker.py` judges the answers.
"""

from collections.abc import Callable
from typing import Any

from lixlib.course.checker import Exercise, judge
from lixlib.course.exercises import (
    ch00,
    ch01,
    ch02,
    ch03,
    ch04,
    ch05,
    ch06,
    ch07,
    ch08,
    ch09,
    ch10,
    ch11,
    ch12,
    ch13,
    ch14,
    ch15,
)

CHAPTERS = (ch00, ch01, ch02, ch03, ch04, ch05, ch06, ch07, ch08, ch09, ch10, ch11, ch12, ch13, ch14, ch15)
EXERCISES: dict[str, Exercise] = {number: exercise for each in CHAPTERS for number, exercise in each.EXERCISES.items()}


def check(number: str, answer: Callable[..., Any]) -> None:
    """Print one sentence about a learner's function, even if it raises: "Correct", or what is wrong with it.

    Raises:
        ValueError: there is no exercise of that number.
    """
    print(verdict(number, answer))


def verdict(number: str, answer: Callable[..., Any]) -> str:
    """The sentence that `check` prints; it begins with "Correct" if and only if the answer is right.

    Raises:
        ValueError: there is no exercise of that number.
    """
    if number not in EXERCISES:
        raise ValueError(f"there is no exercise {number!r}: choose one of {', '.join(EXERCISES)}")
    return judge(EXERCISES[number], answer)
