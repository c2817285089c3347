"""The paper's augmentations: colour and photometric jitter, rescaling, flipping."""

import math
from dataclasses import replace
from typing import Annotated

import kornia.augmentation as K
import torch
from annotated_types import Interval
from kornia.enhance import adjust_brightness, adjust_contrast, adjust_saturation
from kornia.geometry.transform import crop_by_indices
from torch import Tensor, nn

from lixlib.core.options import checked
from lixlib.core.sample import Sample
from lixlib.data.x.depth_encoding import UNITS

Share = Annotated[float, Interval(gt=0, le=1)]
Factor = Annotated[float, Interval(ge=0.1, le=10)]

TURN = 2 * math.pi


class Augment(nn.Module):
    """Augment a batch: the same flip, scale and crop for RGB, X, its mask and the label; colour jitter for RGB alone.

    RGB is resampled bilinearly. X, its mask and the label are resampled by nearest neighbour, so that no depth is
    invented between an object and its background, and normals keep their length. When an image is mirrored, the sign of
    n_x of its normals (unit "normal") changes. Randomness comes from torch's global generator.

    **Shapes**: a batch -> a batch of the same size.

    Args:
        size: (H, W) of the batch.
        flip: probability that an image is mirrored.
        scale: lower and upper bound of the share of the image's area that a crop keeps.
        stretch: lower and upper bound of the crop's aspect, as a factor of the image's.
        jitter: strength of the change of brightness, contrast and saturation; the hue changes by a tenth of it.
    """

    @checked
    def __init__(
        self,
        size: tuple[int, int],
        *,
        flip: Annotated[float, Interval(ge=0, le=1)] = 0.5,
        scale: tuple[Share, Share] = (0.6, 1.0),
        stretch: tuple[Factor, Factor] = (0.9, 1.1),
        jitter: Annotated[float, Interval(ge=0, le=1)] = 0.15,
    ):
        super().__init__()
        for name, (low, high) in {"scale": scale, "stretch": stretch}.items():
            if low > high:
                raise ValueError(f"Augment: {name} is ({low}, {high}): give the lower bound first")
        aspect = size[1] / size[0]
        self.size = size
        self.flip = K.RandomHorizontalFlip(p=flip)
        self.crop = K.RandomResizedCrop(size, scale=scale, ratio=(stretch[0] * aspect, stretch[1] * aspect))
        self.colour = K.ColorJiggle(jitter, jitter, jitter, 0.1 * jitter, p=0.8)

    @torch.no_grad()
    def forward(self, batch: Sample) -> Sample:
        shape = batch.rgb.shape
        mirrored = _chosen(self.flip.forward_parameters(shape)).to(batch.rgb.device, non_blocking=True)
        boxes = self.crop.forward_parameters(shape)["src"]
        # float32 represents labels exactly, and one tensor for all three keeps them aligned
        rgb, maps = batch.rgb.clone(), torch.cat([batch.x, batch.valid, batch.label[:, None]], dim=1)
        for images in (rgb, maps):
            images.index_copy_(0, mirrored, images[mirrored].flip(-1))
        rgb = crop_by_indices(rgb, boxes, self.size, "bilinear", align_corners=True)
        maps = crop_by_indices(maps, boxes, self.size, "nearest-exact")
        x, valid, label = maps.split([batch.x.shape[1], 1, 1], dim=1)
        if batch.unit == UNITS["normals"]:
            x[mirrored, 0] = -x[mirrored, 0]
        _jitter_(rgb, self.colour.forward_parameters(shape))
        return replace(batch, rgb=rgb.clamp_(0, 1), x=x, valid=valid > 0.5, label=label[:, 0].long())


def _chosen(drawn: dict[str, Tensor]) -> Tensor:
    """The indices of the images that are changed."""
    return (drawn["batch_prob"] > 0.5).nonzero()[:, 0]


def _jitter_(rgb: Tensor, drawn: dict[str, Tensor]) -> None:
    """Do to the images what kornia's `ColorJiggle` does with these parameters, bit for bit, at half its time."""
    steps = (
        ("brightness_factor", 1, lambda images, factor: adjust_brightness(images, factor - 1)),
        ("contrast_factor", 1, adjust_contrast),
        ("saturation_factor", 1, adjust_saturation),
        ("hue_factor", 0, _turn_hue),
    )
    chosen = _chosen(drawn)
    rows = chosen.to(rgb.device, non_blocking=True)
    images = rgb[rows].clamp_(0, 1)
    for index in drawn["order"].tolist():
        name, neutral, step = steps[index]
        if (drawn[name] != neutral).any():
            images = step(images, drawn[name][chosen])
    rgb.index_copy_(0, rows, images)


def _turn_hue(rgb: Tensor, turns: Tensor) -> Tensor:
    """Add turns of the hue circle to the hue of HSV; the values are those of `kornia.enhance.adjust_hue`.

    kornia looks up six sextants for each channel and takes four remainders, which costs a CPU thrice the time.

    **Shapes**: (B, 3, H, W) in [0, 1], (B,) -> (B, 3, H, W).
    """
    value = rgb.amax(1)
    chroma = value - rgb.amin(1)
    saturation = chroma / (value + 1e-8)
    r, g, b = (value[:, None] - rgb).unbind(1)  # 0 where a channel is the largest
    chroma += chroma == 0  # of grey, whose hue is 0
    hue = torch.where(r == 0, b - g, torch.where(g == 0, (r - b).add_(chroma, alpha=2), (g - r).add_(chroma, alpha=4)))
    hue.div_(chroma).div_(6)
    hue += hue < 0
    hue *= TURN
    hue *= hue < TURN  # a tiny negative hue was rounded to a whole turn
    hue += (turns * 2 * math.pi).to(rgb.device, non_blocking=True)[:, None, None]
    hue.add_(hue < 0, alpha=TURN).add_(hue >= TURN, alpha=-TURN)
    hue *= hue < TURN
    sextant = hue.div_(TURN).mul_(6)
    sextant.add_(sextant >= 6, alpha=-6)
    red = torch.minimum(sextant - 1, 5 - sextant)
    green = torch.maximum(1 - sextant, sextant - 3)
    blue = torch.maximum(3 - sextant, sextant - 5)
    lacking = torch.stack([red, green, blue], dim=1).clamp_(0, 1)
    return (1 - lacking.mul_(saturation[:, None])).mul_(value[:, None])
