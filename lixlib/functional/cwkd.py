"""Channel-wise knowledge distillation (Shu et al., ICCV 2021)."""

import torch
from torch import Tensor

from lixlib.core.checks import check_same_shape, check_temperature, full_precision, mean_over, shape
from lixlib.functional.softmax import kl_divergence, soften, softmax


@full_precision
def cwkd_loss(student: Tensor, teacher: Tensor, *, temperature: float = 4.0) -> Tensor:
    """T^2 KL(phi(t) || phi(s)), mean over images and channels; phi is a softmax over the positions of a channel.

    It compares where a class is more likely than elsewhere, not which class a pixel has: a constant added to a channel
    of an image changes nothing. There is no target: every position counts, as in the reference implementations.

    A channel that is -inf everywhere in the teacher costs 0, and inf if it is so in the student alone.

    **Shapes**: logits or features (B, C, H, W), or (N, C), the N positions of one image -> ().

    Raises:
        ValueError: unequal shapes, or fewer than 2 dimensions.
    """
    check_same_shape(student, teacher)
    check_temperature(temperature)
    if student.dim() < 2:
        raise ValueError(f"logits must be (B, C, H, W) or (N, C), found {shape(student)}")
    maps = (x.T if x.dim() == 2 else x.flatten(2).flatten(0, 1) for x in (student, teacher.detach()))
    s, t = (soften(x, temperature) for x in maps)
    off_s, off_t = (x.detach().amax(1) == -torch.inf for x in (s, t))
    on = ~(off_s | off_t)
    divergence = kl_divergence(*(softmax(x, on, log=True) for x in (s, t))).where(on, 0)
    return temperature**2 * mean_over(divergence.masked_fill(off_s & ~off_t, torch.inf), None)
