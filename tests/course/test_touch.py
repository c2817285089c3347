"""Touch: which points a picture has, where they may go, and what is drawn when one is moved; no browser is needed."""

import base64
import importlib
import json
import shutil
import subprocess
from pathlib import Path

import ipywidgets
import pytest
from matplotlib.figure import Figure

from lixlib.course.explore import explore
from lixlib.course.touch import MOST_STEPS, Touch

module = importlib.import_module("lixlib.course.explore")
SQUARE = [(0, 0), (4, 0), (4, 2), (0, 2)]


def draw(points):
    figure = Figure(figsize=(4, 2))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, 4), ylim=(0, 2))
    x, y = points["a"]
    ax.plot(x, y, "o")
    ax.plot([x + (4 - x) * k / 100 for k in range(101)], [y] * 101, gid="way")
    return figure


@pytest.fixture
def panel(monkeypatch):
    """A live panel of `draw`, and its Touch."""
    monkeypatch.delenv("LIX_HEADLESS", raising=False)
    shown = []
    monkeypatch.setattr(module, "display", shown.append)
    monkeypatch.setattr(module, "clear_output", lambda: None)
    touch = Touch(SQUARE, "a square", a=(1, 1), b=(3, 1))
    explore(draw, points=touch)
    assert isinstance(shown[0], ipywidgets.interactive) and touch in shown[0].children
    return touch


def touch_at(touch, x, y, which=0, phase="down", count=1):
    touch.touched = {"which": which, "phase": phase, "x": x, "y": y, "count": count}


def test_the_figure_is_the_picture_and_places_are_fractions_from_the_upper_left(panel):
    assert base64.b64decode(panel.picture.partition(",")[2]).startswith(b"\x89PNG")
    assert panel.names == ["a", "b"] and panel.alt == "a square"
    assert panel.places == [pytest.approx([0.25, 0.5]), pytest.approx([0.75, 0.5])]


def test_a_pointer_moves_one_point_and_the_figure_is_drawn_again(panel):
    before = panel.picture
    touch_at(panel, 0.5, 0.25)
    assert panel.value == {"a": pytest.approx((2, 1.5)), "b": (3, 1)} and panel.answered == 1
    assert panel.picture != before and panel.places[0] == pytest.approx([0.5, 0.25])
    touch_at(panel, 0.0, 1.0, which=1, count=2)
    assert panel.value["b"] == pytest.approx((0, 0)) and panel.answered == 2


def test_the_same_place_is_answered_without_drawing(panel):
    touch_at(panel, 0.5, 0.25)
    before = panel.picture
    panel.picture = "mine"
    touch_at(panel, 0.5, 0.25, phase="up", count=2)
    assert panel.picture == "mine" != before and panel.answered == 2


def test_after_an_error_nothing_is_carried_and_the_next_touch_draws(panel, monkeypatch):
    draws = Figure.add_axes
    monkeypatch.setattr(Figure, "add_axes", lambda *_: 1 / 0)
    touch_at(panel, 0.5, 0.25, phase="up")
    assert panel.answered == 1 and panel.way == []
    monkeypatch.setattr(Figure, "add_axes", draws)
    touch_at(panel, 0.25, 0.25, count=2)
    assert panel.places[0] == pytest.approx([0.25, 0.25]) and len(panel.way) == MOST_STEPS


def test_the_way_ends_where_its_line_ends(panel):
    assert len(panel.way) == MOST_STEPS
    assert panel.way[0] == pytest.approx([0.25, 0.5]) and panel.way[-1] == pytest.approx([1, 0.5])


@pytest.mark.parametrize(
    ("point", "nearest"),
    [((1, 1), (1, 1)), ((-1, 1), (0, 1)), ((9, 9), (4, 2)), ((2, -3), (2, 0)), ((4, 2), (4, 2))],
)
@pytest.mark.parametrize("order", [1, -1])
def test_no_point_leaves_the_corners(point, nearest, order):
    assert Touch(SQUARE[::order], a=point).value["a"] == pytest.approx(nearest)


def test_an_edge_that_leans_is_met_at_a_right_angle():
    assert Touch([(0, 0), (2, 0), (0, 2)], a=(2, 2)).value["a"] == pytest.approx((1, 1))


def test_headless_visits_every_corner_with_every_point_and_last_the_start(monkeypatch):
    monkeypatch.setenv("LIX_HEADLESS", "1")
    monkeypatch.setattr(module, "display", lambda _: None)
    seen = []

    def note(points):
        seen.append(points)
        return draw(points)

    explore(note, points=Touch(SQUARE, a=(1, 1), b=(3, 1)))
    start = {"a": (1.0, 1.0), "b": (3.0, 1.0)}
    assert seen == [start | {name: corner} for name in ("a", "b") for corner in SQUARE] + [start]


def test_a_demo_that_draws_no_figure_says_so(panel):
    with pytest.raises(TypeError, match="draws one figure with axes and nothing else, found \\[3\\]"):
        module._show_touched(panel, lambda points: 3, {"points": panel.value})


@pytest.mark.parametrize("wrong", [3, Figure()])
def test_headless_says_so_too(wrong, monkeypatch):
    monkeypatch.setenv("LIX_HEADLESS", "1")
    monkeypatch.setattr(module, "display", lambda _: None)
    with pytest.raises(TypeError, match="draws one figure with axes and nothing else"):
        explore(lambda points: wrong, points=Touch(SQUARE, a=(1, 1)))


@pytest.mark.parametrize(("corners", "points"), [(SQUARE[:2], {"a": (0, 0)}), (SQUARE, {})])
def test_corners_or_points_are_missing(corners, points):
    with pytest.raises(ValueError, match="three corners or more and a point, found"):
        Touch(corners, **points)


CORNERS = {
    "on one line": [(0, 0), (1, 1), (2, 2)],
    "one place": [(1, 1)] * 3,
    "one twice": [*SQUARE, SQUARE[0]],
    "crossing edges": [SQUARE[0], SQUARE[2], SQUARE[1], SQUARE[3]],
    "a dent": [(0, 0), (4, 0), (1, 1), (0, 4)],
    "no number": [(0, 0), (float("nan"), 1), (2, 0)],
    "three numbers": [(0, 0, 0), (1, 0, 0), (0, 1, 0)],
}


@pytest.mark.parametrize("which", CORNERS)
def test_corners_of_no_convex_polygon(which):
    with pytest.raises(ValueError, match="of a convex polygon, each once, found \\[\\["):
        Touch(CORNERS[which], a=(1, 1))


@pytest.mark.parametrize("point", [(float("nan"), 1), (1, float("inf")), (1,), (1, 1, 1)])
def test_a_point_that_is_none(point):
    with pytest.raises(ValueError, match="two finite numbers"):
        Touch(SQUARE, a=point)


def test_a_gap_in_the_way_is_left_out(panel):
    figure = draw(panel.value)
    figure.axes[0].lines[-1].set_data([1, float("nan"), 4], [1, 1, 1])
    panel.show(figure)
    assert panel.way == [pytest.approx([0.25, 0.5]), pytest.approx([1, 0.5])]


@pytest.mark.skipif(not shutil.which("node"), reason="needs node")
def test_a_quick_click_stops_the_way_before_and_two_views_count_together():
    command = ["node", Path(__file__).with_name("touch_in_node.mjs"), Path(module.__file__).with_name("touch.js")]
    found = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=30).stdout)
    assert found == {"others": 2, "carried": 1}


def test_the_script_fetches_nothing():
    script = Touch._esm if isinstance(Touch._esm, str) else str(Touch._esm)
    assert "export default" in script and not any(word in script for word in ("http", "import ", "fetch("))
