"""Part "waits": no step of any method reads a number back, so that the CPU never waits for the card.

On a card `torch.cuda.set_sync_debug_mode("error")` finds what waits. On every device the operations themselves are
watched, too: those whose answer is a Python number, or a tensor whose size depends on values. On a CPU that does not
find copies to the CPU.
"""

import traceback
import warnings
from contextlib import contextmanager
from functools import partial

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lixlib.distillers import METHODS
from tools.benchmarks.gpu.jobs import Jobs, Place, Row
from tools.benchmarks.gpu.steps import step_of

WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "_unique2", "unique_dim", "unique_consecutive")
EAGER_CHECK = "check_classes"  # reads labels on a CPU alone: on a card it asserts without waiting


class Waited(RuntimeError):
    """A step read a number back."""


class NoReads(TorchDispatchMode):
    """Raises `Waited` at the first operation that reads a number, with the line of lixlib that asks for it."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        masks = name in ("index", "index_put", "index_put_") and any(
            isinstance(index, torch.Tensor) and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        if name in WAITING or masks:
            frames = [frame for frame in traceback.extract_stack() if "lixlib" in frame.filename]
            if not any(frame.name == EAGER_CHECK for frame in frames):
                place = f"{frames[-1].filename.rpartition('lixlib/')[2]}:{frames[-1].lineno}" if frames else "torch"
                raise Waited(f"{name} reads a number, at {place}")
        return function(*args, **(kwargs or {}))


def jobs(place: Place) -> Jobs:
    """One job a method: LIX first."""
    return {name: partial(watch, name, place) for name in sorted(METHODS, key=lambda name: name != "lix")}


def watch(method: str, place: Place) -> Row:
    """Make steps of a method, the last one watched.

    Raises:
        Waited, RuntimeError: it reads a number back.
    """
    with warnings.catch_warnings(action="ignore"):
        step = step_of("mfnet", method, place, size=(64, 96), batch=4)
    step()  # the first step makes the optimiser's buffers
    with NoReads():
        step()
    if place.is_card:
        with _no_sync():
            step()
    return {"watched_by": "operations and CUDA" if place.is_card else "operations"}


@contextmanager
def _no_sync():
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")
