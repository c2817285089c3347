"""The networks that are distilled: each returns its logits and its named taps."""

from typing import Annotated, Any

from annotated_types import Interval, MinLen
from torch import nn

from lixlib.core import output
from lixlib.core.constants import IGNORE
from lixlib.core.options import check, of, shown
from lixlib.core.output import Output, call, x_channels
from lixlib.nets.mfnet import MFNet
from lixlib.nets.off_net import OFFNet
from lixlib.nets.registry import NETWORKS, OURS, find, is_known, options_of, register
from lixlib.nets.sne_roadseg import SNERoadSeg
from lixlib.nets.tapped import tapped


def check_options(name: str, options: dict[str, Any]) -> None:
    """Raise a ValueError if there is no such network, or one of these is no option of it, or of another type or range.

    "pretrained" and "partial" are options of the networks that can start from published weights.
    """
    factory = find(name)
    known = options_of(name, factory, options)
    if hasattr(factory, "load_pretrained"):
        known |= {name: kind for name, kind in of(build).items() if name in ("pretrained", "partial")}
    check(f"network {name!r}", known, options)


def build(
    name: str,
    *,
    num_classes: Annotated[int, Interval(ge=1, le=IGNORE)],
    x_channels: int | None = None,
    pretrained: Annotated[str, MinLen(1)] | None = None,
    partial: bool = False,
    **options: Any,
) -> nn.Module:
    """Build a network by name: the duplex-encoder teacher with `x_channels` = 1 or 3, the RGB student with None.

    Args:
        name: of a network in `NETWORKS`, or module.path:factory.
        pretrained: file or published name of weights for the encoders of sne-roadseg ("IMAGENET1K_V1" and "_V2", of
            torchvision) or off-net ("nvidia/mit-b2"): see `lixlib.nets.pretrained`.
        partial: let what the weights lack stay as it was initialised, instead of refusing them.
        options: of the network, e.g. encoder="resnet18" of sne-roadseg.

    Raises:
        ValueError: an unknown name or option, a number of X channels that is not 1, 3 or None, or weights that are not
            there or do not fit.
        ConnectionError: published weights cannot be downloaded; the message says where to put them by hand.
    """
    given: dict[str, Any] = {} if pretrained is None else {"pretrained": pretrained}
    given |= {} if partial is False else {"partial": partial}
    check_options(name, {**options, **given})
    check(f"network {name!r}", of(build), {"num_classes": num_classes, "x_channels": x_channels})
    if x_channels not in (None, 1, 3):
        raise ValueError(f"x_channels must be 1 (depth), 3 (normals) or None (RGB alone), found {shown(x_channels)}")
    factory = find(name)
    ours = hasattr(factory, "load_pretrained")  # else both are options of the factory itself
    net = factory(num_classes, x_channels, **options, **({} if ours else given))
    if not isinstance(net, nn.Module):
        raise ValueError(f"network {name!r} must build a torch.nn.Module, found {shown(net)}")
    if output.x_channels(net) != x_channels:
        raise ValueError(
            f"network {name!r} was asked for x_channels={x_channels}, and the network that it built has "
            f"x_channels={output.x_channels(net)}: set this attribute, or give it to lixlib.nets.tapped"
        )
    if ours and pretrained is not None:
        net.load_pretrained(pretrained, partial=partial)  # type: ignore[operator]  # its factory has it
    return net


__all__ = [
    "NETWORKS",
    "OURS",
    "MFNet",
    "OFFNet",
    "Output",
    "SNERoadSeg",
    "build",
    "call",
    "check_options",
    "is_known",
    "register",
    "tapped",
    "x_channels",
]
