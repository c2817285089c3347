"""The paper's augmentations: colour and photometric jitter, rescaling, flipping."""

from dataclasses import replace
from typing import Annotated

import kornia.augmentation as K
import torch
from annotated_types import Interval
from torch import nn

from lixlib.core.options import checked
from lixlib.core.sample import Sample
from lixlib.data.x.depth_encoding import UNITS

Share = Annotated[float, Interval(gt=0, le=1)]
Factor = Annotated[float, Interval(ge=0.1, le=10)]


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
        self.geometry = K.AugmentationSequential(
            K.RandomHorizontalFlip(p=flip),
            K.RandomResizedCrop(size, scale=scale, ratio=(stretch[0] * aspect, stretch[1] * aspect)),
            data_keys=["input", "mask"],
        )
        self.colour = K.ColorJiggle(jitter, jitter, jitter, 0.1 * jitter, p=0.8)

    @torch.no_grad()
    def forward(self, batch: Sample) -> Sample:
        # float32 represents labels exactly, and one tensor for all three keeps them aligned
        maps = torch.cat([batch.x, batch.valid.float(), batch.label[:, None].float()], dim=1)
        rgb, maps = self.geometry(batch.rgb, maps)
        x, valid, label = maps.split([batch.x.shape[1], 1, 1], dim=1)
        if batch.unit == UNITS["normals"]:
            mirrored = self.geometry.transform_matrix[:, 0, 0] < 0
            x = torch.cat([x[:, :1].where(~mirrored[:, None, None, None], -x[:, :1]), x[:, 1:]], dim=1)
        label = label[:, 0].round().long()
        return replace(batch, rgb=self.colour(rgb).clamp(0, 1), x=x, valid=valid > 0.5, label=label)
