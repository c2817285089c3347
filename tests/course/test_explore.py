"""explore(): what it calls without a browser, what it leaves in the notebook, how it fails."""

import importlib
import warnings

import ipywidgets
import matplotlib.pyplot as plt
import pytest
from matplotlib.figure import Figure

from lixlib.course.explore import explore

module = importlib.import_module("lixlib.course.explore")


@pytest.fixture(autouse=True)
def headless(monkeypatch):
    monkeypatch.setenv("LIX_HEADLESS", "1")
    plt.switch_backend("agg")


@pytest.fixture
def shown(monkeypatch):
    """What was displayed while nothing captured it: the captured calls run inside capture_output()."""
    shown = []
    monkeypatch.setattr(module, "display", shown.append)
    return shown


@pytest.mark.parametrize(
    ("control", "ends", "default"),
    [
        ((0.0, 1.0, 0.25), [0.0, 1.0], 0.5),
        ((1, 9), [1, 9], 5),
        (ipywidgets.IntSlider(3, min=1, max=8), [1, 8], 3),
        (ipywidgets.FloatLogSlider(1.0, base=10, min=-2, max=1), [0.01, 10], 1.0),
        (ipywidgets.IntRangeSlider(value=(2, 3), min=0, max=5), [(0, 5)], (2, 3)),
        (["kd", "dkd", "lix"], ["kd", "dkd", "lix"], "kd"),
        (["only"], ["only"], "only"),
        (ipywidgets.Dropdown(options=[("one", 1), ("two", 2)], value=2), [1, 2], 2),
        (ipywidgets.SelectionSlider(options=["a", "b", "c"], value="b"), ["a", "b", "c"], "b"),
        (True, [False, True], True),
        (ipywidgets.fixed(4), [], 4),
    ],
)
def test_headless_visits_the_ends_of_a_control_and_last_its_default(control, ends, default, shown):
    calls = []
    explore(lambda value: calls.append(value), value=control)
    assert calls == pytest.approx([*ends, default]) if isinstance(default, float) else calls == [*ends, default]


def test_headless_moves_one_control_at_a_time(shown):
    calls = []
    explore(lambda a, b: calls.append((a, b)), a=ipywidgets.IntSlider(1, 0, 2), b=["x", "y"])
    assert calls == [(0, "x"), (2, "x"), (1, "x"), (1, "y"), (1, "x")]


def test_a_slider_starts_at_the_default_of_its_argument(shown):
    calls = []

    def draw(beta=8, colour="red"):
        calls.append((beta, colour))

    explore(draw, beta=(1, 10))
    assert calls[-1] == (8, "red")


def returned_by_pyplot(size):
    figure, _ = plt.subplots(figsize=(size, size))
    return figure


def returned_without_pyplot(size):
    return Figure(figsize=(size, size))


def left_open(size):
    plt.figure(figsize=(size, size))


@pytest.mark.parametrize("draw", [returned_by_pyplot, returned_without_pyplot, left_open])
def test_every_call_lays_its_figure_out_once_and_closes_it(draw, shown, monkeypatch):
    laid_out, lay_out = [], Figure.draw_without_rendering
    monkeypatch.setattr(Figure, "draw_without_rendering", lambda figure: laid_out.append(figure) or lay_out(figure))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        explore(draw, size=(2, 4))
    assert [figure.get_figwidth() for figure in laid_out] == [2, 4], "at the ends"
    assert [figure.get_figwidth() for figure in shown] == [3]
    assert plt.get_fignums() == []


def test_a_picture_that_cannot_be_drawn_is_an_error_of_its_end(shown):
    def formula(power):
        plt.figure().suptitle("$x^{2$" if power == 4 else "$x$")

    with pytest.raises(ValueError, match="ParseSyntaxException|Expected") as caught:
        explore(formula, power=(2, 4))
    assert caught.value.__notes__ == ["explore(formula) called with power = 4, the other controls at their defaults"]


def test_pictures_of_the_ends_are_thrown_away(capsys):
    explore(lambda value: print("value", value), value=(0, 10))
    assert capsys.readouterr().out == "value 5\n"


def test_a_figure_that_was_open_before_stays_open(shown):
    open_before = plt.figure()
    explore(left_open, size=(2, 4))
    assert plt.get_fignums() == [open_before.number] and open_before not in shown
    plt.close(open_before)


def test_another_result_is_displayed(shown):
    explore(lambda value: f"<{value}>", value=(0, 2))
    assert shown == ["<0>", "<2>", "<1>"]


def test_an_error_at_an_end_propagates_and_names_control_and_value(shown):
    def divide(numerator, denominator):
        return numerator / denominator

    with pytest.raises(ZeroDivisionError) as caught:
        explore(divide, numerator=(1, 3), denominator=(0, 4))
    where = "denominator = 0, the other controls at their defaults"
    assert caught.value.__notes__ == [f"explore(divide) called with {where}"]


def test_an_error_at_the_defaults_propagates(shown):
    def fail(value):
        if value == 5:
            raise RuntimeError("middle")

    with pytest.raises(RuntimeError, match="middle") as caught:
        explore(fail, value=(0, 10))
    assert caught.value.__notes__ == ["explore(fail) called with every control at its default"]


@pytest.mark.parametrize("controls", [{"vlaue": (0, 1)}, {}, {"value": (0, 1), "more": (0, 1)}])
def test_a_control_that_fits_no_argument_is_refused(controls):
    with pytest.raises(TypeError):
        explore(lambda value: None, **controls)


def test_something_that_is_no_control_is_refused():
    with pytest.raises(ValueError, match="value = None"):
        explore(lambda value: None, value=None)


def test_live_widgets_redraw_when_a_handle_is_let_go(monkeypatch, shown):
    monkeypatch.delenv("LIX_HEADLESS")
    calls = []
    explore(lambda value: calls.append(value), value=(0, 10))
    (panel,) = shown
    slider = panel.children[0]
    assert isinstance(panel, ipywidgets.interactive) and calls == [5]
    assert slider.continuous_update is False and slider.description == "value"
    slider.value = 7
    assert calls == [5, 7]


def test_long_names_are_not_cut_and_controls_stay_aligned(monkeypatch, shown):
    monkeypatch.delenv("LIX_HEADLESS")
    own = ipywidgets.Text("x", layout={"width": "90%"})
    controls = {"a_name_of_26_characters_in": (0, 1), "colour": ["red", "blue"], "grid": True, "own": own}
    explore(lambda **values: None, **controls, size=ipywidgets.fixed(3))
    *automatic, last = shown[0].children[:-1]
    assert [control.style.description_width for control in automatic] == 3 * ["max(80px, 26ch)"]
    assert [control.layout.width for control in automatic] == 3 * ["calc(220px + max(80px, 26ch))"]
    assert last.layout.width == "90%" and not last.style.description_width
