"""What all networks do with their inputs: check them, pad them to a whole number of strides, crop the logits."""

from typing import Any, overload

import torch
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


class Normalise(nn.Module):
    """(rgb - mean) / deviation by channel, for encoders whose published weights were trained on such images.

    This is exact. Folding both into the first convolution would not be, because its zero padding would then stand for
    the mean. Without pretrained weights there are no mean and deviation: RGB passes unchanged, and the state dict has
    no entries for them. They are given by `set`, or by a state dict that has them.

    **Shapes**: (B, 3, H, W) -> the same.
    """

    mean: Tensor | None
    deviation: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", None)
        self.register_buffer("deviation", None)

    def set(self, mean: tuple[float, float, float], deviation: tuple[float, float, float]) -> None:
        """Normalise from now on by these numbers, one for each channel."""
        self.mean, self.deviation = (torch.tensor(values).view(-1, 1, 1) for values in (mean, deviation))

    def forward(self, rgb: Tensor) -> Tensor:
        if self.mean is None or self.deviation is None:
            return rgb
        return (rgb - self.mean) / self.deviation

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *arguments: Any) -> None:
        if f"{prefix}mean" in state_dict and self.mean is None:
            self.set((0.0,) * 3, (1.0,) * 3)
        super()._load_from_state_dict(state_dict, prefix, *arguments)


@overload
def pad(image: Tensor, stride: int) -> Tensor: ...
@overload
def pad(image: None, stride: int) -> None: ...
def pad(image: Tensor | None, stride: int) -> Tensor | None:
    """Repeat the last row and column until both sides are multiples of the stride.

    **Shapes**: (B, C, H, W) -> (B, C, H', W'), as it is where they are; None -> None.
    """
    if image is None:
        return None
    height, width = image.shape[-2:]
    # a ceiling division: of a size that torch.compile leaves open, the remainder of a negative number is refused
    right, below = ((side + stride - 1) // stride * stride - side for side in (width, height))
    return F.pad(image, (0, right, 0, below), mode="replicate") if right or below else image


def crop(logits: Tensor, size: torch.Size | tuple[int, int]) -> Tensor:
    """Cut off what `pad` added. **Shapes**: (B, C, H', W') -> (B, C, *size)."""
    return logits[..., : size[0], : size[1]]
