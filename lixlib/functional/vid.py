"""Variational information distillation (Ahn et al., CVPR 2019)."""

from torch import Tensor

from lixlib.core.checks import check_same_shape, full_precision, shape


@full_precision
def vid_loss(mean: Tensor, teacher: Tensor, variance: Tensor) -> Tensor:
    """((mean - teacher)^2 / v + log v) / 2, mean over all entries: how unlikely a Gaussian finds the teacher (Eq. (5)).

    `mean` is what a regressor makes of the student's map; v is one variance a channel. The value may be negative, and
    leaves out the constant log(2 pi) / 2. Gradient flows into mean and variance.

    **Shapes**: mean and teacher (B, C, ...), variance (C,), above 0 -> ().

    Raises:
        ValueError: mean and teacher of unequal shapes, or another number of variances than channels.
    """
    check_same_shape(mean, teacher)
    if mean.dim() < 2 or variance.shape != mean.shape[1:2]:
        raise ValueError(f"variance must be (C,) for maps (B, C, ...), found {shape(variance)} and {shape(mean)}")
    variance = variance.view(-1, *[1] * (mean.dim() - 2))
    return ((mean - teacher.detach()).square() / variance + variance.log()).mean() / 2
