"""Time and memory of several calls, measured side by side."""

import os
import time
from collections.abc import Callable
from statistics import median

import torch
from torch.profiler import ProfilerActivity, profile

os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # else the profiler reports each start and stop

MIB = 2**20


def median_seconds(calls: dict[str, Callable], repetitions: int, device: torch.device) -> dict[str, float]:
    """The median time of each call.

    A round makes every call once, so that a machine that becomes slower slows all of them; a first round is not timed.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    for round_ in range(repetitions + 1):
        for name, call in calls.items():
            _wait(device)
            start = time.perf_counter()
            call()
            _wait(device)
            if round_:
                times[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in times.items()}


def peak_bytes(call: Callable, device: torch.device) -> int:
    """The most memory that tensors allocated during the call held at one time.

    Exact: every allocation of torch's allocator is counted, on a CPU as the profiler records it. What was allocated
    before the call does not count; the caches of the allocator and of libraries do not either.
    """
    if device.type == "cuda":
        _wait(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        call()
        _wait(device)
        return torch.cuda.max_memory_allocated(device) - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        call()
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
