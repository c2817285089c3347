"""What the tests share: a fixed seed, and the folder of reference values and data."""

import os
from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of golden values and public data: LIX_SHARED, or ../shared beside the repository."""
    folder = Path(os.environ.get("LIX_SHARED") or Path(__file__).resolve().parents[2] / "shared")
    if not folder.is_dir():
        pytest.skip(
            f"no folder {folder} of golden values and data: set LIX_SHARED to it; "
            "README.md, section 'Real data', says how to get the public data"
        )
    return folder
