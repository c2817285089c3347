"""Measure time and memory of several calls side by side."""

import os
import time
from collections.abc import Callable
from statistics import median

import torch
from torch.profiler import ProfilerActivity, profile

os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # otherwise the profiler prints a message at each start and stop

MIB = 2**20


def median_seconds(calls: dict[str, Callable], repetitions: int, device: torch.device) -> dict[str, float]:
    """Return the median time of each call.

    Every round makes each call once, so that all calls suffer alike when the machine becomes slower. The first round is
    not timed.
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
    """Return the peak memory of the tensors that are allocated during the call.

    The number is exact, because it includes every allocation of torch's allocator; on a CPU the profiler records them.
    It includes neither what was allocated before the call nor the caches of the allocator and of libraries.
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
