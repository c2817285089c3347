"""Factor transfer (Kim et al., NeurIPS 2018)."""

from torch import Tensor

from lixlib.core.checks import check_same_shape, full_precision
from lixlib.functional.norms import unit


@full_precision
def factor_transfer_loss(student: Tensor, teacher: Tensor, *, p: int = 1) -> Tensor:
    """Distance of two factors, each divided by its L2 norm over channels and positions of its image.

    p = 1: mean |F_s - F_t| over all entries; p = 2: ||F_s - F_t||_2, mean over the images. This is the paper's form
    (Eq. (3)); RepDistiller's code under the same name compares attention maps. The entries of a vector of length 1
    shrink as it grows: p = 1 falls as 1 / sqrt(C H W), and its gradient as 1 / (C H W). A factor of
    norm 1e-6 or less counts as 0, without gradient.

    **Shapes**: student and teacher factors (B, ...), the same -> ().

    Raises:
        ValueError: unequal shapes, or a p that is neither 1 nor 2.
    """
    check_same_shape(student, teacher)
    if p not in (1, 2):
        raise ValueError(f"p must be 1 or 2, found {p}")
    s, t = (unit(factor.flatten(1), 1) for factor in (student, teacher.detach()))
    return (s - t).abs().mean() if p == 1 else (s - t).norm(dim=1).mean()
