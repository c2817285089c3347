"""How images and weights lie in memory while a network is trained."""

from contextlib import ExitStack

import torch
from torch import Tensor, nn


def fast_layout(module: nn.Module, device: torch.device) -> ExitStack:
    """Channels last, in which convolutions are fastest; but not for dilated ones in half precision on a CPU.

    There oneDNN's gradient of the weights reads memory that is not its own: for maps of 24 x 32 and larger it was NaN
    (torch 2.13, processors with AVX512_BF16).

    Returns:
        what takes the hooks of these convolutions away again when it is closed.
    """
    module.to(memory_format=torch.channels_last)
    hooks = ExitStack()
    for each in module.modules():
        if isinstance(each, nn.Conv2d) and max(each.dilation) > 1 and device.type == "cpu":
            each.to(memory_format=torch.contiguous_format)  # else the weights choose the layout for both
            hooks.callback(each.register_forward_pre_hook(_contiguous).remove)
    return hooks


def _contiguous(_: nn.Module, images: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
    return tuple(each.contiguous() for each in images) if torch.is_autocast_enabled("cpu") else None
