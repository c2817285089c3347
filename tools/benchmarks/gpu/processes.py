"""Part "processes": two processes, each with its card, train one run together."""

import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import torch

from lixlib.core.files import read_json_lines
from tools.benchmarks.gpu.jobs import Jobs, Place, Row, Skipped

TRAIN = ("train", "--method", "lix", "--size", "32", "96", "--epochs", "1", "--teacher", '{"epochs": 1}')
DATA = ("--dataset-options", '{"count": 16, "eval_count": 4}', "--unlabelled", "16")
LIMIT = 180  # seconds


def jobs(place: Place) -> Jobs:
    """One job; on a CPU two processes of the CPU.

    Raises:
        Skipped: there is one card, or the command shall be quick.
    """
    if place.quick:
        raise Skipped("quick")
    if place.is_card and torch.cuda.device_count() < 2:
        raise Skipped("one card")
    return {"lix train in two processes": partial(train, place)}


def train(place: Place) -> Row:
    """Train a tiny run by torchrun.

    Raises:
        RuntimeError: it ends in an error, or takes more than three minutes; the message is the end of what it said.
    """
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "LIX_RUNS": folder, "OMP_NUM_THREADS": "1"}
        command = [*torchrun, "-m", "lixlib.cli", *TRAIN, *DATA, "--device", place.device.type]
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"it was not done after {LIMIT} seconds") from None
        if done.returncode:
            raise RuntimeError(f"exit status {done.returncode}: {done.stderr.strip()[-400:]}")
        lines = [read_json_lines(path)[0] for path in Path(folder).rglob("result.jsonl")]
    (line,) = (line for line in lines if line["method"] == "lix")
    if line.get("processes") != 2:
        raise RuntimeError(f"two processes were started, and {line.get('processes', 1)} trained")
    return {"processes": line["processes"], "mIoU": line["metrics"]["mIoU"]}
