"""Two processes started by torchrun train like one that averages over the halves of every batch."""

import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_train import Scenes, distiller
from torch import multiprocessing, nn

from lixlib.core.files import read_json_lines
from lixlib.data import Sample
from lixlib.distillers import Distiller
from lixlib.training import Schedule, fit, launch

SCHEDULE = Schedule(epochs=2, batch=4, lr=0.05)
METHODS = {"lix": 0.0, "kd": 0.0, "none": 0.8, "mean-teacher": 0.0}  # and the decay of the student's moving average
ALONE = [method for method in METHODS if method != "mean-teacher"]  # whose average follows every forward pass
WEIGHTS = {"none": torch.tensor([0.5, 1.0, 2.0])}  # of the classes
KILLED_AFTER = 1  # epochs


def built(method: str) -> Distiller:
    return distiller(method, class_weights=WEIGHTS.get(method))


def half(batch: Sample, rank: int) -> Sample:
    tensors = (batch.rgb[rank::2], batch.x[rank::2], batch.valid[rank::2], batch.label[rank::2])
    return Sample(*tensors, batch.name[rank::2])


class Halves(nn.Module):
    """The mean over the losses of the two halves of a batch, in one process."""

    def __init__(self, distiller):
        super().__init__()
        self.distiller, self.student = distiller, distiller.student

    def forward(self, batch):
        first, second = (self.distiller(half(batch, rank)) for rank in range(2))
        return {name: (first[name] + second[name]) / 2 for name in first}


def train_in_two(rank: int, port: int, folder: Path) -> None:
    """What each of the two processes does; the first writes."""
    torchrun = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
    torchrun |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test"}
    os.environ |= {name: str(value) for name, value in torchrun.items()}
    torch.set_num_threads(1)
    fabric = launch("cpu")
    assert fabric.world_size == 2
    if rank:
        folder = folder / "of the second"
    for method, ema in METHODS.items():
        schedule = replace(SCHEDULE, ema=ema)
        whole, killed = folder / method, folder / f"{method} killed"

        def as_if_killed(epoch, _, whole=whole, killed=killed):
            if epoch == KILLED_AFTER + 1:
                shutil.copytree(whole, killed)
            return {"epochs seen": epoch}

        model = built(method)
        fit(model, Scenes(), schedule, folder=whole, fabric=fabric, validation=Scenes(4), observe=as_if_killed)
        if not rank:
            torch.save(dict(model.named_parameters()), folder / f"{method}.pt")
        fabric.barrier()
        resumed = built(method)
        if rank:  # on one file system all processes find the same checkpoint
            shutil.copytree(folder.parent / killed.name, killed)
        fabric.barrier()
        fit(resumed, Scenes(), schedule, folder=killed, fabric=fabric, validation=Scenes(4))
        assert all(map(torch.equal, model.parameters(), resumed.parameters()))
    with pytest.raises(ValueError, match="2 processes cannot share a batch of 3 equally"):
        fit(model, Scenes(), Schedule(batch=3), folder=folder / "odd", fabric=fabric)


@pytest.fixture(scope="module")
def in_two(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("in two")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = "fork" if sys.platform == "linux" else "spawn"  # a fork need not import torch again
    multiprocessing.start_processes(train_in_two, (port, folder), nprocs=2, start_method=start)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("method", ALONE)
def test_two_processes_take_the_steps_of_one(method, in_two, tmp_path):
    alone = built(method)
    log = fit(Halves(alone), Scenes(), replace(SCHEDULE, ema=METHODS[method]), folder=tmp_path)
    start, found = dict(built(method).named_parameters()), torch.load(in_two / f"{method}.pt")
    for name, parameter in alone.named_parameters():
        torch.testing.assert_close(found[name], parameter, rtol=1e-5, atol=1e-6)
        assert not parameter.requires_grad or not torch.equal(parameter, start[name]), f"{name} did not move"
    found = read_json_lines(in_two / method / "log.jsonl")
    for row, expected in zip(found, log, strict=True):
        terms = {name: value for name, value in expected.items() if name != "seconds"}
        assert {name: row[name] for name in terms} == pytest.approx(terms, rel=1e-5)
        assert row["epochs seen"] == row["epoch"] and 0 <= row["mIoU"] <= 1


@pytest.mark.slow
def test_torchrun_trains_one_run_with_its_teacher_and_stage(tmp_path, monkeypatch):
    monkeypatch.setenv("LIX_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("LIX_CACHE", str(tmp_path / "cache"))
    words = ["train", "--method", "ft", "--method-options", '{"stage_epochs": 1}', "--epochs", "1", "--batch-size", "4"]
    words += [
        "--size",
        "32",
        "48",
        "--dataset-options",
        '{"count": 8, "eval_count": 2}',
        "--unlabelled",
        "2",
        "--device",
        "cpu",
    ]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += ["-m", "lixlib.cli", *words, "--results", str(tmp_path / "results")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("weights: ") == 1, "the first process alone tells"
    (line,) = read_json_lines(tmp_path / "results" / "toydrive" / "mfnet.jsonl")
    assert (line["processes"], line["updates"]) == (2, 2)
    assert line["command"].startswith("torchrun --nproc_per_node=2 -m lixlib.cli train --method ft")
    folders = sorted(path.parent.name.split("-seed")[0] for path in (tmp_path / "runs").rglob("checkpoint.pt"))
    assert folders == ["ft", "ft-stage", "teacher"]


@pytest.mark.slow
def test_only_the_first_process_writes(in_two):
    assert sorted(path.name for path in (in_two / "kd").iterdir()) == ["checkpoint.pt", "log.jsonl"]
    assert not (in_two / "of the second" / "kd").exists()
