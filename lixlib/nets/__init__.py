"""The networks that are distilled: each returns its logits and its named taps."""

import inspect

from torch import nn

from lixlib.nets.mfnet import MFNet
from lixlib.nets.off_net import OFFNet
from lixlib.nets.output import Output, call, x_channels
from lixlib.nets.sne_roadseg import SNERoadSeg

NETWORKS = {"mfnet": MFNet, "sne-roadseg": SNERoadSeg, "off-net": OFFNet}


def check_options(name: str, options: dict) -> None:
    """Raise a ValueError that lists what there is, if there is no such network or it has no such option."""
    if name not in NETWORKS:
        raise ValueError(f"unknown network {name!r}: choose one of {', '.join(NETWORKS)}")
    parameters = inspect.signature(NETWORKS[name].__init__).parameters.values()
    allowed = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    allowed += ["pretrained"] if hasattr(NETWORKS[name], "load_pretrained") else []
    unknown = [option for option in options if option not in allowed]
    if unknown:
        raise ValueError(f"network {name!r} has no option {unknown[0]!r}: it takes {', '.join(allowed)}")


def build(
    name: str, *, num_classes: int, x_channels: int | None = None, pretrained: str | None = None, **options
) -> nn.Module:
    """Build a network by name: the duplex-encoder teacher with `x_channels` = 1 or 3, the RGB student with None.

    Args:
        pretrained: file or published name of weights for the encoders of sne-roadseg ("IMAGENET1K_V1" and "_V2", of
            torchvision) or off-net ("nvidia/mit-b2"): see `lixlib.nets.pretrained`.
        options: of the network, e.g. encoder="resnet18" of sne-roadseg.

    Raises:
        ValueError: an unknown name or option, a number of X channels that is not 1, 3 or None, or weights that are not
            there or do not fit.
        ConnectionError: published weights cannot be downloaded; the message says where to put them by hand.
    """
    check_options(name, options if pretrained is None else {**options, "pretrained": pretrained})
    if x_channels not in (None, 1, 3):
        raise ValueError(f"x_channels must be 1 (depth), 3 (normals) or None (RGB alone), found {x_channels!r}")
    net = NETWORKS[name](num_classes, x_channels, **options)
    if pretrained is not None:
        net.load_pretrained(pretrained)
    return net


__all__ = ["NETWORKS", "MFNet", "OFFNet", "Output", "SNERoadSeg", "build", "call", "check_options", "x_channels"]
