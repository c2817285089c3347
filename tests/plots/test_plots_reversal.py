"""Two rankings side by side, and sums with their parts."""

import pytest
from matplotlib import pyplot as plt
from test_plots import check

from lixlib import plots
from lixlib.plots.reversal import FALLS, RISES, STAYS

BEFORE, AFTER = (
    {"DIST": 9.4, "KD": 2.3, "CWKD": 5.3, "AT": 0.0, "old": 1.0},
    {"CWKD": 5.0, "DIST": 4.0, "KD": 4.5, "AT": -0.04},
)


@pytest.fixture(autouse=True)
def closed():
    plt.switch_backend("agg")
    yield
    plt.close("all")


def test_slopes_join_the_places_of_a_name():
    figure = plots.slopes(BEFORE, AFTER, titles=("before", "after"))
    check(figure, axes=1)
    ends = {tuple(line.get_ydata()): line.get_color() for line in figure.axes[0].lines}
    assert ends == {(0, 2): FALLS, (2, 1): RISES, (1, 0): RISES, (3, 3): STAYS}
    words = {text.get_text(): text.get_weight() for text in figure.axes[0].texts}
    assert words["DIST  +9.4"] == words["CWKD  +5.0"] == "bold" and words["DIST  +4.0"] == "normal"
    assert "old  +1.0" not in words and "AT  -0.0" in words and {"before", "after"} < set(words)
    with pytest.raises(ValueError, match="no name is in both"):
        plots.slopes({"a": 1.0}, {"b": 1.0})


def test_stacked_parts_add_up_to_the_dot():
    rows = {"DIST": {"rare": 6.0, "common": 3.4}, "AT": {"rare": -1.0, "common": 0.5}}
    figure = plots.stacked({"before": rows, "after": rows}, xlabel="points")
    check(figure, axes=2)
    for ax in figure.axes:
        spans = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in ax.patches]
        assert [tuple(map(float, span)) for span in spans] == [(0, 6), (0, -1), (6, pytest.approx(9.4)), (0, 0.5)]
        assert list(ax.lines[0].get_xdata()) == [pytest.approx(9.4), -0.5]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["rare", "common"]
