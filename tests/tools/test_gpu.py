"""`make gpu`: what it finds wrong, what it records when a part fails, and what the page says of its lines."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import lixlib.cli
from lixlib.core.files import read_json_lines, write_json_lines
from tools.benchmarks.gpu import __main__ as command
from tools.benchmarks.gpu import agreement, graphs, page, processes, steps, traffic, waits
from tools.benchmarks.gpu.jobs import Place, Skipped, run_part
from tools.benchmarks.losses import Case
from tools.dev.readme_tables import ROOT, update_gpu

CPU = Place(torch.device("cpu"), quick=True)


def first(jobs, *names):
    """The same part with these jobs alone."""
    return lambda place: {name: call for name, call in jobs(place).items() if name in names}


def fails(place):
    def wrong():
        raise RuntimeError("the card is on fire\nand more")

    return {"first": lambda: {"number": 1}, "second": wrong, "third": lambda: {"number": 3}}


PARTS = {
    "agreement": first(agreement.jobs, "kd_loss", "method lix"),
    "networks": first(steps.jobs, "mfnet none"),
    "losses": first(traffic.jobs, "dwld_loss", "cka"),
    "graphs": first(graphs.jobs, "dwld_loss"),
    "waits": first(waits.jobs, "lix"),
    "processes": processes.jobs,
}


def test_the_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "PARTS", PARTS)
    options = command.Options(device="cpu", quick=True, results=tmp_path)
    assert command.main(options) == 0
    (line,) = read_json_lines(tmp_path / "gpu.jsonl")
    assert line["on"] == "cpu" and line["small"] and line["commit"] and line["versions"]["torch"]
    assert line["command"].startswith("python -m tools.benchmarks.gpu")
    assert list(line["parts"]) == list(command.PARTS)
    for part in line["parts"].values():
        assert set(part) == {"status", "messages", "seconds", "rows"}
    statuses = [part["status"] for part in line["parts"].values()]
    assert statuses == ["passed"] * 5 + ["skipped"] and line["parts"]["processes"]["messages"] == ["quick"]
    (network,) = line["parts"]["networks"]["rows"]
    assert network["images_per_second"] > 0 and network["tflop_per_second"] > 0 and network["share_of_peak"] is None
    for row in line["parts"]["losses"]["rows"]:
        assert math.isclose(row["ratio"], row["ms"] / row["floor_ms"], rel_tol=0.2)
    assert [row["compiled_ratio"] is None for row in line["parts"]["losses"]["rows"]] == [False, True]
    shown = capsys.readouterr().out
    monkeypatch.setattr(command, "PARTS", dict.fromkeys(PARTS, lambda place: {}))
    assert command.main(options) == 0
    (again,) = read_json_lines(tmp_path / "gpu.jsonl")  # it has taken the place of the first
    assert not again["parts"]["networks"]["rows"]
    assert page.table(line) in shown and "| two processes |  | skipped: quick |" in shown


def test_the_parts_are_all_there_is():
    assert list(command.PARTS) == list(PARTS) == list(page.TITLES) == list(page.ROWS)
    names = set(waits.jobs(CPU))
    assert names == set(steps.METHODS) and {f"method {name}" for name in names} < set(agreement.jobs(CPU))


def test_a_part_that_raises_is_recorded_and_the_others_go_on(tmp_path, monkeypatch, capsys):
    def broken(place):
        raise KeyError("no such thing")

    parts = {**PARTS, "agreement": broken, "networks": fails, "losses": lambda place: {}, "graphs": lambda place: {}}
    monkeypatch.setattr(command, "PARTS", {**parts, "waits": first(waits.jobs, "kd")})
    monkeypatch.setitem(page.ROWS, "networks", lambda rows: [(row["name"], str(row["number"])) for row in rows])
    assert command.main(command.Options(device="cpu", quick=True, results=tmp_path)) == 1
    (line,) = read_json_lines(tmp_path / "gpu.jsonl")
    assert line["parts"]["agreement"]["messages"] == ["KeyError: 'no such thing'"]
    networks = line["parts"]["networks"]
    assert networks["status"] == "failed" and [row["name"] for row in networks["rows"]] == ["first", "third"]
    assert networks["messages"] == ["second: RuntimeError: the card is on fire; and more"]
    assert line["parts"]["waits"]["status"] == "passed"
    shown = capsys.readouterr().out
    assert "| steps in bfloat16 |  | failed: second: RuntimeError: the card is on fire; and more |" in shown


def test_nothing_starts_after_the_deadline():
    found = run_part("late", fails, CPU, deadline=-math.inf)
    assert found["status"] == "failed" and not found["rows"] and len(found["messages"]) == 3
    assert "the time was over" in found["messages"][0]


def test_a_machine_without_a_card(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine has a card")
    with pytest.raises(SystemExit, match="no GPU"):
        command.main(command.Options(results=tmp_path))


def test_a_loss_that_differs_on_the_device(monkeypatch):
    calls = []

    def uneven(student, teacher):
        calls.append(student)
        return (student - teacher).pow(2).mean() * (1 + 1e-2 * len(calls))

    monkeypatch.setattr(agreement.functional, "fitnet_loss", uneven)
    with pytest.raises(ValueError, match="in float64 it differs from the CPU by 9.*e-03, and 1e-09 is allowed"):
        agreement.compare_loss(Case("fitnet_loss", (2, 3, 4, 5)), CPU.device)


def test_a_result_that_is_no_number_differs():
    assert agreement.difference([torch.tensor(math.nan)], [torch.tensor(1.0)]) == math.inf
    assert agreement.difference([torch.tensor([1.0, 2.0])], [torch.tensor([1.0, 4.0])]) == 0.5


def test_random_numbers_are_those_of_the_cpu():
    def draw():
        torch.manual_seed(1)
        maps = torch.empty(2, 3, dtype=torch.float64)
        return [
            torch.rand_like(maps[:, :1], dtype=torch.float32),
            torch.randn_like(maps),
            torch.randint(9, (4,), device="cpu"),
        ]

    with agreement.SameRandom():
        same = draw()
    assert [value.dtype for value in same] == [torch.float32, torch.float64, torch.int64]
    assert all(torch.equal(a, b) for a, b in zip(same, draw(), strict=True))


def test_a_graph_that_breaks():
    def branching(x):
        return x + 1 if x.sum() > 0 else x - 1

    assert graphs.trace(lambda x: x + 1, torch.ones(2)) == {"graphs": 1}
    with pytest.raises(ValueError, match="torch.compile makes [023456789] graphs of it: .+"):
        graphs.trace(branching, torch.ones(2))


class Reads(torch.autograd.Function):
    """The identity, whose backward pass reads a number."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * float(gradient.sum())


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.sum().item(),
        lambda x: bool(x.any()),
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: Reads.apply(x).sum().backward(),
    ],
)
def test_what_reads_a_number_is_found(call):
    x = torch.rand(3, 4, requires_grad=True)
    with waits.NoReads(), pytest.raises(waits.Waited, match="reads a number"):
        call(x)


def test_the_step_of_a_method_that_reads_a_number(monkeypatch):
    forward = steps.METHODS["kd"].make.forward

    def reading(self, student, teacher, target):
        terms = forward(self, student, teacher, target)
        return {name: term * float(term > 0) for name, term in terms.items()}

    monkeypatch.setattr(steps.METHODS["kd"].make, "forward", reading)
    with pytest.raises(waits.Waited):
        waits.watch("kd", CPU)


def test_a_batch_that_does_not_fit_is_halved(monkeypatch):
    tried = []

    def measured(network, method, place, size, batch):
        tried.append(batch)
        if batch > 2:
            raise torch.cuda.OutOfMemoryError("too much")
        return {"batch": batch}

    monkeypatch.setattr(steps, "_measured", measured)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    card = Place(torch.device("cuda"))
    assert steps.measure("sne-roadseg", "lix", card) == {"batch": 2} and tried == [8, 4, 2]


def test_one_card_trains_in_no_two_processes(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(Skipped, match="one card"):
        processes.jobs(Place(torch.device("cuda")))


def test_two_processes(monkeypatch, capsys):
    """The command and what becomes of its end: tests/training/test_parallel.py trains in two processes."""
    monkeypatch.setattr(sys, "argv", ["lix", "train", "--help"])
    with pytest.raises(SystemExit):
        lixlib.cli.main()
    offered = capsys.readouterr().out
    (call,) = processes.jobs(Place(CPU.device)).values()
    line = {"method": "lix", "processes": 2, "metrics": {"mIoU": 0.5}}
    status = 0

    def torchrun(command, env, **_):
        assert command[1:6] == ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m"]
        flags = {word for word in command[command.index("train") :] if word.startswith("--")}
        assert flags <= set(re.findall(r"--[a-z][a-z-]*", offered))
        write_json_lines(Path(env["LIX_RUNS"]) / "run" / "result.jsonl", [line])
        return subprocess.CompletedProcess(command, status, "", "Traceback: no such thing")

    monkeypatch.setattr(processes.subprocess, "run", torchrun)
    assert call() == {"processes": 2, "mIoU": 0.5}
    line["processes"] = 1
    with pytest.raises(RuntimeError, match="two processes were started, and 1 trained"):
        call()
    status = 1
    with pytest.raises(RuntimeError, match="exit status 1: Traceback: no such thing"):
        call()


def card_line() -> dict:
    """A line as a card would write it."""
    row = {"name": "mfnet lix", "network": "mfnet", "method": "lix", "options": {}, "size": [384, 1248], "batch": 16}
    row |= {"images_per_second": 123.4, "tflop_per_second": 50.0, "share_of_peak": 0.05, "peak_mib": 10240.0}
    passed = {"status": "passed", "messages": [], "seconds": 1.0}
    parts = {"networks": {**passed, "rows": [row]}}
    parts["processes"] = {"status": "skipped", "messages": ["one card"], "seconds": 0.0, "rows": []}
    about = {"device": "Card 1", "on": "cuda", "small": False, "commit": "abc", "versions": {"torch": "2.6"}}
    return {**about, "seconds": 400.0, "parts": parts}


def test_the_page_says_that_nobody_has_run_it_until_a_card_has(tmp_path):
    text = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
    path = tmp_path / "benchmark" / "gpu.jsonl"
    path.parent.mkdir()
    assert page.NOBODY in update_gpu(text, tmp_path)
    path.write_text(json.dumps({**card_line(), "on": "cpu"}) + "\n" + json.dumps({**card_line(), "small": True}) + "\n")
    assert page.NOBODY in update_gpu(text, tmp_path)
    with path.open("a") as file:
        file.write(json.dumps(card_line()) + "\n")
    shown = update_gpu(text, tmp_path)
    assert page.NOBODY not in shown and "**Card 1, torch 2.6, commit abc, 400 s**" in shown
    assert "MFNet, LIX, 16 x 384 x 1248 | 123.4 images/s, 50 TFLOP/s, 5 % of peak, 10.0 GiB |" in shown
    assert "| two processes |  | skipped: one card |" in shown


def test_the_page_is_current():
    text = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
    assert update_gpu(text, ROOT / "results") == text, "run `python -m tools.dev.readme_tables`"
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "python -m tools.benchmarks.gpu" in makefile and Path(ROOT / "tools/benchmarks/gpu/__main__.py").exists()
