"""Part "agreement": every loss and every method has the values and the gradients on the card that it has on the CPU.

A difference is told as a share of the largest entry of the CPU's result. The losses are compared in float64 and in
float32, and the methods, whose adapters are trained in float32, in float32 alone. TF32 is off meanwhile.
"""

import warnings
from collections.abc import Iterable
from copy import deepcopy
from functools import partial

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from lixlib import functional, nets
from lixlib.core.output import Output
from lixlib.distillers import METHODS, TwoStage, build
from tools.benchmarks.gpu.jobs import Jobs, Place, Row
from tools.benchmarks.losses import INPUTS, Case, cases

# Sums over thousands of pixels are added in another order on a card. A wrong formula differs by far more.
TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-3}
CLASSES = 5


class SameRandom(TorchFunctionMode):
    """Random numbers come from the CPU's generator, so that they are the same on all devices."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if function in (torch.rand_like, torch.randn_like):
            make = torch.rand if function is torch.rand_like else torch.randn
            return make(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype).to(args[0].device)
        if function is torch.randint:
            device = kwargs.pop("device", None)
            return function(*args, **kwargs).to(device)
        return function(*args, **kwargs)


def jobs(place: Place) -> Jobs:
    """One job a loss and one a method."""
    outputs = example_outputs()
    losses = {case.name: partial(compare_loss, case, place.device) for case in cases(quick=True)}
    methods = {f"method {name}": partial(compare_method, name, outputs, place.device) for name in METHODS}
    return {**losses, **methods}


def compare_loss(case: Case, device: torch.device) -> Row:
    """The largest difference of a loss and its gradients, by number format.

    Raises:
        ValueError: it is larger than the tolerance.
    """
    torch.manual_seed(0)
    inputs = {name: INPUTS[name](case.shape) for name in case.inputs}

    def results(device: torch.device, dtype: torch.dtype) -> list[Tensor]:
        moved = [
            value.detach().to(device, dtype if value.is_floating_point() else None, copy=True)
            for value in inputs.values()
        ]
        variables = [value.requires_grad_() for name, value in zip(inputs, moved, strict=True) if name in case.learnt]
        value = getattr(functional, case.loss)(*moved, **case.options)
        return [value, *torch.autograd.grad(value.sum(), variables)]

    cpu = torch.device("cpu")
    found = {dtype: difference(results(device, dtype), results(cpu, dtype)) for dtype in TOLERANCES}
    return _within_tolerance(found)


def compare_method(name: str, outputs: tuple[Output, Output, Tensor], device: torch.device) -> Row:
    """The largest difference of a method's terms and of their gradients, those of its own parameters included.

    Raises:
        ValueError: it is larger than the tolerance.
    """
    torch.manual_seed(0)
    student, teacher, label = outputs
    with warnings.catch_warnings(action="ignore"):
        method = build(name, student, teacher, **METHODS[name].tuned).train()
    if isinstance(method, TwoStage):
        method.stage_trained = True  # an untrained stage computes the same

    def results(device: torch.device) -> list[Tensor]:
        moved = deepcopy(method).to(device)
        own, other = (_copied(output, device) for output in (student, teacher))
        variables = [value.requires_grad_() for value in (own.logits, *own.taps.values())]
        variables += [parameter for parameter in moved.parameters() if parameter.requires_grad]
        torch.manual_seed(0)
        with SameRandom():
            terms = moved(own, other, label.to(device))
        gradients = torch.autograd.grad(sum(terms.values()), variables, allow_unused=True)
        return [*terms.values(), *(gradient for gradient in gradients if gradient is not None)]

    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        found = difference(results(device), results(torch.device("cpu")))
    return _within_tolerance({torch.float32: found})


def example_outputs() -> tuple[Output, Output, Tensor]:
    """What MFNet as student and as teacher makes of three random images, detached, and labels."""
    torch.manual_seed(0)
    rgb, x = torch.rand(3, 3, 64, 96), torch.rand(3, 1, 64, 96)
    student, teacher = (nets.build("mfnet", num_classes=CLASSES, x_channels=channels) for channels in (None, 1))
    with torch.no_grad():
        outputs = (nets.call(net, rgb, x) for net in (student, teacher))
        return *outputs, torch.randint(CLASSES, (3, 64, 96))


def difference(found: Iterable[Tensor], expected: Iterable[Tensor]) -> float:
    """The largest difference, as a share of the largest entry of each expected tensor; infinite where one is NaN."""
    largest = 0.0
    for a, b in zip(found, expected, strict=True):
        gap = (a.detach().cpu() - b.detach()).abs().max() / b.detach().abs().max().clamp(min=1e-30)
        largest = max(largest, float(gap.nan_to_num(torch.inf)))
    return largest


def _copied(output: Output, device: torch.device) -> Output:
    taps = {name: tap.to(device, copy=True) for name, tap in output.taps.items()}
    return Output(output.logits.to(device, copy=True), taps)


def _within_tolerance(found: dict[torch.dtype, float]) -> Row:
    row = {str(dtype).removeprefix("torch."): value for dtype, value in found.items()}
    for (name, value), dtype in zip(row.items(), found, strict=True):
        if not value <= TOLERANCES[dtype]:
            raise ValueError(
                f"in {name} it differs from the CPU by {value:.1e}, and {TOLERANCES[dtype]:.0e} is allowed"
            )
    return row
