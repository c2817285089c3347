"""Augmentation-free dense contrastive distillation (Fan et al., NeurIPS 2023)."""

import torch
from torch import Tensor, nn

from lixlib.core.options import Count, Weight, checked
from lixlib.core.output import Output
from lixlib.distillers.common import deepest_pair
from lixlib.distillers.kd import KD
from lixlib.functional import omni_contrast_loss
from lixlib.functional.pooling import pool_to_smaller

KEPT = 0.25  # share of the positions that the random mask lets through


class AfDCD(nn.Module):
    """The terms "distance" and "contrast" of a rebuilt map, and "kd": weight x each term's own weight x the term.

    A 1x1 convolution brings the student's map to the teacher's channels, a random mask hides three positions of four,
    and 3x3 convolution, ReLU, 3x3 convolution rebuild the teacher's map from what is left. "distance" is the squared
    difference to it, summed over channels and positions, mean over the images, so that it grows with the map;
    "contrast" is `omni_contrast_loss`; "kd" is `KD` at T = 1. The reference has the 1x1 convolution only where the
    channels differ, and clips the gradients of these layers to norm 15: here, they are trained like all others.

    Args:
        weight: of all three.
        tap: the name to compare; None: the deepest.
        groups, pool, patch: see `omni_contrast_loss`. Each is the most that is taken: the largest divisor of the
            teacher's channels, then patches no larger than the map, then a pooling that leaves at least one.
    """

    @checked
    def __init__(
        self,
        student: Output,
        teacher: Output,
        *,
        weight: Weight = 1.0,
        distance_weight: Weight = 4e-5,
        contrast_weight: Weight = 1e-3,
        kd_weight: Weight = 1.0,
        tap: str | None = None,
        groups: Count = 16,
        pool: Count = 4,
        patch: Count = 4,
    ):
        super().__init__()
        self.tap, s, t = deepest_pair(student, teacher, tap)
        channels = t.shape[1]
        self.distance_weight, self.contrast_weight = weight * distance_weight, weight * contrast_weight
        self.groups = max(divisor for divisor in range(1, groups + 1) if channels % divisor == 0)
        self.pool, self.patch = pool, patch
        self.align = nn.Conv2d(s.shape[1], channels, 1)
        self.projector = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
        )
        self.kd = KD(student, teacher, weight=weight * kd_weight)

    def forward(self, student: Output, teacher: Output, target: Tensor) -> dict[str, Tensor]:
        _, s, t = deepest_pair(student, teacher, self.tap)
        s, t = pool_to_smaller(s, t)
        s = self.align(s)
        kept = torch.rand_like(s[:, :1], dtype=torch.float32) < KEPT
        s, t = self.projector(s * kept).float(), t.float()
        patch, pool = self._fit(t)
        contrast = omni_contrast_loss(s, t, groups=self.groups, pool=pool, patch=patch)
        return {
            "distance": self.distance_weight * (s - t).square().sum() / len(t),
            "contrast": self.contrast_weight * contrast,
            **self.kd(student, teacher, target),
        }

    def _fit(self, f: Tensor) -> tuple[int, int]:
        """Patch and pooling for a map: MFNet's conv5 of an image of 48 x 160, 3 x 10, has 3 x 3 patches, unpooled."""
        side = min(f.shape[2:])
        patch = min(self.patch, side)
        return patch, min(self.pool, side // patch)
