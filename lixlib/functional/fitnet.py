"""FitNets: hints from an intermediate layer (Romero et al., ICLR 2015)."""

import torch.nn.functional as F
from torch import Tensor

from lixlib.core.checks import check_same_shape, full_precision


@full_precision
def fitnet_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """(r(f_S) - f_T)^2, mean over all elements; r, which makes the channels equal, is the caller's.

    **Shapes**: features (B, C, H, W), any shape as long as both have it -> ().

    Raises:
        ValueError: unequal shapes.
    """
    check_same_shape(student, teacher)
    return F.mse_loss(student, teacher.detach())
