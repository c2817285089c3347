"""The measuring tools: what they measure is what was done, and every line that they write is complete."""

import math
from dataclasses import replace

import pytest
import torch

from lixlib.core.files import read_json_lines
from lixlib.lab import main_table
from tools.benchmarks import losses, method_cost, paper_size
from tools.benchmarks.measure import MIB, median_seconds, peak_bytes

CPU = torch.device("cpu")
# old processors emulate bfloat16, at a tenth of the speed or less; test_nets.py has the networks in it
FLOAT32 = "32-true"


def test_peak_is_what_was_alive_at_one_time():
    def call():
        first = torch.empty(3 * MIB, dtype=torch.uint8)
        del first
        second, third = (torch.empty(2 * MIB, dtype=torch.uint8) for _ in range(2))
        return second, third

    assert peak_bytes(call, CPU) == 4 * MIB


def test_peak_leaves_out_what_was_there_before():
    before = [torch.empty(MIB, dtype=torch.uint8)]
    assert peak_bytes(before.clear, CPU) == 0


def test_calls_are_made_in_turn(monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr("tools.benchmarks.measure.time.perf_counter", lambda: float(next(clock)))
    calls = []
    medians = median_seconds({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 3, CPU)
    assert "".join(calls) == "abababab"  # the first round is not timed
    assert medians == {"a": 1.0, "b": 1.0}


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def check(lines: list[dict], numbers: tuple[str, ...]) -> None:
    for line in lines:
        assert all(math.isfinite(line[name]) and line[name] > 0 for name in numbers), line
        assert line["versions"]["torch"] and line["device"] and line["command"]


def test_benchmark_of_the_losses(tmp_path, one_thread):
    options = losses.Options(quick=True, results=tmp_path)
    losses.main(options)
    lines = read_json_lines(tmp_path / "losses.jsonl")
    assert [line["loss"] for line in lines] == [case.name for case in losses.cases(quick=False)]
    check(lines, ("ms", "plain_ms", "time_ratio", "mib", "plain_mib", "memory_ratio"))
    again = losses.Options(losses=("kd_loss",), quick=True, results=tmp_path)
    losses.main(again)
    others = read_json_lines(tmp_path / "losses.jsonl")
    assert [line["loss"] for line in others] == [line["loss"] for line in lines]
    assert others[1:] == lines[1:]


def test_a_loss_that_is_not_its_transcription(monkeypatch):
    monkeypatch.setattr(losses.reference, "fitnet_loss", lambda s, t: 2 * (s - t).pow(2).mean())
    with pytest.raises(RuntimeError, match="fitnet_loss differs"):
        losses.measure(losses.Case("fitnet_loss", (1, 2, 3, 4)), CPU, 1)


@pytest.mark.slow
def test_paper_size_in_processes_of_their_own(tmp_path, one_thread):
    options = paper_size.Options(networks=("mfnet",), threads=1, precision=FLOAT32, quick=True, results=tmp_path)
    paper_size.main(options)
    lines = read_json_lines(tmp_path / "paper_size.jsonl")
    assert [(line["what"], line["batch"]) for line in lines] == [("teacher", 1), ("student", 1), ("lix", 1), ("lix", 2)]
    check(lines, ("seconds", "peak_rss_mib"))
    assert all(line["fits"] for line in lines)
    assert lines[2]["peak_rss_mib"] > lines[1]["peak_rss_mib"], "an update keeps what a forward pass does not"
    case = paper_size.cases("mfnet", quick=True)[0]
    assert paper_size.measure(case, replace(options, limit_gib=0.01)) == {"fits": False, "limit_gib": 0.01}


def test_the_cases_of_paper_size_are_the_papers():
    sizes = {network: paper_size.cases(network, quick=False) for network in paper_size.PAPER}
    assert {network: cases[0].size for network, cases in sizes.items()} == {
        "mfnet": (384, 1248),
        "sne-roadseg": (384, 1248),
        "off-net": (704, 1280),
    }
    assert {case.options["encoder"] for case in sizes["sne-roadseg"]} == {"resnet152"}


def test_cost_of_the_arms_of_the_main_table(tmp_path, one_thread):
    options = method_cost.Options(methods=("lix",), precision=FLOAT32, quick=True, regime=True, results=tmp_path)
    method_cost.main(options)
    lines = read_json_lines(tmp_path / "regime" / "toydrive" / "mfnet.jsonl")
    assert [(line["method"], line["images"]) for line in lines] == [("student", 4), ("mean-teacher", 8), ("lix", 8)]
    assert main_table.costs(lines)["LIX, as published"] > 1


def test_cost_of_the_methods(tmp_path, one_thread):
    options = method_cost.Options(methods=("kd", "ft"), precision=FLOAT32, quick=True, results=tmp_path)
    method_cost.main(options)
    lines = read_json_lines(tmp_path / "toydrive" / "mfnet.jsonl")
    assert [(line["method"], line["images"]) for line in lines] == [("student", 8), ("kd", 16), ("ft", 16)]
    ratios = ("time_ratio", "time_ratio_same_images", "memory_ratio", "memory_ratio_same_images")
    check(lines, ("step_ms", "peak_mib", *ratios))
    assert all(lines[0][name] == 1 for name in ratios)
    # the teacher's weights and its maps are more than nothing
    assert all(line["memory_ratio"] > line["memory_ratio_same_images"] > 1 for line in lines[1:])
