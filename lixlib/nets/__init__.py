"""The networks that are distilled: each returns its logits and its named taps."""

import inspect

from torch import nn

from lixlib.nets.mfnet import MFNet
from lixlib.nets.off_net import OFFNet
from lixlib.nets.output import Output
from lixlib.nets.sne_roadseg import SNERoadSeg

NETWORKS = {"mfnet": MFNet, "sne-roadseg": SNERoadSeg, "off-net": OFFNet}


def check_options(name: str, options: dict) -> None:
    """Raise a ValueError that lists what there is, if there is no such network or it has no such option."""
    if name not in NETWORKS:
        raise ValueError(f"unknown network {name!r}: choose one of {', '.join(NETWORKS)}")
    parameters = inspect.signature(NETWORKS[name].__init__).parameters.values()
    allowed = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    unknown = [option for option in options if option not in allowed]
    if unknown:
        raise ValueError(f"network {name!r} has no option {unknown[0]!r}: it takes {', '.join(allowed)}")


def build(name: str, *, num_classes: int, x_channels: int | None = None, **options) -> nn.Module:
    """Build a network by name: the duplex-encoder teacher with `x_channels` = 1 or 3, the RGB student with None.

    Args:
        options: of the network, e.g. encoder="resnet18" of sne-roadseg.

    Raises:
        ValueError: an unknown name or option, or a number of X channels that is not 1, 3 or None.
    """
    check_options(name, options)
    if x_channels not in (None, 1, 3):
        raise ValueError(f"x_channels must be 1 (depth), 3 (normals) or None (RGB alone), found {x_channels!r}")
    return NETWORKS[name](num_classes, x_channels, **options)


__all__ = ["NETWORKS", "MFNet", "OFFNet", "Output", "SNERoadSeg", "build", "check_options"]
