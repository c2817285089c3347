"""Print what losses, ARFD and a LIX step cost, as ratios, and fail where one is 30 % worse than the committed one.

`make bench` runs it; from the repository's root it is `python -m tools.benchmarks.ratios`. The two sides of a ratio are
called in turn in one process, forward and backward, so that a ratio tells little of how fast the machine is. Committed
ratios, in results/benchmark/ratios.jsonl, are compared with only if they are of the same kind of processor, with the
same instructions and threads. What seems worse is measured once more before it counts. Nothing is written without
`--write`, which replaces the lines of this kind of processor and compares with none.

A loss is compared with cross-entropy of the same logits, with its transcription in lixlib/functional/reference.py,
and, on one thread, with that transcription compiled by torch.compile if there is a C++ compiler. ARFD is compared with
forward and backward of the student, an update of LIX with an update of the student and the forward pass of the teacher.
"""

import shlex
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.nn.functional as F
import tyro
from torch import Tensor

from lixlib import functional, nets
from lixlib.core.constants import IGNORE
from lixlib.core.files import read_json_lines, write_json_lines
from lixlib.core.output import Output
from lixlib.distillers import METHODS, build
from lixlib.functional import reference
from lixlib.lab.inputs import Inputs
from lixlib.lab.prepare import distiller_of
from lixlib.lab.recipe import Recipe
from lixlib.lab.record import provenance
from lixlib.training import launch
from tools.benchmarks import losses, method_cost
from tools.benchmarks.measure import MIB, median_seconds, peak_bytes

CPU = torch.device("cpu")
WORSE = 1.3  # times the committed ratio, and the command fails
LOGIT = ("kd_loss", "dkd_loss", "dwld_loss", "wsld_loss", "cwkd_loss", "dist_loss")
CONTROLLER = "dwld_loss with its controller"
OF_CE, OF_PLAIN, OF_COMPILED = (
    "time, of cross-entropy's",
    "time, of its plain form's",
    "time, of the compiled plain form's",
)
MEMORY, OF_LOGITS = "peak memory, of its plain form's", "peak memory, of the logits'"
OF_STUDENT, OF_PARTS = "time, of the student's", "time, of the student's and the teacher's forward"
# what each ratio is to be at most
GOALS = {
    **{(name, OF_CE): most for name, most in {"kd_loss": 2, "dkd_loss": 4, "dwld_loss": 4, CONTROLLER: 6}.items()},
    ("dist_loss", OF_PLAIN): 1,
    ("dwld_loss", OF_LOGITS): 3,
    **{(f"ARFD, {size}", OF_STUDENT): 0.2 for size in ("48 x 160", "96 x 320")},
    ("an update of LIX, 48 x 160", OF_PARTS): 1.25,
}


@dataclass(frozen=True)
class Options:
    """What to measure.

    Args:
        write: Replace the committed ratios of this kind of processor by what is found.
        compiled: Also measure the plain forms as compiled by torch.compile, which takes a minute or two.
        threads: Numbers of CPU threads for the losses; the rest is measured with the first of them.
        repetitions: Number of calls of each function, of which the median time is taken.
        quick: Use small inputs and few calls, to check that everything works.
        results: Folder of the committed ratios.
    """

    write: bool = False
    compiled: bool = True
    threads: tuple[int, ...] = (1, 2)
    repetitions: int = 11
    quick: bool = False
    results: Path = Path("results/benchmark")


def ratio(what: str, over: str, above: float, below: float) -> dict:
    """Return the first fields of a line; times are in ms, memory in MiB."""
    return {
        "what": what,
        "over": over,
        "ratio": round(above / below, 4),
        "above": round(above, 3),
        "below": round(below, 3),
    }


def of_loss(case: losses.Case, options: Options, *, first: bool) -> list[dict]:
    """Return a loss's time over those of its rivals; the first time, also its peak memory, and the compiled rival."""
    step = losses.stepper(case, CPU)
    labels = losses.INPUTS["target"](case.shape)

    def cross_entropy(student: Tensor, *others: Tensor) -> Tensor:
        return F.cross_entropy(student, labels, ignore_index=IGNORE)

    sides = {"": functional, OF_PLAIN: reference, OF_CE: SimpleNamespace(**{case.loss: cross_entropy})}
    if first and options.compiled:
        sides[OF_COMPILED] = SimpleNamespace(**{case.loss: torch.compile(getattr(reference, case.loss))})
    calls = {name: lambda side=side: step(side) for name, side in sides.items()}
    times = median_seconds(calls, options.repetitions, CPU)
    found = [ratio(case.loss, over, 1e3 * times[""], 1e3 * each) for over, each in times.items() if over]
    if first:
        ours, plain = (peak_bytes(calls[name], CPU) / MIB for name in ("", OF_PLAIN))
        logits = 4 * torch.Size(case.shape).numel() / MIB
        found += [ratio(case.loss, MEMORY, ours, plain), ratio(case.loss, OF_LOGITS, ours, logits)]
    return found


def of_controller(shape: losses.Shape, options: Options) -> list[dict]:
    """Return the time of DWLD whose controller learns with it, over that of cross-entropy."""
    student, teacher, labels = (losses.INPUTS[name](shape) for name in losses.LABELLED)
    student.requires_grad_()
    ours, theirs = Output(student, {}), Output(teacher, {})
    method = build("dwld", ours, theirs, weighting="joint")
    variables = [student, *method.parameters()]
    times = median_seconds(
        {
            "": lambda: torch.autograd.grad(method(ours, theirs, labels)["dwld"], variables),
            OF_CE: lambda: torch.autograd.grad(F.cross_entropy(student, labels, ignore_index=IGNORE), student),
        },
        options.repetitions,
        CPU,
    )
    return [ratio(CONTROLLER, OF_CE, 1e3 * times[""], 1e3 * times[OF_CE])]


def of_arfd(size: tuple[int, int], options: Options) -> list[dict]:
    """Return the times of ARFD, tuned and with all the paper's positions, over forward and backward of MFNet."""
    classes, images = 19, 16  # 8 labelled and 8 unlabelled
    rgb, x = (torch.rand(images, n, *size).to(memory_format=torch.channels_last) for n in (3, 1))
    labels = torch.randint(classes, (images, *size))
    student, teacher = (
        nets.build("mfnet", num_classes=classes, x_channels=n).to(memory_format=torch.channels_last) for n in (None, 1)
    )
    with torch.no_grad():
        theirs = teacher.eval()(rgb, x)
    taps = {name: tap.detach().requires_grad_() for name, tap in student(rgb).taps.items()}
    ours = Output(theirs.logits, taps)

    def update() -> None:
        student.zero_grad()
        F.cross_entropy(student(rgb).logits, labels).backward()

    def term(given: dict) -> Callable[[], object]:
        method = build("arfd", ours, theirs, **given)
        variables = [*(taps[name] for name in method.taps), *method.parameters()]
        return lambda: torch.autograd.grad(method(ours, theirs, labels)["arfd"], variables)

    forms = {"ARFD": METHODS["arfd"].tuned, "ARFD, all positions": {"samples": "positions"}}
    calls = {name: term(given) for name, given in forms.items()}
    times = median_seconds({**calls, OF_STUDENT: update}, options.repetitions, CPU)
    where = f"{size[0]} x {size[1]}"
    return [ratio(f"{name}, {where}", OF_STUDENT, 1e3 * times[name], 1e3 * times[OF_STUDENT]) for name in forms]


def of_update(size: tuple[int, int], options: Options) -> list[dict]:
    """Return the time of an update of LIX over those of an update of the student and of the teacher's forward pass."""
    recipe = Recipe(method="lix", size=size, dataset_options={"count": 8}, unlabelled=8, precision="32-true")
    train = Inputs(recipe).train
    batch = method_cost.half_labelled(train, recipe.batch_size)
    fabric = launch("cpu", recipe.precision)
    teacher = distiller_of(recipe.of_teacher(), None, train).student.eval().to(memory_format=torch.channels_last)
    lix, student = (method_cost.trainer(each, train, fabric) for each in (recipe, replace(recipe, method="student")))

    def forward() -> None:
        with torch.no_grad():
            teacher(batch.rgb, batch.x)

    calls = {"lix": lambda: lix(batch), "student": lambda: student(batch), "teacher": forward}
    times = median_seconds(calls, options.repetitions, CPU)
    parts = times["student"] + times["teacher"]
    return [ratio(f"an update of LIX, {size[0]} x {size[1]}", OF_PARTS, 1e3 * times["lix"], 1e3 * parts)]


def groups(options: Options) -> Iterable[tuple[int, Callable[[], list[dict]]]]:
    """Yield what is measured together, with its number of threads."""
    cases = {case.loss: case for case in losses.cases(options.quick)}
    sizes = ((48, 64), (48, 96)) if options.quick else ((48, 160), (96, 320))
    one, *more = options.threads
    for threads in (one, *more):
        for name in LOGIT:
            yield threads, partial(of_loss, cases[name], options, first=threads == one)
        yield threads, partial(of_controller, cases["dwld_loss"].shape, options)
    for size in sizes:
        yield one, partial(of_arfd, size, options)
    yield one, partial(of_update, sizes[0], options)


def can_compile() -> bool:
    """Return whether torch.compile finds a C++ compiler that works, and say so if it does not."""
    try:
        torch.compile(lambda x: x + 1)(torch.ones(2))
    except Exception as error:  # there is no common class of what can go wrong
        print(f"The plain forms are not compiled, and nothing is compared with that: {str(error).splitlines()[0]}")
        return False
    return True


def identity(line: dict) -> tuple:
    """Return what two lines have in common if they can be compared."""
    return line["what"], line["over"], line["device"], line["instructions"], line["quick"]


def worse(found: Iterable[dict], committed: Iterable[dict]) -> list[str]:
    """Return a line for each ratio that is 30 % worse than the committed one of this kind of processor."""
    before = {identity(line): line["ratio"] for line in committed}
    return [
        f"{line['what']}: {line['over']} is {line['ratio']:.2f}, and {before[identity(line)]:.2f} is committed"
        f" ({line['device']}): more than {WORSE:g} times that"
        for line in found
        if line["ratio"] > WORSE * before.get(identity(line), float("inf"))
    ]


def measured(options: Options, committed: list[dict]) -> list[dict]:
    """Measure and print every ratio."""
    command = shlex.join(["python", "-m", "tools.benchmarks.ratios", *sys.argv[1:]])
    before = {identity(line): f"{line['ratio']:.2f}" for line in committed}
    found = []
    print(f"{'what':32} {'ratio':50} {'threads':>7} {'above':>8} {'below':>8} {'':>6} {'goal':>5} {'committed':>9}")
    for threads, measure in groups(options):
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        about = {"threads": threads, "repetitions": options.repetitions, "quick": options.quick}
        origin = {**about, **provenance(CPU), "command": command}
        lines = [{**each, **origin} for each in measure()]
        if not options.write and worse(lines, committed):
            again = [{**each, **origin} for each in measure()]
            lines = [min(pair, key=lambda line: line["ratio"]) for pair in zip(lines, again, strict=True)]
        for line in lines:
            numbers = f"{line['above']:8.1f} {line['below']:8.1f} {line['ratio']:6.2f}"
            beside = f"{GOALS.get((line['what'], line['over']), ''):>5} {before.get(identity(line), ''):>9}"
            print(f"{line['what']:32} {line['over']:50} {threads:7} {numbers} {beside}", flush=True)
        found += lines
    return found


def main(options: Options) -> None:
    start = time.perf_counter()
    path = options.results / "ratios.jsonl"
    committed = read_json_lines(path) if path.exists() else []
    options = replace(options, compiled=options.compiled and can_compile())
    found = measured(replace(options, repetitions=2) if options.quick else options, committed)
    print(f"{time.perf_counter() - start:.0f} s")
    mine = set(map(identity, found))
    if options.write:
        write_json_lines(path, [*(line for line in committed if identity(line) not in mine), *found])
        return
    if not mine & set(map(identity, committed)):
        print(f"Nothing to compare with: {path} has no ratio of this kind of processor ({found[0]['device']}).")
    slower = worse(found, committed)
    if slower:
        sys.exit("\n".join(slower))


if __name__ == "__main__":
    main(tyro.cli(Options))
