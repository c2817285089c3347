"""Part "losses": every loss, forward and backward, against the time of one read and write of its tensors.

The tensors are the inputs, read once, and the gradients, written once. The speed is that of a copy on this device. The
losses of logits are also measured as `torch.compile` makes them.
"""

from dataclasses import replace
from functools import partial

import torch

from lixlib import functional
from tools.benchmarks.gpu.jobs import Jobs, Place, Row
from tools.benchmarks.losses import INPUTS, Case, cases
from tools.benchmarks.measure import MIB, median_seconds

GOAL = 1.5  # times the one read and write
IMAGES = 16  # as many times the images of `cases`, so that a card has enough to do
COMPILED = ("kd_loss", "cwkd_loss", "dkd_loss", "dist_loss", "wsld_loss", "dwld_loss")


def jobs(place: Place) -> Jobs:
    """One job a loss, all with the speed of one copy that is measured before."""
    speed = copied_bytes_per_second(place)
    return {case.name: partial(measure, _sized(case, place), speed, place) for case in cases(place.small)}


def copied_bytes_per_second(place: Place) -> float:
    """How many bytes a copy of a large tensor reads and writes in a second."""
    source = torch.ones((8 if place.small else 512) * MIB, dtype=torch.uint8, device=place.device)
    target = torch.empty_like(source)
    seconds = median_seconds({"copy": lambda: target.copy_(source)}, _repetitions(place), place.device)["copy"]
    return 2 * source.numel() / seconds


def measure(case: Case, speed: float, place: Place) -> Row:
    """Time of a loss and its gradients, that of one read and write of its tensors, and their ratio."""
    torch.manual_seed(0)
    inputs = [INPUTS[name](case.shape).to(place.device) for name in case.inputs]
    variables = [value.requires_grad_() for name, value in zip(case.inputs, inputs, strict=True) if name in case.learnt]
    loss = partial(getattr(functional, case.loss), **case.options)
    ways = {"eager": loss}
    if case.loss in COMPILED:
        torch._dynamo.reset()
        ways["compiled"] = torch.compile(loss, fullgraph=True, backend="inductor" if place.is_card else "eager")
    calls = {name: partial(_step, way, inputs, variables) for name, way in ways.items()}
    seconds = median_seconds(calls, _repetitions(place), place.device)
    floor = sum(value.nbytes for value in (*inputs, *variables)) / speed
    row = {"shape": case.shape, "ms": round(1e3 * seconds["eager"], 4), "floor_ms": round(1e3 * floor, 4)}
    row |= {"ratio": round(seconds["eager"] / floor, 3), "gb_per_second": round(speed / 1e9, 2)}
    compiled = seconds.get("compiled")
    return {**row, "compiled_ratio": round(compiled / floor, 3) if compiled else None}


def _step(loss, inputs: list[torch.Tensor], variables: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    return torch.autograd.grad(loss(*inputs).sum(), variables)


def _sized(case: Case, place: Place) -> Case:
    batch, *rest = case.shape
    return case if place.small else replace(case, shape=(IMAGES * batch, *rest))


def _repetitions(place: Place) -> int:
    return 2 if place.small else 11
