"""Relational knowledge distillation (Park et al., CVPR 2019)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from lixlib.core.checks import check_same_batch, full_precision


@full_precision
def rkd_loss(student: Tensor, teacher: Tensor, *, distance_weight: float = 25.0, angle_weight: float = 50.0) -> Tensor:
    """Distances and angles between the images of a batch: w_d smoothL1(d_S, d_T) + w_a smoothL1(a_S, a_T).

    d_ij = ||x_i - x_j|| divided by its mean over i != j, mean of the smooth L1 (beta = 1) over all B^2 pairs; a_ijk the
    cosine of the angle at x_i between x_j and x_k, 0 where two of them are equal, mean over all B^3 triples.

    One or two images carry no signal: the loss and its gradient are 0. Two have one distance, which is its own mean.

    **Shapes**: (B, ...), (B, ...), flattened, any other sizes -> (); temporaries of B^3 entries, and none of (B, B, D).

    Raises:
        ValueError: different B.
    """
    check_same_batch(student, teacher)
    if len(student) < 3:
        return 0 * student.sum()
    (d_s, a_s), (d_t, a_t) = _relations(student), _relations(teacher.detach())
    loss = distance_weight * F.smooth_l1_loss(d_s, d_t) + angle_weight * F.smooth_l1_loss(a_s, a_t)
    return loss.to(student.dtype)


def _relations(features: Tensor) -> tuple[Tensor, Tensor]:
    """Distances in units of their mean, and cosines, from the Gram matrix G alone. **Shapes**: -> (B, B), (B, B, B).

    |x_i - x_j|^2 = G_ii + G_jj - 2 G_ij loses the digits that G_ii and G_jj share: so the rows are centred first, and G
    is float64, which costs little for B x B numbers.
    """
    x = features.flatten(1).double()
    x = x - x.mean(0)
    g = x @ x.mT
    own = g.diagonal()
    square = own[:, None] + own - 2 * g
    apart = square > 32 * torch.finfo(g.dtype).eps * (own[:, None] + own)  # else: rounding of equal rows
    distance = square.where(apart, 1).sqrt().where(apart, 0)
    mean = distance.sum() / (len(x) * (len(x) - 1))
    # <x_j - x_i, x_k - x_i>, over the two lengths
    product = g - g[:, :, None] - g[:, None, :] + own[:, None, None]
    inverse = apart / distance.where(apart, 1)
    return distance / mean.where(mean > 0, 1), product * inverse[:, :, None] * inverse[:, None, :]
