"""How time and memory grow: what is measured, what is kept, and what the page makes of it."""

from functools import partial

import pytest
import torch
from distributed import LocalCluster

from lixlib.core.files import read_json_lines
from tools.benchmarks.growth import __main__ as command
from tools.benchmarks.growth import page, runs, series
from tools.dev.readme_tables import ROOT, update_growth

ABOUT = {"device": "CPU, 1 threads", "commit": "abc", "quick": False}


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_slopes():
    xs = [1, 2, 4, 8]
    steepness, _ = page.slope(xs, [3 * x**2 for x in xs])
    assert steepness == pytest.approx(2)
    assert page.slope(xs, [5.0] * 4)[0] == pytest.approx(0)
    assert page.slope([1, 10, 100], [2, 20, 20])[0] == pytest.approx(0.5)
    for wrong in (([2, 2], [1, 2]), ([1, 2], [0, 1]), ([3], [1])):
        with pytest.raises(ValueError, match="two different x and numbers above 0"):
            page.slope(*wrong)


def test_steps_are_measured_kept_and_not_measured_again(tmp_path, monkeypatch, capsys):
    calls = []

    def counted(quick):
        calls.append(quick)
        return [{"x": x, "seconds": 0.01 * x, "peak_mib": 2.0} for x in (1, 2)]

    monkeypatch.setitem(command.MEASURE, "taps", counted)
    options = partial(
        command.Options, ("batch", "taps"), quick=True, results=tmp_path, picture=tmp_path / "docs" / "growth.png"
    )
    command.main(options())
    lines = read_json_lines(tmp_path / "growth.jsonl")
    assert [(line["series"], line["x"]) for line in lines] == [("batch", 2), ("batch", 4), ("taps", 1), ("taps", 2)]
    assert all(line["seconds"] > 0 and line["peak_mib"] > 0 and line["device"] and line["command"] for line in lines)
    assert lines[1]["peak_mib"] / lines[0]["peak_mib"] == pytest.approx(2, abs=0.2)
    assert options().picture.read_bytes().startswith(b"\x89PNG")
    assert "| taps that ARFD compares | 1 | 2 | 10 ms | 20 ms | 1.00 | 0.00 |" in capsys.readouterr().out
    monkeypatch.setattr(page, "draw", lambda lines, path: None)
    command.main(options())
    assert calls == [True] and read_json_lines(tmp_path / "growth.jsonl") == lines
    command.main(command.Options(("taps",), quick=True, again=True, results=tmp_path, picture=options().picture))
    assert calls == [True, True] and len(read_json_lines(tmp_path / "growth.jsonl")) == 4


def test_what_is_the_same_measurement():
    assert command._same(ABOUT, {**ABOUT, "commit": "abc-dirty"})
    for name, other in (("commit", "abd"), ("device", "another"), ("quick", True)):
        assert not command._same(ABOUT, {**ABOUT, name: other})


def test_an_unknown_series(tmp_path):
    with pytest.raises(SystemExit, match="unknown series 'speed': choose of 'batch', 'pixels'"):
        command.main(command.Options(("speed",), results=tmp_path))


def test_every_point_changes_what_it_says(monkeypatch):
    asked = []
    monkeypatch.setattr(series, "step_of", lambda *words, **settings: asked.append(settings))
    for each in series.STEPS.values():
        for changes in each.points.values():
            series.step_at(**changes)
    found = iter(asked)
    assert [next(found)["batch"] for _ in range(5)] == [2, 4, 8, 16, 32]
    sizes = [next(found)["size"] for _ in range(4)]
    assert [height * width for height, width in sizes] == list(series.STEPS["pixels"].points)
    assert [next(found)["num_classes"] for _ in range(5)] == [5, 10, 20, 40, 80]
    taps = [next(found)["feature"]["taps"] for _ in range(4)]
    assert [len(names) for names in taps] == [1, 2, 4, 7] and taps[0] == ("conv5",)
    assert [next(found)["unlabelled"] for _ in range(3)] == [1, 4, 15]


def test_a_step_with_taps_and_unlabelled_images():
    step = series.step_at(size=(32, 64), batch=3, unlabelled=2, taps=("conv5",), num_classes=4)
    assert {name: float(term.detach()) > 0 for name, term in step().items()} == {"ce": True, "dwld": True, "arfd": True}


def test_grids(monkeypatch):
    monkeypatch.setattr(runs, "LINES", (2, 4, 8))
    assert [row["x"] for row in runs.measure_asked_again(quick=False)] == [2, 4, 8]
    found = runs.measure_append(quick=True)
    assert [row["x"] for row in found] == [2, 4] and all(row["seconds"] > 0 for row in found)


def test_workers(monkeypatch):
    """The workers are threads here, which start at once."""
    monkeypatch.setattr(runs, "LocalCluster", partial(LocalCluster, processes=False))
    first, second = runs.measure_workers(quick=True)
    assert (first["x"], second["x"]) == (1, 2) and first["runs"] == 2 and first["cores"] >= 1
    assert first["overhead"] == pytest.approx(first["seconds"] - first["alone"], abs=1e-3)


def test_the_page():
    overheads = {1: 0.2, 2: 0.3}
    grid = {"series": "workers", "alone": 0.1, "runs": 16, "cores": 2}
    lines = [{**grid, "x": x, "seconds": 0.4 / x, "overhead": overhead, **ABOUT} for x, overhead in overheads.items()]
    lines += [{"series": "append", "x": x, "seconds": 1e-3 * x, **ABOUT} for x in (100, 10)]
    lines += [{"series": "asked again", "x": x, "seconds": 1e-2 * x, **ABOUT} for x in (10, 100)]
    lines += [{"series": "pixels", "x": x, "seconds": x**2 / 1e9, "peak_mib": x, **ABOUT} for x in (2000, 8000)]
    text = page.page(lines)
    assert "| pixels of an image | 2,000 | 8,000 | 4 ms | 64 ms | 2.00 | 1.00 |" in text
    assert "| Dask workers of a grid (time a run) | 1 | 2 | 400 ms | 200 ms | -1.00 |  |" in text
    assert "0.10 s alone keeps one of 2 cores longer in a grid, by 0.20 s with 1, 0.30 s with 2 workers." in text
    assert "With 2, 1,000 runs take 150 s longer for it" in text
    assert "A grid of 1,000 runs takes 10 s" in text and "one by one takes 500 s in all" in text  # 1 + ... + 1000 ms
    assert text.endswith("CPU, 1 threads; commit abc.")
    assert page.page([]) == page.NOBODY


def test_the_page_is_current():
    text = (ROOT / "docs" / "growth.md").read_text(encoding="utf-8")
    assert update_growth(text, ROOT / "results") == text, "run `python -m tools.dev.readme_tables`"
