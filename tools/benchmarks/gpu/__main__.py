"""Check and measure everything on a card in one command, `make gpu`, in at most eight minutes.

Run it from the repository's root as `python -m tools.benchmarks.gpu`. docs/gpu.md says what each part measures. The
line in results/benchmark/gpu.jsonl holds all of it, and the table that is printed at the end shows it. A part that
fails is recorded with its message, the others go on, and the exit status is then 1. With `--device cpu` the same is
done with small inputs, which shows that the command works and says nothing of speed.
"""

import logging
import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from lixlib.core.devices import choose_device
from lixlib.core.files import read_json_lines, write_json_lines
from lixlib.lab.record import provenance
from tools.benchmarks.gpu import agreement, graphs, page, processes, steps, traffic, waits
from tools.benchmarks.gpu.jobs import Place, run_part

PARTS = {
    "agreement": agreement.jobs,
    "networks": steps.jobs,
    "losses": traffic.jobs,
    "graphs": graphs.jobs,
    "waits": waits.jobs,
    "processes": processes.jobs,
}
# a line replaces an older one that has the same values of these entries
IDENTITY = ("device", "on", "small")


@dataclass(frozen=True)
class Options:
    """What to measure.

    Args:
        device: Device: cuda or cpu.
        quick: Use small inputs and few calls, and leave out two processes, to check that everything works. On a CPU
            the inputs are always small.
        minutes: Time after which nothing more is started.
        results: Folder to which the line is written.
    """

    device: Literal["cuda", "cpu"] = "cuda"
    quick: bool = False
    minutes: float = 8.0
    results: Path = Path("results/benchmark")


def main(options: Options) -> int:
    """Run all parts, write the line, print the table; return the exit status."""
    try:
        device = choose_device(options.device)
    except ValueError as error:
        sys.exit(str(error))
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it tells the number format of every step
    place = Place(device, options.quick)
    start = time.monotonic()
    deadline = start + 60 * options.minutes
    found = {name: run_part(name, make, place, deadline) for name, make in PARTS.items()}
    line = {
        "on": device.type,
        "small": place.small,
        "seconds": round(time.monotonic() - start, 1),
        "parts": found,
        **provenance(device),
        "command": shlex.join(["python", "-m", "tools.benchmarks.gpu", *sys.argv[1:]]),
    }
    path = options.results / "gpu.jsonl"
    lines = read_json_lines(path) if path.exists() else []
    others = [other for other in lines if [other[name] for name in IDENTITY] != [line[name] for name in IDENTITY]]
    write_json_lines(path, [*others, line])
    print(page.table(line))
    return int(any(part["status"] == "failed" for part in found.values()))


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options)))
