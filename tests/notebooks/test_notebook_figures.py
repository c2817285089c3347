"""The checks that `test_notebooks_run.py` applies to the figures and demos of every notebook, on wrong ones."""

import re
from collections.abc import Callable

import numpy as np
import pytest
from figure_checks import OTHER_SCALE, changes, cut_off
from matplotlib.figure import Figure


def figure_with(fault: str) -> Figure:
    figure = Figure(figsize=(4, 3))
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], gid="clipped" if fault == "cut on purpose" else None)
    if fault in ("a line", "cut on purpose"):
        left.set_ylim(0, 0.5)
    elif fault == "half a line by its mask":
        left.plot([0.2, 0.5], np.ma.masked_greater([0.1, 9], 5))
        left.set_ylim(-0.1, 1.1)
    elif fault == "a point":
        left.scatter([0.5, 9], [0.5, 0.5])
        left.set_xlim(0, 1)
    elif fault == "a bar":
        right.bar(["a", "b"], [1, 5])
        right.set_ylim(0, 2)
    elif fault == "a bar of 0, logarithmic":
        right.bar(["a", "b"], [0, 5], log=True)
    elif fault == "words":
        left.text(0.9, 0.5, "far too long for these axes", clip_on=True)
    elif fault == "titles":
        left.set_title("a title that is much too long")
        right.set_title("a title that is much too long")
    return figure


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("nothing", None),
        ("cut on purpose", None),
        ("half a line by its mask", None),
        ("a bar of 0, logarithmic", None),
        ("a line", "the line .* leaves the axes"),
        ("a point", "a point leaves the axes"),
        ("a bar", "a bar leaves the axes"),
        ("words", "the words 'far too long for these axes' are cut"),
        ("titles", "the titles .* overlap"),
    ],
)
def test_what_a_figure_hides_is_noticed(fault, sentence):
    found = list(cut_off(figure_with(fault)))
    assert found == [] if sentence is None else len(found) == 1 and re.search(sentence, found[0])


def demo(fault: str) -> Callable:
    def draw(top=1, colour="red"):
        figure = Figure(figsize=(3, 2 + (fault == "size") * top))
        ax = figure.add_subplot()
        if fault == "axes" and colour == "blue":
            figure.add_axes((0.8, 0.8, 0.1, 0.1))
        ax.plot([0, 1], [0, top / 9], color=colour)
        ax.set(xlim=(0, 1), ylim=(0, top / 9 if fault == "limits" else 1))
        if fault == "colours":
            ax.imshow([[0, top]], extent=(0.2, 0.4, 0.2, 0.4), aspect="auto")
        return figure if fault != "figures" or top < 5 else None

    return draw


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        ("nothing", ()),
        ("limits", ("the y range of axes 0",)),
        ("colours", ("the colour range of map 0 of axes 0",)),
        ("size", ("the size in pixels of figure 0", "the place in pixels of axes 0")),
        ("axes", ("the number of axes of figure 0",)),
        ("figures", ("the number of figures",)),
    ],
)
def test_a_demo_that_jumps_is_noticed(fault, what):
    found = list(changes("99", demo(fault), {"top": (1, 9), "colour": ["red", "blue"]}))
    assert bool(found) == bool(what)
    assert all(any(sentence.startswith(expected) for sentence in found) for expected in what)


def test_steps_with_an_excused_choice_are_compared_among_themselves(monkeypatch):
    monkeypatch.setitem(OTHER_SCALE, ("99", "draw"), ("top",))
    assert list(changes("99", demo("limits"), {"top": (1, 9), "colour": ["red", "blue"]})) == []
