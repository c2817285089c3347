"""What all networks do with their inputs: check them, pad them to a whole number of strides, crop the logits."""

import torch.nn.functional as F
from torch import Tensor, nn


def check(net: nn.Module, rgb: Tensor, x: Tensor | None) -> None:
    """Raise a ValueError unless rgb is (B, 3, H, W) and x fits it and `net.x_channels`: None for a student."""
    name = type(net).__name__
    if rgb.dim() != 4 or rgb.shape[1] != 3:
        raise ValueError(f"rgb must be (B, 3, H, W), found {tuple(rgb.shape)}")
    if (x is None) != (net.x_channels is None):
        raise ValueError(
            f"this {name} is a student and takes RGB alone: call net(rgb)"
            if net.x_channels is None
            else f"this {name} is a teacher and needs X: call net(rgb, x) with x (B, {net.x_channels}, H, W)"
        )
    if x is not None and x.shape != (rgb.shape[0], net.x_channels, *rgb.shape[2:]):
        expected = (rgb.shape[0], net.x_channels, *rgb.shape[2:])
        raise ValueError(f"x must be {expected} beside rgb {tuple(rgb.shape)}, found {tuple(x.shape)}")


def check_batch_norm(net: nn.Module, rgb: Tensor, stride: int) -> None:
    """Raise a ValueError in training if the deepest map, at /stride, has one value a channel: no variance."""
    if net.training and rgb[:, 0].numel() == stride**2:
        raise ValueError(
            f"the batch norm of {type(net).__name__} cannot train on one image of {stride} x {stride} pixels, whose "
            "deepest map is a single pixel: take a larger batch or larger images"
        )


def pad(image: Tensor | None, stride: int) -> Tensor | None:
    """Repeat the last row and column until both sides are multiples of the stride.

    **Shapes**: (B, C, H, W) -> (B, C, H', W'), as it is where they are; None -> None.
    """
    if image is None:
        return None
    height, width = image.shape[-2:]
    padding = (0, -width % stride, 0, -height % stride)
    return F.pad(image, padding, mode="replicate") if any(padding) else image


def crop(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut off what `pad` added. **Shapes**: (B, C, H', W') -> (B, C, *size)."""
    return logits[..., : size[0], : size[1]]
