"""Measure a forward pass and an update of LIX for each network at the size at which its paper trains it.

Run it from the repository's root as `python -m tools.benchmarks.paper_size`. The images have 384 x 1248 pixels for
SNE-RoadSeg (with ResNet-152) and for MFNet, and 704 x 1280 for OFF-Net. There are 15 classes, X has one channel, and
autocast uses bfloat16. An update is that of `lixlib.lab.run`: student, teacher, LIX, backward pass and optimiser.
Images and labels are random, which does not change the cost.

Every case runs in a process of its own. `peak_rss_mib` is the peak memory of that process, which includes torch,
weights, momentum and gradients. On a GPU, `peak_gpu_mib` is the peak of torch's allocator. A case that needs more than
`limit_gib` is ended, and `fits` is false in its line.
"""

import multiprocessing
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import torch
import tyro

from lixlib import nets
from lixlib.core.files import read_json_lines, write_json_lines
from lixlib.data import Sample
from lixlib.distillers import Distiller
from lixlib.lab.recipe import Recipe
from lixlib.lab.record import provenance
from lixlib.training import Schedule, launch, sgd, update
from tools.benchmarks.measure import MIB

NUM_CLASSES = 15
GIB = 1024 * MIB
POLL = 0.05  # seconds between two checks of a process's memory
# Size and batch size. MFNet and SNE-RoadSeg: the LIX paper, on KITTI. OFF-Net: its own repository.
PAPER = {"mfnet": ((384, 1248), 8), "sne-roadseg": ((384, 1248), 3), "off-net": ((704, 1280), 2)}
# a line replaces an older one that has the same values of these entries
IDENTITY = ("network", "what", "options", "size", "batch", "precision", "device")


@dataclass(frozen=True)
class Options:
    """What to measure.

    Args:
        networks: Names of the networks.
        device: Device: cpu or cuda.
        threads: Number of CPU threads.
        precision: Number format.
        repetitions: Number of timed calls, of which the fastest is taken. One more call before them is not timed.
        limit_gib: Largest memory of a case, in GiB.
        quick: Use small images and a small encoder, to check that everything works.
        results: Folder to which the measurements are written.
    """

    networks: tuple[str, ...] = tuple(PAPER)
    device: str = "cpu"
    threads: int = 2
    precision: str = "bf16-mixed"
    repetitions: int = 1
    limit_gib: float = 22.0
    quick: bool = False
    results: Path = Path("results/cost")


@dataclass(frozen=True)
class Case:
    """One measurement: `what` is "teacher" or "student" for its forward pass, or "lix" for an update."""

    network: str
    what: str
    options: dict
    size: tuple[int, int]
    batch: int


def cases(network: str, quick: bool) -> list[Case]:
    """Return the cases: forward passes of teacher and student, and LIX with one image and with the paper's batch."""
    size, batch = ((64, 96), 2) if quick else PAPER[network]
    options = {"encoder": "resnet18" if quick else "resnet152"} if network == "sne-roadseg" else {}
    variants = [options, {**options, "checkpointing": True}] if options else [options]
    forward = [Case(network, what, options, size, 1) for what in ("teacher", "student")]
    return forward + [Case(network, "lix", each, size, images) for images in (1, batch) for each in variants]


def prepare(case: Case, device: str, precision: str) -> Callable[[], object]:
    """Return a function that makes one forward pass or one update."""
    fabric = launch(device, precision)
    recipe = Recipe(network=case.network, network_options=case.options, method="lix", unlabelled=0)

    def build(x_channels: int | None) -> torch.nn.Module:
        net = nets.build(case.network, num_classes=NUM_CLASSES, x_channels=x_channels, **case.options)
        return net.to(fabric.device, memory_format=torch.channels_last)

    rgb, x = torch.rand(case.batch, 3, *case.size), torch.rand(case.batch, 1, *case.size)
    label = torch.randint(NUM_CLASSES, (case.batch, *case.size))
    batch = Sample(rgb=rgb, x=x, valid=x > 0, label=label, name=("random",) * case.batch).to(fabric.device)
    if case.what == "lix":
        example = batch.rgb[:1], batch.x[:1]
        distiller = Distiller(build(None), build(1), "lix", example=example, **recipe.options)
        distiller.to(memory_format=torch.channels_last)
        model, optimizer = fabric.setup(distiller, sgd(distiller, Schedule(lr=recipe.lr)))
        model.train()
        return lambda: update(model, optimizer, batch, fabric)
    net = build(1 if case.what == "teacher" else None).eval()

    def forward() -> None:
        with torch.no_grad(), fabric.autocast():
            nets.call(net, batch.rgb, batch.x)

    return forward


def measure(case: Case, options: Options) -> dict:
    """Measure a case in a process of its own. If it needs more memory than the limit, `fits` is False."""
    # forks of a server that has imported this module and computed nothing, where there are such servers
    servers = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if servers else "spawn")
    if servers:
        context.set_forkserver_preload([__spec__.name])
    answer, send = context.Pipe(duplex=False)
    process = context.Process(target=_in_child, args=(send, case, options))
    process.start()
    send.close()
    while process.is_alive() and not answer.poll(POLL):
        if _memory(process.pid, "VmRSS") > options.limit_gib * GIB:
            process.kill()
    try:
        return answer.recv()
    except EOFError:
        process.join()
        if process.exitcode < 0:  # killed above, or by a system that ran out of memory
            return {"fits": False, "limit_gib": options.limit_gib}
        raise RuntimeError(f"{case} failed") from None
    finally:
        process.join()


def _in_child(answer: Connection, case: Case, options: Options) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    on_gpu = device.type == "cuda"
    times = []
    try:
        call = prepare(case, options.device, options.precision)
        for _ in range(1 + options.repetitions):
            start = time.perf_counter()
            call()
            if on_gpu:
                torch.cuda.synchronize(device)
            times.append(time.perf_counter() - start)
    except torch.cuda.OutOfMemoryError:
        answer.send({"fits": False, "limit_gib": round(torch.cuda.get_device_properties(device).total_memory / GIB, 1)})
        return
    peaks = {"peak_rss_mib": round(_memory("self", "VmHWM") / MIB, 1)}
    if on_gpu:
        peaks["peak_gpu_mib"] = round(torch.cuda.max_memory_allocated(device) / MIB, 1)
    answer.send({"fits": True, "seconds": round(min(times[1:]), 3), **peaks, **provenance(device)})


def _memory(process: int | str, entry: str) -> int:
    """Return the memory of a Linux process in bytes, current (VmRSS) or peak (VmHWM); 0 if the process has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(entry)), 0)


def main(options: Options) -> None:
    path = options.results / "paper_size.jsonl"
    torch.set_num_threads(options.threads)
    origin = provenance(torch.device(options.device))
    command = shlex.join(["python", "-m", "tools.benchmarks.paper_size", *sys.argv[1:]])
    for network in options.networks:
        for case in cases(network, options.quick):
            about = {**asdict(case), "precision": options.precision, "repetitions": options.repetitions}
            line = {**about, **origin, **measure(case, options), "command": command}
            told = (
                f"{line['seconds']:8.2f} s {line['peak_rss_mib'] / 1024:7.2f} GiB" if line["fits"] else "does not fit"
            )
            print(f"{network:12} {case.what:8} {case.batch:2} {case.options}: {told}", flush=True)
            lines = read_json_lines(path) if path.exists() else []
            key = [list(value) if isinstance(value, tuple) else value for value in map(line.get, IDENTITY)]
            others = [other for other in lines if [other[name] for name in IDENTITY] != key]
            write_json_lines(path, [*others, line])


if __name__ == "__main__":
    main(tyro.cli(Options))
