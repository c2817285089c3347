"""Relational knowledge distillation (Park et al., CVPR 2019)."""

import torch
from torch import Tensor, nn

from lixlib.core.options import Weight, checked
from lixlib.core.output import Output
from lixlib.distillers.common import deepest_pair
from lixlib.functional import rkd_loss


class RKD(nn.Module):
    """The term "rkd" = weight x `rkd_loss` of one vector an image: the average over the positions of one tap.

    No adapter. 0 for a batch of one or two images.

    Args:
        weight: of both parts.
        tap: the name of the map; None: the deepest.
        distance_weight, angle_weight: of the two parts.
    """

    @checked
    def __init__(
        self,
        student: Output,
        teacher: Output,
        *,
        weight: Weight = 1.0,
        tap: str | None = None,
        distance_weight: Weight = 25.0,
        angle_weight: Weight = 50.0,
    ):
        super().__init__()
        self.weight = weight
        self.tap = deepest_pair(student, teacher, tap)[0]
        self.options = {"distance_weight": distance_weight, "angle_weight": angle_weight}

    def forward(self, student: Output, teacher: Output, target: Tensor) -> dict[str, Tensor]:
        _, *maps = deepest_pair(student, teacher, self.tap)
        s, t = (f.mean((2, 3), dtype=torch.float32) for f in maps)
        return {"rkd": self.weight * rkd_loss(s, t, **self.options)}
