"""What every network returns, and the one way in which networks are called."""

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel


class Output(NamedTuple):
    """Logits at input size, and the named feature maps at which two networks can be compared.

    **Shapes**: logits (B, C, H, W); every tap (B, C_tap, H_tap, W_tap).
    """

    logits: Tensor
    taps: dict[str, Tensor]


def x_channels(net: nn.Module) -> int | None:
    """The channels of X that a network reads; None for a student, which may say so by having no `x_channels` at all."""
    while isinstance(net, DataParallel | DistributedDataParallel):  # these hide the attributes of what they wrap
        net = net.module
    return getattr(net, "x_channels", None)


def call(net: nn.Module, rgb: Tensor, x: Tensor | None = None) -> Output:
    """`net(rgb, x)`, or `net(rgb)` if it reads no X: a student is never handed it.

    **Shapes**: rgb (B, 3, H, W) in [0, 1]; x (B, x_channels, H, W) or None -> an object with the fields of `Output`.

    Raises:
        ValueError: a network that reads X, and none is there; or one that returns anything else.
    """
    channels = x_channels(net)
    if channels is not None and x is None:
        raise ValueError(f"{type(net).__name__} reads X in {channels} channels, and this batch has none")
    output: Output = net(rgb) if channels is None else net(rgb, x)
    problem = _problem(output, rgb)
    if problem:
        raise ValueError(f"{type(net).__name__} must return lixlib.nets.Output(logits, taps), found {problem}")
    return output


def _problem(output: object, rgb: Tensor) -> str | None:
    """What is wrong with the answer of a network; None for nothing."""
    if not (hasattr(output, "logits") and hasattr(output, "taps")):
        return f"type {type(output).__name__}"
    (batch, _, *size), logits, taps = rgb.shape, output.logits, output.taps
    if not _is_map(logits, batch) or [*logits.shape[2:]] != size:
        return f"logits: {_shown(logits)} where ({batch}, classes, {size[0]}, {size[1]}) is expected"
    if not isinstance(taps, Mapping):
        return f"taps: {_shown(taps)} where a dict of maps by name is expected"
    wrong = next((name for name, tap in taps.items() if not _is_map(tap, batch)), None)
    if wrong is not None:
        return f"tap {wrong!r}: {_shown(taps[wrong])} where ({batch}, channels, height, width) is expected"
    return None


def _is_map(value: object, batch: int) -> bool:
    return isinstance(value, Tensor) and value.dim() == 4 and len(value) == batch


def _shown(value: object) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else f"type {type(value).__name__}"
