"""Attention transfer (Zagoruyko and Komodakis, ICLR 2017)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from lixlib.core.checks import full_precision
from lixlib.functional.norms import FLOOR, unit
from lixlib.functional.pooling import pool_to_smaller


@full_precision
def attention_transfer_loss(student: Tensor, teacher: Tensor, *, p: float = 2) -> Tensor:
    """(q_S - q_T)^2, mean over images and positions, of two attention maps.

    q is the mean over channels of |f|^p, divided by its L2 norm over the positions of an image. This is the form of the
    authors' code; their paper writes a sum of L2 distances, not squared. It falls as 1 / (H W): a weight that is right
    for small maps is too small for large ones.

    **Shapes**: features (B, C_s, H_s, W_s), (B, C_t, H_t, W_t) -> (); the larger map is average-pooled to the smaller.

    Raises:
        ValueError: p below 1, maps that are not (B, C, H, W), or of different B.
    """
    if p < 1:
        raise ValueError(f"p must be at least 1, found {p}")
    student, teacher = pool_to_smaller(student, teacher.detach())
    return F.mse_loss(attention_map(student, p), attention_map(teacher, p))


def attention_map(features: Tensor, p: float = 2) -> Tensor:
    """Mean over channels of |f|^p, with L2 norm 1; a map of zeros stays 0. **Shapes**: (B, C, H, W) -> (B, H W)."""
    # neither a product nor a norm keeps |f|^p for the backward pass; the product takes a third of the norm's time
    sums = (features * features).sum(1) if p == 2 else torch.linalg.vector_norm(features, p, dim=1).pow(p)
    return unit(sums.flatten(1) / features.shape[1], 1, floor=FLOOR**p)
