"""Measure time and peak memory of every loss, forward and backward, and of its plain transcription.

Run it from the repository's root as `python -m tools.benchmarks.losses`. The loss and its transcription in
lixlib/functional/reference.py are called in turn in one process with the same float32 inputs, and their results must
agree. The measurements are written to results/benchmark/losses.jsonl. A ratio is the library's value divided by that of
the transcription: below 1, the library is faster or needs less memory.
"""

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
import tyro
from torch import Tensor

from lixlib import functional
from lixlib.core.files import read_json_lines, write_json_lines
from lixlib.functional import reference
from lixlib.lab.record import provenance
from tools.benchmarks.measure import MIB, median_seconds, peak_bytes

Shape = tuple[int, ...]

PAIR = ("student", "teacher")
LABELLED = (*PAIR, "target")
INPUTS = {
    "student": torch.randn,
    "teacher": torch.randn,
    "target": lambda shape: torch.where(
        torch.rand(shape[0], *shape[2:]) < 0.1, 255, torch.randint(shape[1], (shape[0], *shape[2:]))
    ),
    "weight": torch.rand,
    "tokens": lambda shape: torch.randn(8, shape[1]) / 10,
    "variance": lambda shape: 0.1 + torch.rand(shape[1]),
    "log_variance": torch.randn,
    "student_gram": lambda shape: functional.gram(torch.randn(shape), kernel="laplace"),
    "teacher_gram": lambda shape: functional.gram(torch.randn(shape), kernel="laplace"),
}


@dataclass(frozen=True)
class Case:
    """One row of the table: a loss, the shape of its maps, its inputs, which of them are learnt, and its options."""

    loss: str
    shape: Shape
    inputs: tuple[str, ...] = PAIR
    options: dict = field(default_factory=dict)
    learnt: tuple[str, ...] = ("student", "student_gram", "variance", "log_variance")

    @property
    def name(self) -> str:
        return " ".join([self.loss, *(str(value) for value in self.options.values() if isinstance(value, str))])


def cases(quick: bool) -> list[Case]:
    """Return the rows, with the sizes of a real batch.

    Where the transcription holds all pairs of pixels, the maps are so small that it needs less than 4 GB.
    """
    logits = (4, 19, 16, 32) if quick else (4, 19, 96, 320)
    maps = (4, 64, 16, 32) if quick else (4, 64, 24, 80)
    large = (4, 64, 16, 32) if quick else (4, 64, 48, 160)
    images = (6, 64, 16, 32) if quick else (16, 64, 24, 80)  # an update has 8 + 8 images, and these losses compare them
    samples = (4, 32, 64) if quick else (4, 480, 64)  # the 480 positions of a 12 x 40 map
    contrast = {"groups": 16, "pool": 4, "patch": 4}
    return [
        Case("kd_loss", logits, LABELLED),
        Case("cwkd_loss", logits),
        Case("dkd_loss", logits, LABELLED),
        Case("dist_loss", logits, LABELLED),
        Case("wsld_loss", logits, LABELLED),
        Case("dwld_loss", logits, (*LABELLED, "weight")),
        Case("attention_transfer_loss", large),
        Case("fitnet_loss", large),
        Case("factor_transfer_loss", large),
        Case("nst_loss", maps),
        Case("rkd_loss", images),
        Case("sp_loss", images),
        Case("vid_loss", large, (*PAIR, "variance")),
        Case("pad_loss", large, (*PAIR, "log_variance")),
        Case("maskd_loss", logits, (*PAIR, "tokens")),
        Case("maskd_diversity", logits, ("teacher", "tokens"), learnt=("tokens",)),
        Case("omni_contrast_loss", large, options=contrast),
        *(Case("gram", samples, ("student",), {"kernel": kernel}) for kernel in ("linear", "gaussian", "laplace")),
        Case("hsic", samples, ("student_gram", "teacher_gram")),
        Case("cka", samples, ("student_gram", "teacher_gram")),
        Case("linear_cka", samples),
    ]


@dataclass(frozen=True)
class Options:
    """What to measure.

    Args:
        losses: Names of the losses to measure; by default all. The lines of other losses are kept.
        device: Device: cpu or cuda.
        threads: Number of CPU threads.
        repetitions: Number of calls of each function, of which the median time is taken.
        quick: Use small inputs and few calls, to check that everything works.
        results: Folder to which the measurements are written.
    """

    losses: tuple[str, ...] = ()
    device: str = "cpu"
    threads: int = 1
    repetitions: int = 11
    quick: bool = False
    results: Path = Path("results/benchmark")


def stepper(case: Case, device: torch.device) -> Callable[[object], tuple[Tensor, ...]]:
    """Return a function that computes value and gradients of the case's loss, of the module that it is given."""
    inputs = [INPUTS[name](case.shape).to(device) for name in case.inputs]
    variables = [value.requires_grad_() for name, value in zip(case.inputs, inputs, strict=True) if name in case.learnt]

    def step(module: object) -> tuple[Tensor, ...]:
        value = getattr(module, case.loss)(*inputs, **case.options).sum()
        return value.detach(), *torch.autograd.grad(value, variables)

    return step


def measure(case: Case, device: torch.device, repetitions: int) -> dict:
    """Measure one row.

    Raises:
        RuntimeError: The results of the loss and of its transcription differ.
    """
    step = stepper(case, device)
    for found, expected in zip(step(functional), step(reference), strict=True):
        error = (found - expected).abs().max() / expected.abs().max()
        if not error < 1e-3:
            raise RuntimeError(f"{case.name} differs from its plain transcription by {float(error):.1e} of its largest")
    ways = {"": lambda: step(functional), "plain_": lambda: step(reference)}
    seconds = median_seconds(ways, repetitions, device)
    peaks = {way: peak_bytes(call, device) for way, call in ways.items()}
    return {
        **{f"{way}ms": round(1e3 * value, 3) for way, value in seconds.items()},
        "time_ratio": round(seconds[""] / seconds["plain_"], 4),
        **{f"{way}mib": round(value / MIB, 3) for way, value in peaks.items()},
        "memory_ratio": round(peaks[""] / peaks["plain_"], 4),
    }


def main(options: Options) -> None:
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    device = torch.device(options.device)
    origin = {**provenance(device), "command": shlex.join(["python", "-m", "tools.benchmarks.losses", *sys.argv[1:]])}
    repetitions = 2 if options.quick else options.repetitions
    path = options.results / "losses.jsonl"
    lines = {line["loss"]: line for line in read_json_lines(path)} if options.losses and path.exists() else {}
    print(f"{'loss':24} {'shape':>16} {'ms':>9} {'plain':>9} {'ratio':>6} {'MiB':>9} {'plain':>9} {'ratio':>6}")
    for case in cases(options.quick):
        if options.losses and case.loss not in options.losses:
            continue
        row = measure(case, device, repetitions)
        numbers = (f"{value:9.1f}" if not name.endswith("ratio") else f"{value:6.2f}" for name, value in row.items())
        print(f"{case.name:24} {'x'.join(map(str, case.shape)):>16} {' '.join(numbers)}", flush=True)
        about = {"loss": case.name, "shape": case.shape, "options": case.options}
        lines[case.name] = {**about, **row, "repetitions": repetitions, **origin}
    write_json_lines(path, lines.values())


if __name__ == "__main__":
    main(tyro.cli(Options))
