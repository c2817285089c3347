"""The omni-contrast of Af-DCD, augmentation-free dense contrastive distillation (Fan et al., NeurIPS 2023)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from lixlib.core.checks import check_same_shape, check_temperature, full_precision, shape


@full_precision
def omni_contrast_loss(
    student: Tensor, teacher: Tensor, *, groups: int, pool: int, patch: int, temperature: float = 0.07
) -> Tensor:
    """InfoNCE of pieces of feature vectors: sum over pieces / (pooled positions x images).

    Both maps are max-pooled and cut into patches, each position's vector into `groups` pieces. A student's piece
    (position i, group m) must be nearer to the teacher's piece at the same place than to the teacher's pieces of other
    groups at every position of the patch; those of the same group at other positions do not count. Similarity is
    - L1 distance / temperature, which grows with the C / groups entries of a piece. With one group there are no
    negatives, and the loss is 0.

    Pooling is adaptive: `pool` x `pool` windows where that leaves whole patches; else windows a little larger, so that
    the pooled sides are the next smaller multiples of `patch`, at least one patch.

    **Shapes**: student and teacher (B, C, H, W) -> (); memory B x pooled positions x (patch x groups)^2.

    Raises:
        ValueError: unequal shapes, C no multiple of `groups`, or a map smaller than one patch.
    """
    check_same_shape(student, teacher)
    check_temperature(temperature)
    if student.dim() != 4:
        raise ValueError(f"student and teacher must be (B, C, H, W), found {shape(student)}")
    batch, channels, *sides = student.shape
    for name, value in (("groups", groups), ("pool", pool), ("patch", patch)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, found {value}")
    if channels % groups:
        raise ValueError(f"{channels} channels cannot be cut into {groups} equal groups")
    if min(sides) < patch:
        raise ValueError(f"a map of {sides[0]} x {sides[1]} positions has no patch of {patch} x {patch}")
    rows, columns = (max(side // pool // patch, 1) for side in sides)  # of patches
    size = rows * patch, columns * patch

    def pieces(f: Tensor) -> Tensor:
        """**Shapes**: (B, C, H, W) -> (patches of all images, groups x positions, C / groups)."""
        f = F.adaptive_max_pool2d(f, size) / temperature
        f = f.reshape(batch, groups, channels // groups, rows, patch, columns, patch)
        return f.permute(0, 3, 5, 1, 4, 6, 2).reshape(-1, groups * patch**2, channels // groups)

    # scaled before the distance, and the mask written into its negative: few maps of all pairs
    student, teacher = (pieces(f) for f in (student, teacher.detach()))
    group = torch.arange(groups, device=student.device).repeat_interleave(patch**2)
    left_out = (group.unsqueeze(0) == group.unsqueeze(1)).fill_diagonal_(False)
    similarity = torch.cdist(student, teacher, p=1).neg().masked_fill_(left_out, -torch.inf)
    return -similarity.log_softmax(2).diagonal(dim1=1, dim2=2).sum() / (batch * size[0] * size[1])
