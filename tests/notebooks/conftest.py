"""What the tests of the notebooks share: the process whose forks are their kernels."""

import sys

import kernels
import pytest


@pytest.fixture(scope="session")
def forked_kernels():
    """Kernels begin with the large packages loaded, where forks are safe."""
    if sys.platform != "linux":
        yield
        return
    with kernels.forked():
        yield
