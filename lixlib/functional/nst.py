"""Neuron selectivity transfer (Huang and Wang, 2017)."""

from torch import Tensor

from lixlib.core.checks import full_precision
from lixlib.functional.norms import unit
from lixlib.functional.pooling import pool_to_smaller


@full_precision
def nst_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared maximum mean discrepancy of the two sets of channel maps, kernel k(a, b) = <a, b>^2, mean over images.

    mean k(t, t') + mean k(s, s') - 2 mean k(s, t) over all pairs of channels, each map divided by its L2 norm.
    A sample is a channel, so that the numbers of channels may differ.

    **Shapes**: features (B, C_s, H_s, W_s), (B, C_t, H_t, W_t) -> (); the larger map is average-pooled to the smaller;
    no temporary beyond (B, C, C').

    Raises:
        ValueError: maps that are not (B, C, H, W), or of different B.
    """
    s, t = (unit(f.flatten(2), 2) for f in pool_to_smaller(student, teacher.detach()))
    tt, ss, st = ((a @ b.mT).square().mean() for a, b in ((t, t), (s, s), (s, t)))
    return tt + ss - 2 * st
