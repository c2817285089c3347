"""What the parts of `make gpu` are made of: jobs by name, each of which returns a row of numbers or raises."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from tqdm import tqdm

from lixlib.core.text import one_line

Row = dict[str, object]
Jobs = dict[str, Callable[[], Row]]


class Skipped(Exception):
    """A part that this machine cannot run; the message says why."""


@dataclass(frozen=True)
class Place:
    """Where and how the parts run.

    Args:
        quick: leave out what takes long whatever its inputs are.
    """

    device: torch.device
    quick: bool = False

    @property
    def small(self) -> bool:
        """Whether inputs are small and calls few, which only shows that everything works: always on a CPU."""
        return self.quick or not self.is_card

    @property
    def is_card(self) -> bool:
        return self.device.type == "cuda"


def run_part(name: str, make: Callable[[Place], Jobs], place: Place, deadline: float) -> Row:
    """Run the jobs of a part with a progress bar; what raises is recorded, and the others go on.

    Args:
        deadline: value of `time.monotonic()` after which no further job is started.
    """
    start = time.monotonic()
    rows: list[Row] = []
    messages: list[str] = []
    try:
        jobs = make(place)
    except Skipped as reason:
        return {"status": "skipped", "messages": [str(reason)], "seconds": 0.0, "rows": []}
    except Exception as error:
        jobs, messages = {}, [_told(error)]
    for job, call in tqdm(jobs.items(), desc=f"{name:10}", unit="job"):
        try:
            if time.monotonic() > deadline:
                raise TimeoutError("not started, because the time was over")
            rows.append({"name": job, **call()})
        except Exception as error:
            messages.append(f"{job}: {_told(error)}")
    status = "failed" if messages else "passed"
    return {"status": status, "messages": messages, "seconds": round(time.monotonic() - start, 1), "rows": rows}


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {one_line(str(error))[:500]}"
