"""The networks that are distilled: each returns its logits and its named taps."""

from torch import nn

from lixlib.nets.mfnet import MFNet
from lixlib.nets.output import Output

NETWORKS = {"mfnet": MFNet}


def build(name: str, *, num_classes: int, x_channels: int | None = None, **options) -> nn.Module:
    """Build a network by name: the duplex-encoder teacher with `x_channels` = 1 or 3, the RGB student with None.

    Raises:
        ValueError: an unknown name, or a number of X channels that is not 1, 3 or None.
    """
    if name not in NETWORKS:
        raise ValueError(f"unknown network {name!r}: choose one of {', '.join(NETWORKS)}")
    if x_channels not in (None, 1, 3):
        raise ValueError(f"x_channels must be 1 (depth), 3 (normals) or None (RGB alone), found {x_channels!r}")
    return NETWORKS[name](num_classes, x_channels, **options)


__all__ = ["NETWORKS", "MFNet", "Output", "build"]
