"""The picture of a running training keeps its axes while it grows, and shows what the log has."""

import numpy as np
import pytest

from lixlib import plots

ROWS = [
    {
        "epoch": epoch,
        "ce": 2.0 / epoch,
        "dwld": 1.0 - 0.5 * epoch,
        "arfd": 0.1,
        "mIoU": 0.3,
        "watch": {
            "shares": {"ce": 0.5, "dwld": 0.3, "arfd": 0.2},
            "weights": {"least": 1.0, "mean": 2.0, "most": 9.0},
            "cka": {"conv2": 0.5, "conv5": 0.9},
        },
        "seconds": 1.0,
    }
    for epoch in range(1, 4)
]


def looks(figure):
    figure.draw_without_rendering()
    return [np.round(ax.get_window_extent().extents) for ax in figure.axes], [
        (ax.get_title(), ax.get_xlim(), ax.get_ylim()) for ax in figure.axes
    ]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_nothing_jumps_while_it_grows(count):
    empty, grown = looks(plots.progress([], 10)), looks(plots.progress(ROWS[:count], 10))
    assert empty[1] == grown[1] and np.allclose(empty[0], grown[0], atol=1)


def test_every_entry_of_the_log_is_drawn():
    terms, shares, weights, cka = plots.progress(ROWS, 10, bounds=(0, 10)).axes
    lines = {line.get_label(): line.get_ydata() for line in terms.lines}
    assert list(lines["ce"]) == [2.0, 1.0, 2 / 3] and list(lines["dwld"]) == [0.5, 0.0, -0.5]
    assert len(shares.collections) == 3 and {line.get_label() for line in cka.lines} == {"conv2", "conv5"}
    (mean,) = weights.lines
    assert list(mean.get_ydata()) == [2.0] * 3


def test_a_student_alone_and_a_row_without_a_number():
    rows = [{"epoch": 1, "ce": 1.0, "watch": {"shares": {"ce": 1.0}}, "seconds": 1.0}, {"epoch": 2, "ce": None}]
    plots.progress(rows, 2).draw_without_rendering()


def test_a_card_has_a_panel_of_its_own():
    card = {"use": 90.0, "watts": 300.0, "mib": None}
    rows = [{**row, "watch": {**row["watch"], "card": card}} for row in ROWS]
    *_, last = plots.progress(rows, 10).axes
    assert last.get_title() == "the card" and {line.get_label() for line in last.lines} == {"use", "watts"}
