"""Result lines: one run, one line of JSON, in results/<dataset>/<network>.jsonl."""

import json
import math
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import torch

from lixlib.files import one_at_a_time, read_json_lines, write_json_lines

METRICS = ("mIoU", "fwIoU", "mFsc", "fwFsc")
# what makes two lines the same run: a new line replaces the old one
IDENTITY = ("dataset", "network", "method", "seed", "split", "size", "epochs", "updates", "batch", "hyper")


def scored(scores: dict, names: tuple[str, ...]) -> dict:
    """The `metrics` and `per_class` entries of a line, from `lixlib.metrics.scores`; null if a class is absent."""
    pairs = zip(names, scores["IoU"], scores["F1"], strict=True)
    return {
        "metrics": {name: scores[name] for name in METRICS},
        "per_class": {name: [None if math.isnan(v) else v for v in values] for name, *values in pairs},
    }


def provenance(device: torch.device) -> dict:
    """Hardware, versions and commit of this process."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in ("torch", "numpy", "kornia")},
        },
        "commit": _commit(),
    }


def append(line: dict, root: Path | str = "results") -> Path:
    """Add a line to its file, in place of an earlier line of the same run."""
    path = Path(root) / line["dataset"] / f"{line['network']}.jsonl"
    with one_at_a_time(path.parent):  # two trainings may end at the same moment
        lines = read_json_lines(path) if path.exists() else []
        write_json_lines(path, [*(other for other in lines if _identity(other) != _identity(line)), line])
    return path


def read(root: Path | str, dataset: str, network: str = "mfnet") -> list[dict]:
    """All lines of a data set and network.

    Raises:
        FileNotFoundError: no such results; the message says how to make them.
    """
    path = Path(root) / dataset / f"{network}.jsonl"
    if not path.exists():
        raise FileNotFoundError(f"no results in {path}: make them by `lix train --dataset {dataset} --results {root}`")
    return read_json_lines(path)


def gap_closed(teacher: float, student: float, distilled: float) -> float | None:
    """The share of the way from the student to its teacher that distillation went; None where there is no way to go."""
    return (distilled - student) / (teacher - student) if teacher > student else None


def _identity(line: dict) -> tuple:
    # as it reads in the file, where a tuple is a list
    return tuple(json.dumps(line.get(key), sort_keys=True) for key in IDENTITY)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else platform.processor()}, {torch.get_num_threads()} threads"


def _commit() -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
