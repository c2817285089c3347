"""`make bench`: what it measures, when it fails, and what it writes."""

import pytest
import torch

from lixlib.core.files import read_json_lines, write_json_lines
from tools.benchmarks import losses, ratios
from tools.benchmarks.ratios import OF_CE, OF_PARTS, OF_STUDENT, Options, ratio
from tools.dev.readme_tables import speed_table

QUICK = Options(compiled=False, threads=(1,), repetitions=1, quick=True)


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Run the command with one ratio whose values come from a list, and return the lines that are committed then."""

    def run(*values: float, **options):
        measurements = iter(values)
        measure = lambda: [ratio("kd_loss", OF_CE, next(measurements), 1)]  # noqa: E731
        monkeypatch.setattr(ratios, "groups", lambda _: [(1, measure)])
        ratios.main(Options(compiled=False, threads=(1,), results=tmp_path, **options))
        path = tmp_path / "ratios.jsonl"
        return read_json_lines(path) if path.exists() else []

    return run


def test_nothing_is_written_unless_asked(bench, capsys):
    assert bench(2.0) == []
    assert "Nothing to compare with" in capsys.readouterr().out
    (line,) = bench(2.0, write=True)
    assert line["ratio"] == 2 and line["device"].endswith("1 threads") and line["instructions"] and line["commit"]
    assert line["versions"]["torch"] == torch.__version__ and "tools.benchmarks.ratios" in line["command"]


def test_a_ratio_that_is_worse_twice_fails(bench, capsys):
    bench(2.0, write=True)
    (line,) = bench(2.59)
    assert line["ratio"] == 2, "not overwritten"
    bench(2.61, 2.5)  # a disturbance that is gone when it is measured once more
    with pytest.raises(SystemExit) as stopped:
        bench(2.7, 2.65)
    message = str(stopped.value)
    assert message.startswith("kd_loss: time, of cross-entropy's is 2.65, and 2.00 is committed")
    assert stopped.value.code == message, "which is exit status 1"
    assert "Nothing to compare with" not in capsys.readouterr().out.split("kd_loss", 1)[1]


def test_another_processor_is_not_compared_with(bench, tmp_path, capsys):
    (line,) = bench(2.0, write=True)
    other = {**line, "device": "Another, 1 threads", "ratio": 0.1}
    write_json_lines(tmp_path / "ratios.jsonl", [other])
    capsys.readouterr()
    assert bench(2.0) == [other]
    assert "Nothing to compare with" in capsys.readouterr().out
    assert [each["device"] for each in bench(2.0, write=True)] == [other["device"], line["device"]]


def test_what_is_measured():
    one = {name: case for case in losses.cases(quick=True) if (name := case.loss) in ratios.LOGIT}
    assert set(one) == set(ratios.LOGIT)
    found = ratios.of_loss(one["kd_loss"], QUICK, first=True)
    assert [line["over"] for line in found] == [ratios.OF_PLAIN, OF_CE, ratios.MEMORY, ratios.OF_LOGITS]
    assert len(ratios.of_loss(one["kd_loss"], QUICK, first=False)) == 2
    found += ratios.of_controller(one["dwld_loss"].shape, QUICK)
    found += ratios.of_arfd((48, 64), QUICK) + ratios.of_update((48, 64), QUICK)
    assert [line["over"] for line in found[4:]] == [OF_CE, OF_STUDENT, OF_STUDENT, OF_PARTS]
    assert all(line["ratio"] > 0 and line["above"] > 0 for line in found)


def test_every_goal_is_of_something_that_is_measured(monkeypatch):
    for name in ("loss", "controller", "arfd", "update"):
        monkeypatch.setattr(ratios, f"of_{name}", lambda what, _, **__: what)
    made = [measure() for _, measure in ratios.groups(Options())]
    assert len(made) == 2 * (len(ratios.LOGIT) + 1) + 3
    measured = {getattr(what, "loss", what) for what in made} | {ratios.CONTROLLER}
    for what, _ in ratios.GOALS:
        size = tuple(map(int, what.split(", ")[1].split(" x "))) if ", " in what else what
        assert size in measured


def test_where_there_is_no_compiler(monkeypatch, capsys):
    def broken(function):
        raise RuntimeError("no working C++ compiler\nhints")

    monkeypatch.setattr(torch, "compile", broken)
    assert not ratios.can_compile()
    assert capsys.readouterr().out.endswith("compared with that: no working C++ compiler\n")


def test_the_table_of_the_page():
    origin = {"device": "P, 1 threads", "instructions": "AVX2", "quick": False}
    lines = [
        {**ratio("kd_loss", OF_CE, 3, 2), "threads": 1, **origin},
        {**ratio("kd_loss", OF_CE, 4, 2), "threads": 2, **origin, "device": "P, 2 threads"},
        {**ratio("ARFD, 48 x 160", OF_STUDENT, 1, 4), "threads": 1, **origin},
    ]
    assert speed_table(lines).splitlines()[2:] == [
        "| kd_loss | time, of cross-entropy's | 1.50 | 2.00 | 2 |",
        "| ARFD, 48 x 160 | time, of the student's | 0.25 |  | 0.2 |",
        "",
        "P, AVX2.",
    ]
    assert "Nobody has measured" in speed_table([])
