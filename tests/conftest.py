"""What the tests share: a fixed seed, reference values, small data sets, their order, and the reasons of skips."""

import gc
import multiprocessing
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from long_first import pytest_collection_modifyitems  # noqa: F401  a hook
from own_folder import write
from skipped import pytest_terminal_summary  # noqa: F401  a hook

# What is imported and collected stays: looking for garbage in it took half of the time
gc.disable()

# The processes that tests start share compiled modules, in __pycache__, also where the environment would write none
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# jsonschema, which nbformat imports, would compile its grammar for over a second, for a format that no notebook uses
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]

# No test cuts the power, so none waits for the disk, ten milliseconds a file of thousands: kills lose nothing without
os.fsync = os.fstat  # type: ignore[assignment]  what is no open file is still an error

GOLDEN = Path(__file__).resolve().parent / "golden"


def pytest_collection_finish():
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture
def forks(monkeypatch):
    """Processes of the library are forks, which need not import torch again, where forks are safe."""
    if sys.platform == "linux":
        fork = multiprocessing.get_context("fork")
        monkeypatch.setattr(multiprocessing, "get_context", lambda method: fork)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of public data: LIX_SHARED, or ../shared beside the repository."""
    folder = Path(os.environ.get("LIX_SHARED") or Path(__file__).resolve().parents[2] / "shared")
    if not folder.is_dir():
        pytest.skip("no public data: docs/real_data.md says how to get it and where tests look for it")
    return folder


@pytest.fixture
def golden() -> Callable[[str], dict]:
    """Reads inputs and results of a reference implementation by name: tests/golden/README.md says which, and how."""

    def read(name: str) -> dict:
        with np.load(GOLDEN / f"{name}.npz") as file:
            arrays = {key: torch.from_numpy(value) if value.ndim else value.item() for key, value in file.items()}
        if "student" in arrays:
            arrays["student"].requires_grad_()
        return arrays

    return read


@pytest.fixture(scope="session")
def paper() -> str:
    """The rows of the paper's tables and the sentences that notebooks quote."""
    return (GOLDEN / "paper.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def camvid_root(tmp_path_factory) -> Path:
    """A small CamVid in its public layout: PNG images of 32 x 48; the test split has no X."""
    root = tmp_path_factory.mktemp("camvid")
    generator = np.random.default_rng(0)
    sequences = {"train": {"0001TP_00": 10, "0016E5_00": 6}, "val": {"0016E5_07": 4}, "test": {"Seq05VD_f": 4}}
    for split, counts in sequences.items():
        for name in (f"{prefix}{i:03d}.png" for prefix, count in counts.items() for i in range(count)):
            rgb, x, label = scene(12, generator)
            write(root / split / name, rgb)
            write(root / f"{split}annot" / name, label)
            if split != "test":
                write(root / f"{split}disp" / name, x)
    return root


@pytest.fixture(scope="session")
def potholes_root(tmp_path_factory) -> Path:
    """A small Potholes in its public layout: labels are RGB images with 153, X has 16 bits."""
    root = tmp_path_factory.mktemp("potholes")
    generator = np.random.default_rng(0)
    for number, count in ((1, 3), (2, 9), (3, 2)):
        for name in (f"{i:02d}.png" for i in range(1, count + 1)):
            rgb, x, label = scene(2, generator)
            write(root / f"dataset{number}" / "rgb" / name, rgb)
            write(root / f"dataset{number}" / "disp_tg" / name, x.astype(np.uint16) * 100)
            write(root / f"dataset{number}" / "label" / name, np.stack([label * 153] * 3, axis=-1).astype(np.uint8))
    return root


def scene(num_classes: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """RGB, X (0 in the left columns: invalid) and label of 32 x 48 pixels: blocks whose colour and X show the class."""
    label = np.kron(generator.integers(num_classes, size=(4, 6)), np.ones((8, 8))).astype(np.uint8)
    noise = generator.integers(20, size=(32, 48, 3))
    rgb = np.stack([label * 18, 220 - label * 15, (label % 3) * 90], axis=-1) + noise
    x = 50 + label * 15
    x[:, :4] = 0
    return rgb.astype(np.uint8), x.astype(np.uint8), label
