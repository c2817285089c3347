"""Similarity-preserving distillation (Tung and Mori, ICCV 2019)."""

import math

import torch
from torch import Tensor

from lixlib.core.checks import check_same_batch, full_precision
from lixlib.functional.norms import FLOOR


@full_precision
def sp_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """||G_S - G_T||_F^2 / B^2, where G = F F' of the flattened features F, each row divided by its L2 norm.

    Only the B x B similarities between images matter: one image carries no signal (0, as is its gradient), and few
    images carry little.

    **Shapes**: (B, ...), (B, ...), any other sizes -> ().

    Raises:
        ValueError: different B.
    """
    check_same_batch(student, teacher)
    s, t = _similarity(student), _similarity(teacher.detach())
    return (s - t).square().mean()


def _similarity(features: Tensor) -> Tensor:
    """G with rows of norm 1. **Shapes**: (B, ...) -> (B, B)."""
    f = features.flatten(1)
    g = f @ f.mT
    norm: Tensor = torch.linalg.vector_norm(g, dim=1, keepdim=True)
    # an image without any feature: 0, as its gradient, which would be 1 / norm times the other images
    return g / norm.masked_fill(g.diagonal().unsqueeze(1) <= FLOOR**2, math.inf)
