"""Part "graphs": `torch.compile` takes every loss and every network as one graph, without a break."""

from collections.abc import Callable
from functools import partial

import torch

from lixlib import functional, nets
from tools.benchmarks.gpu.jobs import Jobs, Place, Row
from tools.benchmarks.gpu.steps import BATCHES, NUM_CLASSES, options_of
from tools.benchmarks.losses import INPUTS, Case, cases


def jobs(place: Place) -> Jobs:
    """One job a loss, a student and a teacher."""
    found: Jobs = {case.name: partial(trace_loss, case, place) for case in cases(quick=True)}
    for network in BATCHES:
        found |= {f"{network} student": partial(trace_network, network, None, place)}
        found |= {f"{network} teacher": partial(trace_network, network, 1, place)}
    return found


def trace_loss(case: Case, place: Place) -> Row:
    """The number of graphs of a loss, as `trace` finds it."""
    inputs = [INPUTS[name](case.shape).to(place.device) for name in case.inputs]
    for name, value in zip(case.inputs, inputs, strict=True):
        value.requires_grad_(name in case.learnt)
    return trace(partial(getattr(functional, case.loss), **case.options), *inputs)


def trace_network(network: str, x_channels: int | None, place: Place) -> Row:
    """The number of graphs of a network in training mode, as `trace` finds it."""
    options = options_of(network, place.small)
    net = nets.build(network, num_classes=NUM_CLASSES, x_channels=x_channels, **options).to(place.device)
    images = [torch.rand(2, channels, 64, 96, device=place.device) for channels in (3, x_channels) if channels]
    return trace(net, *images)


def trace(function: Callable, *inputs: torch.Tensor) -> Row:
    """The number of graphs into which `torch.compile` divides a function.

    Raises:
        ValueError: it is not one; the message has the reasons.
    """
    torch._dynamo.reset()
    found = torch._dynamo.explain(function)(*inputs)
    if found.graph_break_count or found.graph_count != 1:
        reasons = "; ".join(str(each.reason).partition("\n")[0] for each in found.break_reasons) or "no reason is told"
        raise ValueError(f"torch.compile makes {found.graph_count} graphs of it: {reasons}")
    return {"graphs": found.graph_count}
