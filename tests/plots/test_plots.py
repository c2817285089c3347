"""Figures: the right axes, every text inside the figure, exact colours."""

import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.colors import LogNorm, Normalize, to_hex
from seaborn.utils import relative_luminance

from lixlib import plots
from lixlib.data.classes import CAMVID, POTHOLES, TOYDRIVE


@pytest.fixture(autouse=True)
def headless():
    plt.switch_backend("agg")
    yield
    plt.close("all")


def check(figure, axes):
    """Draw without a warning; everything drawn lies within the figure."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.canvas.draw()
    assert len(figure.axes) == axes
    width, height = figure.get_size_inches()
    box = figure.get_tightbbox(figure.canvas.get_renderer())
    assert box.x0 > -0.02 and box.y0 > -0.02 and box.x1 < width + 0.02 and box.y1 < height + 0.02, "something is cut"


def test_colour_labels_are_the_tables():
    label = np.array([[0, 1, 255], [1, 0, 255]])
    colours = plots.colour_labels(label, POTHOLES)
    assert colours.dtype == np.uint8
    road, hole, black = (128, 64, 128), (255, 200, 60), (0, 0, 0)
    assert colours.tolist() == [[list(c) for c in row] for row in ((road, hole, black), (hole, road, black))]
    assert (plots.colour_labels(torch.arange(11).view(1, 11), CAMVID)[0] == CAMVID.colours).all()


@pytest.mark.parametrize("wrong", [2, -1, 254])
def test_colour_labels_refuses_what_is_no_class(wrong):
    with pytest.raises(ValueError, match=f"label {wrong} "):
        plots.colour_labels(np.array([[0, wrong]]), POTHOLES)


def test_overlay_mixes():
    rgb, colours = torch.full((3, 1, 1), 1.0), np.zeros((1, 1, 3), dtype=np.uint8)
    assert plots.overlay(rgb, colours, 0.6).tolist() == [[[102, 102, 102]]]


def test_who_is_right():
    picture = plots.who_is_right([[0, 0, 0, 0, 255]], [[0, 0, 1, 1, 0]], [[0, 1, 0, 2, 0]])
    expected = [plots.BOTH, plots.FIRST, plots.SECOND, plots.NEITHER, (255, 255, 255)]
    assert picture[0].tolist() == [list(colour) for colour in expected]
    legend = plots.legend_of_right("the teacher", "the student")
    said = dict(zip(legend.names, legend.colours.tolist(), strict=True))
    assert said["only the student right"] == list(plots.SECOND) and said["both wrong"] == list(plots.NEITHER)


@pytest.mark.parametrize(("size", "columns"), [((64, 208), 3), ((144, 192), 4), ((112, 192), 1)])
def test_gallery(size, columns):
    colours = np.zeros((*size, 3), dtype=np.uint8)
    rows = {
        "RGB": [torch.rand(3, *size)] * columns,
        "X": [torch.rand(1, *size), *[torch.zeros(1, *size)] * (columns - 1)],
        "distilled": [colours] * columns,
    }
    check(plots.gallery(rows, [f"largest gain, frame {i}" for i in range(columns)]), axes=3 * columns)
    told = plots.gallery(rows, legend=plots.legend_of_right("teacher", "student"))
    check(told, axes=3 * columns)
    assert told.get_figheight() > plots.gallery(rows).get_figheight(), "the legend has room of its own"


def test_gallery_refuses_ragged_rows():
    picture = np.zeros((4, 4, 3))
    with pytest.raises(ValueError, match="one entry a column"):
        plots.gallery({"a": [picture], "b": [picture, picture]})


@pytest.mark.parametrize(("columns", "width"), [(2, 11), (1, 6)])
def test_a_legend_names_all_classes_below_the_pictures(columns, width):
    label = np.zeros((12, 40), dtype=int)
    pictures = {name: plots.colour_labels(label, TOYDRIVE) for name in ("truth", "student", "teacher")}
    figure = plots.panels(pictures, columns=columns, width=width, legend=TOYDRIVE)
    (legend,) = figure.legends
    assert tuple(text.get_text() for text in legend.get_texts()) == TOYDRIVE.names
    colours = [patch.get_facecolor()[:3] for patch in legend.get_patches()]
    assert np.allclose(colours, TOYDRIVE.colours / 255)
    figure.draw_without_rendering()
    box = legend.get_window_extent()
    ax = figure.axes[0]
    low = min(ax.transData.transform((0, image.get_extent()[2]))[1] for image in ax.images)
    assert box.y0 >= 0 and box.y1 <= low and box.x0 >= 0 and box.x1 <= figure.bbox.x1
    bare = plots.panels(pictures, columns=columns, width=width)
    assert not bare.legends and bare.get_figheight() < figure.get_figheight()


@pytest.mark.parametrize("count", [1, 4, 5])
def test_panels(count):
    pictures = {f"picture {i}, 88.8 % right": torch.rand(3, 64, 208) for i in range(count)}
    figure = plots.panels(pictures, width=9)
    check(figure, axes=1)
    assert [text.get_text() for text in figure.axes[0].texts] == list(pictures)
    boxes = [image.get_window_extent() for image in figure.axes[0].images]
    boxes += [text.get_window_extent() for text in figure.axes[0].texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    sides = {round(box.width / box.height, 2) for box in boxes[:count]}
    assert sides == {round(208 / 64, 2)}


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_a_scale_holds_the_colours_whatever_the_values(columns):
    scales = {"error": plots.Scale(LogNorm(0.001, 10), "m"), "springs": plots.Scale(Normalize(-1, 1), cmap="RdBu_r")}
    figures = []
    for largest in (0.002, 200.0):
        error = torch.rand(20, 60) * largest
        error[0] = np.nan
        pictures = {"RGB": torch.rand(3, 20, 60), "error": error, "springs": torch.randn(20, 60)}
        pictures["X"] = torch.rand(20, 60)
        figures.append(plots.panels(pictures, columns=columns, width=9, scales=scales))
        check(figures[-1], axes=3)
    of_error, of_springs = ([figure.axes[0].images[place] for figure in figures] for place in (1, 2))
    assert [image.get_clim() for image in of_error] == [(0.001, 10)] * 2
    assert [image.get_clim() for image in of_springs] == [(-1, 1)] * 2
    assert figures[0].axes[1].get_ylabel() == "m"
    assert {tuple(figure.get_size_inches()) for figure in figures} == {tuple(figures[0].get_size_inches())}
    boxes = [[image.get_window_extent().bounds for image in figure.axes[0].images] for figure in figures]
    assert boxes[0] == boxes[1]


@pytest.mark.parametrize("name", ["eror", "RGB"])
def test_a_scale_is_of_a_map(name):
    pictures = {"RGB": torch.rand(3, 20, 60), "error": torch.rand(20, 60)}
    with pytest.raises(ValueError, match=f"scale for {name!r}: expected one of the maps, 'error'"):
        plots.panels(pictures, scales={name: plots.Scale(Normalize(0, 1))})


@pytest.mark.parametrize("classes", [POTHOLES, CAMVID, TOYDRIVE])
def test_class_shares(classes):
    shares = np.geomspace(1e-4, 1, len(classes))
    shares[1] = 0
    check(plots.class_shares(shares / shares.sum(), classes), axes=1)
    check(plots.class_shares(np.eye(len(classes))[0], classes), axes=1)


def test_curves():
    logs = {
        "teacher": [{"epoch": 1, "ce": 2.0, "mIoU": 0.3}, {"epoch": 2, "ce": 1.0, "mIoU": 0.5}],
        "lix": [{"epoch": 1, "ce": 2.0, "dwld": 0.3}],
    }
    figure = plots.curves(logs)
    check(figure, axes=1)
    assert [line.get_ydata().tolist() for line in figure.axes[0].lines] == [[30, 50]]
    check(plots.curves(logs, ("ce", "dwld")), axes=2)
    watched = {"lix": [{"epoch": 1, "ce": 2.0, "watch": {"shares": {"ce": 1.0}}}]}
    check(plots.curves(watched, ("ce", "watch")), axes=1)
    with pytest.raises(ValueError, match="'arfd'"):
        plots.curves(logs, ("arfd",))


def test_class_gains_are_sorted_and_leave_out_absent_classes():
    student = {"road": 0.9, "car": 0.5, "pole": 0.2, "truck": None, "sky": float("nan")}
    figure = plots.class_gains(student, {"road": 0.88, "car": 0.7, "pole": 0.2, "truck": 0.1, "sky": 0.1})
    check(figure, axes=1)
    ax = figure.axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["road", "pole", "car"]
    assert [text.get_text() for text in ax.texts] == ["-2.0", "+0.0", "+20.0"]
    with pytest.raises(ValueError, match="truck"):
        plots.class_gains({"car": 0.1}, {"car": 0.2, "truck": 0.3})


@pytest.mark.parametrize("size", [(64, 208), (144, 192)])
def test_maps_have_colour_bars(size):
    figure = plots.maps(torch.rand(3, *size), torch.rand(size), 1 + 9 * torch.rand(size))
    check(figure, axes=3)
    assert [len(ax.child_axes) for ax in figure.axes] == [0, 1, 1]


def test_figures_leave_the_global_style_alone():
    before = dict(plt.rcParams)
    plots.class_gains({"car": 0.1}, {"car": 0.2})
    assert dict(plt.rcParams) == before


def away_from(point):
    return lambda p: np.square(p - np.array(point)).sum(1)


def test_simplexes_place_the_corners_and_share_one_colour_bar():
    teacher, start = [0.6, 0.3, 0.1], [0.1, 0.1, 0.8]
    arrows = np.array([[0.3, 0.3, 0.4], teacher]), np.array([[0.1, 0.1, -0.2], [0.0, 0.0, 0.0]])
    panels = {
        "field and path": plots.Simplex(away_from(teacher), paths={"descent": [start, teacher]}),
        "arrows": plots.Simplex(arrows=arrows, points={"teacher": teacher, "corner": [0, 0, 1]}),
    }
    figure = plots.simplexes(panels, ("road", "car", "person"), label="distance")
    check(figure, axes=3)
    corners = {text.get_text(): text.get_position() for text in figure.axes[1].texts}
    assert corners["person"][0] == 0.5 and corners["road"][0] == 0 and corners["car"][0] == 1
    (path,) = (line for line in figure.axes[0].lines if line.get_color() == "#D55E00" and len(line.get_xdata()) == 2)
    assert np.allclose(path.get_xydata(), [[0.5, 0.8 * 0.75**0.5], [0.35, 0.1 * 0.75**0.5]])
    check(plots.simplexes({"empty": plots.Simplex()}), axes=1)


def test_a_field_beyond_its_limits_keeps_the_last_colour():
    figure = plots.simplexes({"": plots.Simplex(lambda p: np.full(len(p), 9.0))}, limits=(0, 1))
    check(figure, axes=2)
    ax = figure.axes[0]
    column, row = ax.transData.transform((0.5, 0.3)).astype(int)
    picture = np.asarray(figure.canvas.buffer_rgba())
    assert picture[picture.shape[0] - row, column, 2] < 100, "yellow, not the white of an empty triangle"


@pytest.mark.parametrize("arrow", [1.0, 0.0])
def test_arrows_of_any_length_are_drawn(arrow):
    point = np.full((1, 3), 1 / 3)
    check(plots.simplexes({"": plots.Simplex(arrows=(point, arrow * np.array([[1, -1, 0]])))}), axes=1)


def test_heatmaps_write_numbers_that_can_be_read():
    matrix = np.array([[0.0, 1.0], [0.5, np.nan]])
    names = {"rows": ["laplace", "none"], "columns": ["cka", "euclidean"]}
    figure = plots.heatmaps({"right": matrix, "wrong": 1 - matrix}, numbers="{:.2f}", label="loss", **names)
    check(figure, axes=3)
    colours = {text.get_text(): text.get_color() for text in figure.axes[0].texts}
    assert colours["0.00"] == "white" and colours["1.00"] == "black"
    middling = plots.heatmaps({"": np.linspace(-1, 1, 41)[None]}, cmap="RdBu", numbers="{:+.1f}")
    for text, cell in zip(middling.axes[0].texts, middling.axes[0].collections[0].get_facecolors(), strict=True):
        contrast = [relative_luminance(colour) + 0.05 for colour in (text.get_color(), cell)]
        assert max(contrast) / min(contrast) > 4, "as WCAG asks for large text, and more"
    short = plots.heatmaps({"": np.eye(3)}, rows=["x1", "x2", "x3"], numbers="{:.0f}", width=5)
    check(short, axes=2)
    check(plots.heatmaps({"one": np.zeros((64, 64)), "two": np.ones((32, 32))}), axes=3)


def test_bars_keep_a_series_its_colour():
    panels = {"p": {"student": {"a": 0.2, "b": 0.8}, "teacher": {"a": 0.5, "b": 0.5}}, "grad": {"student": {"z": -1.0}}}
    figure = plots.bars(panels, ylabel="probability")
    check(figure, axes=2)
    first, second = (ax.containers[0].patches[0] for ax in figure.axes)
    assert first.get_facecolor() == second.get_facecolor() and second.get_height() == -1
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["student", "teacher"]


def test_lines_have_bands_and_one_legend():
    panels = {
        "W": {"joint": ([1, 2, 3], [5, 3, 1], [0.5, 0.2, 0.1]), "fixed": ([1, 2], [1, 1])},
        "loss": {"joint": ([1], [2])},
    }
    figure = plots.lines(panels, xlabel="epoch", ylabel="W", log="y")
    check(figure, axes=2)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["joint", "fixed"]
    band = figure.axes[0].collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == pytest.approx(0.9) and band[:, 1].max() == pytest.approx(5.5)
    assert figure.axes[0].get_yscale() == "log"


def names_of(figure):
    return [text for ax in figure.axes for text in ax.texts]


@pytest.mark.parametrize("crowd", [1.0, 0.05])
def test_scatter_names_every_point_and_no_name_covers_another(crowd):
    rng = np.random.default_rng(0)
    cloud = {f"Method{i}": tuple(1 + crowd * rng.random(2)) for i in range(20)}
    some = {name: cloud[name] for name in list(cloud)[:8]}
    rest = {name: (*cloud[name], 0.01) for name in list(cloud)[8:]} | {"far away": (3, 3, np.nan)}
    figure = plots.scatter({"time": {"logit": some, "feature": rest}, "none": {"logit": {}}}, xlabels=["x", "y"])
    check(figure, axes=2)
    assert {text.get_text() for text in names_of(figure)} == {*cloud, "far away"}
    boxes = [text.get_window_extent() for text in names_of(figure)]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    ax = figure.axes[0]
    markers = ax.transData.transform([point[:2] for point in (some | rest).values()])
    assert not any(box.contains(*marker) for box in boxes for marker in markers)


def test_scatter_of_one_series_with_diagonal_and_log():
    figure = plots.scatter({"": {"all": {"a": (1, 1), "b": (10, 100)}}}, log="xy", diagonal=True)
    check(figure, axes=1)
    assert not figure.legends


def test_score_table_marks_best_and_second_and_dashes_what_is_missing():
    groups = {
        "baseline": {"teacher": {"mIoU": [90.0, 92.0], "fwIoU": [95.0]}},
        "logit": {"KD": {"mIoU": [50.0, 52.0], "fwIoU": []}, "A & B": {"mIoU": [51.5], "fwIoU": [80.0]}, "DKD": {}},
        "both": {"LIX": {"mIoU": [50.9]}},
    }
    table = plots.score_table(groups, columns=("mIoU", "fwIoU"), unranked=("baseline",), corner="type")
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>.*?</tr>", table)]
    assert cells == [
        ["type", "", "mIoU", "fwIoU", "seeds"],
        ["baseline", "teacher", "91.00 ± 1.41", "95.00", "2"],
        ["logit", "KD", "<u>51.00</u> ± 1.41", "–", "2"],
        ["", "A &amp; B", "<b>51.50</b>", "<b>80.00</b>", "1"],
        ["", "DKD", "–", "–", "–"],
        ["both", "LIX", "50.90", "–", "1"],
    ]


def test_forest_draws_every_row_and_lets_only_thin_lines_leave():
    full = plots.Estimate(1.0, (0.5, 1.5), (-40, 42), (0.8, 1.2), sure=True)
    figure = plots.forest({"minus student": {"KD": full, "LIX": plots.Estimate(-2.0)}, "none": {}}, ["KD", "AT", "LIX"])
    check(figure, axes=2)
    low, high = figure.axes[0].get_xlim()
    assert -3 < low < -2 and 1.5 < high < 3
    assert figure.axes[1].get_xlim() == (low, high), "all panels have one scale"
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["KD", "AT", "LIX"]


def test_only_drawing_imports_seaborn():
    code = "import sys, lixlib.cli; assert not {'seaborn', 'matplotlib', 'pandas'} & set(sys.modules)\n"
    code += "import lixlib.plots; assert not {'seaborn', 'pandas'} & set(sys.modules)"  # only heatmaps need them
    subprocess.run([sys.executable, "-c", code], check=True)


def test_heatmaps_leave_what_is_not_there_blank():
    check(plots.heatmaps({"nothing": np.full((2, 3), np.nan)}, numbers="{:.0f}"), axes=2)
    figure = plots.heatmaps({"": [[1.0, np.nan], [2.0, 3.0]]}, numbers="{:.0f}")
    assert sorted(text.get_text() for text in figure.axes[0].texts) == ["1", "2", "3"]


def test_a_named_colour_is_kept_and_the_others_take_theirs_in_turn():
    chosen = {"teacher": "#0072B2", "nobody": "#000000"}
    series = {"student": {"a": 0.2}, "teacher": {"a": 0.8}}
    figures = plots.bars({"p": series}, colours=chosen), plots.bars({"p": series})
    first, second = ([bar.patches[0].get_facecolor() for bar in figure.axes[0].containers] for figure in figures)
    assert to_hex(first[1]) == "#0072b2" and first[0] == second[0]
    curves = plots.lines({"": {"teacher": ([1, 2], [1, 2])}}, colours=chosen)
    assert curves.axes[0].lines[0].get_color() == "#0072B2" and not curves.legends
    walk = plots.Simplex(paths={"KL": np.eye(3)}, points={"teacher": np.eye(3)[0]})
    drawn = [line.get_color() for line in plots.simplexes({"": walk}, colours=chosen | {"KL": "#CC79A7"}).axes[0].lines]
    assert "#CC79A7" in drawn and "#0072B2" in drawn and "black" not in drawn


def test_growth_has_powers_of_two_and_a_slope_of_one_where_nothing_gets_smaller():
    rising, falling = {"batch": ([1, 4, 16], [1, 3, 12])}, {"workers": ([1, 2], [1, 0.6])}
    figure = plots.growth({"time": rising, "a run": falling})
    check(figure, axes=2)
    time, run = figure.axes
    (batch, one), (workers,) = time.lines, run.lines
    assert list(one.get_xdata()) == list(one.get_ydata()) == [1, 16] and batch.get_marker() == "o"
    assert [time.xaxis.get_scale(), time.yaxis.get_scale()] == ["log", "log"]
    assert {"1", "2", "16"} <= {label.get_text() for label in time.get_xticklabels()}
    assert workers.get_label() == "workers" and run.get_ylim()[0] < 0.5, "the next number of the scale is there"
