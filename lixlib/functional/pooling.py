"""Two feature maps of different sizes, brought to one."""

import torch.nn.functional as F
from torch import Tensor

from lixlib.core.checks import shape


def pool_to_smaller(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Average-pool both maps to the smaller of their heights and the smaller of their widths; equal sizes pass.

    **Shapes**: (B, C_s, H_s, W_s), (B, C_t, H_t, W_t) -> (B, C_s, H, W), (B, C_t, H, W).

    Raises:
        ValueError: maps that are not (B, C, H, W), or of different B.
    """
    if student.dim() != 4 or teacher.dim() != 4 or len(student) != len(teacher):
        raise ValueError(
            f"student and teacher must be (B, C, H, W) with one B, found {shape(student)} and {shape(teacher)}"
        )
    size = min(student.shape[2], teacher.shape[2]), min(student.shape[3], teacher.shape[3])
    s, t = (f if f.shape[2:] == size else F.adaptive_avg_pool2d(f, size) for f in (student, teacher))
    return s, t
