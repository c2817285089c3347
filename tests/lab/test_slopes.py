"""Slopes of growth, and what the figure is drawn from."""

import pytest

from lixlib.lab import growth

LINES = [
    *({"series": "batch", "x": x, "seconds": 3e-3 * x**2, "peak_mib": 5.0 * x} for x in (4, 1, 2)),
    *({"series": "workers", "x": x, "seconds": 0.4 / x} for x in (1, 2)),
]


def test_slopes_by_what_grows():
    found = growth.slopes(LINES)
    assert found == {
        "images in a step": pytest.approx({"time": 2, "memory": 1}),
        growth.WORKERS: pytest.approx({"time": -1}),
    }
    assert growth.slopes([]) == {}


def test_panels_are_multiples_of_the_first():
    found = growth.panels(LINES)
    assert found["time of a step"] == {"images in a step": ([1, 2, 4], pytest.approx([1, 4, 16]))}
    assert found["peak memory of a step"]["images in a step"][1] == pytest.approx([1, 2, 4])
    assert found["time of a run in a grid"][growth.WORKERS] == ([1, 2], pytest.approx([1, 0.5]))
    assert list(growth.panels([])) == ["time of a step", "peak memory of a step"]
