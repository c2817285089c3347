"""Channel-wise knowledge distillation (Shu et al., ICCV 2021)."""

from torch import Tensor

from lixlib.functional.checks import check_same_shape, check_temperature, full_precision, mean_over, shape
from lixlib.functional.kd import kl_divergence


@full_precision
def cwkd_loss(student: Tensor, teacher: Tensor, *, temperature: float = 4.0) -> Tensor:
    """T^2 KL(phi(t) || phi(s)), mean over images and channels; phi is a softmax over the positions of a channel.

    It says where a class is more likely than elsewhere, not which class a pixel is: a constant added to a channel of an
    image changes nothing. There is no target: every position counts, as in the reference implementations.

    **Shapes**: logits or features (B, C, H, W), or (N, C), the N positions of one image -> ().

    Raises:
        ValueError: unequal shapes, or fewer than 2 dimensions.
    """
    check_same_shape(student, teacher)
    check_temperature(temperature)
    if student.dim() < 2:
        raise ValueError(f"logits must be (B, C, H, W) or (N, C), found {shape(student)}")
    maps = (x.T if x.dim() == 2 else x.flatten(2).flatten(0, 1) for x in (student, teacher.detach()))
    return temperature**2 * mean_over(kl_divergence(*maps, temperature), None)
