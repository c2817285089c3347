"""Where the time of a step goes, operation by operation: torch.profiler over steps of a student alone and of LIX.

Run it from the repository's root as `python -m tools.benchmarks.profile_step`. A step augments 8 labelled and 8
unlabelled images of 48 x 160 (a student alone: the labelled ones) and makes one update of MFNet, on one thread. The
lines are added to results/benchmark/profile.jsonl, of which docs/speed.md shows the first and the last of each method.
"""

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import tyro
from torch.profiler import ProfilerActivity, profile

from lixlib.core.files import read_json_lines, write_json_lines
from lixlib.core.sample import Sample
from lixlib.data import Augment
from lixlib.lab.inputs import Inputs
from lixlib.lab.recipe import Recipe
from lixlib.lab.record import provenance
from lixlib.training import launch
from tools.benchmarks.method_cost import half_labelled, trainer

MANY = 15  # operations that are told; the others are summed up
OTHERS = "all other operations"


@dataclass(frozen=True)
class Options:
    """What to measure.

    Args:
        steps: Number of steps over which the mean is taken.
        quick: Use small images and few steps, to check that everything works.
        results: Folder to which the lines are added.
    """

    steps: int = 20
    quick: bool = False
    results: Path = Path("results/benchmark")


def operations(step: Callable[[], object], steps: int) -> dict[str, dict]:
    """Milliseconds and calls a step of each operation of torch, without those that it calls, the longest first."""
    step()  # the first step makes momentum and caches
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(steps):
            step()
    found = sorted(profiler.key_averages(), key=lambda event: -event.self_cpu_time_total)
    told = {event.key: (event.self_cpu_time_total, event.count) for event in found[:MANY]}
    told[OTHERS] = tuple(map(sum, zip(*((e.self_cpu_time_total, e.count) for e in found[MANY:]), strict=True)))
    return {
        name: {"ms": round(time / steps / 1e3, 3), "calls": round(calls / steps, 1)}
        for name, (time, calls) in told.items()
    }


def main(options: Options) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    steps, size = (2, (48, 64)) if options.quick else (options.steps, (48, 160))
    base = Recipe(size=size, dataset_options={"count": 8}, unlabelled=8)
    train, fabric, augment = Inputs(base).train, launch("cpu"), Augment(size)
    batch = half_labelled(train, base.batch_size)
    images = {name: getattr(batch, name)[: base.batch_size] for name in ("rgb", "x", "valid", "label")}
    jobs: dict[str, Sample] = {"student": replace(batch, **images), "lix": batch}
    path = options.results / "profile.jsonl"
    lines = read_json_lines(path) if path.exists() else []
    command = shlex.join(["python", "-m", "tools.benchmarks.profile_step", *sys.argv[1:]])
    for method, samples in jobs.items():
        update = trainer(replace(base, method=method), train, fabric)
        found = operations(lambda update=update, samples=samples: update(augment(samples)), steps)
        total = round(sum(each["ms"] for each in found.values()), 3)
        print(f"{method}: {total} ms a step")
        for name, each in found.items():
            print(f"  {name:50} {each['ms']:9.2f} ms {each['calls']:8.1f} calls")
        about = {"method": method, "size": size, "steps": steps, "ms": total, "operations": found}
        lines.append({**about, **provenance(torch.device("cpu")), "command": command})
    write_json_lines(path, lines)


if __name__ == "__main__":
    main(tyro.cli(Options))
