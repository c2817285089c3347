"""Channel-wise knowledge distillation (Shu et al., ICCV 2021)."""

import torch
from torch import Tensor

from lixlib.core.checks import check_same_shape, check_temperature, full_precision, mean_over, shape
from lixlib.functional.blocks import Block, Found, TwiceDifferentiable, exponentials_
from lixlib.functional.kd import between_
from lixlib.functional.softmax import blank_, kl_divergence, soften, softmax


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
    of_student, of_teacher = (_channels(x) for x in (student, teacher.detach()))

    def plain(student: Tensor) -> Tensor:
        s, t = (soften(x, temperature) for x in (student, of_teacher))
        off_s, off_t = ((x.detach() == -torch.inf).all(1) for x in (s, t))
        on = ~(off_s | off_t)
        costs = kl_divergence(*(softmax(x, on, log=True) for x in (s, t))).where(on, 0)
        return temperature**2 * mean_over(costs.masked_fill(off_s & ~off_t, torch.inf), None)

    inputs = {"teacher": of_teacher, "temperature": temperature}
    loss: Tensor = TwiceDifferentiable.apply(of_student, plain, _divergence, inputs)
    return loss


def _channels(maps: Tensor) -> Tensor:
    """Every channel as an image of one pixel whose classes are the positions. **Shapes**: -> (B C, H W, 1)."""
    return (maps.T if maps.dim() == 2 else maps.flatten(2).flatten(0, 1)).unsqueeze(-1)


def _divergence(block: Block, with_slope: bool) -> Found:
    """The divergence of `kd_loss`, but of the channels that are on."""
    highest_s, highest_t = (z.amax(1, keepdim=True) for z in (block.student, block.teacher))
    s, t = exponentials_(block.student, highest_s), exponentials_(block.teacher, highest_t)
    loss, slope, _ = between_(s, t, with_slope)
    off_s, off_t = highest_s == -torch.inf, highest_t == -torch.inf
    on = ~(off_s | off_t)
    loss = loss.where(on, 0).masked_fill(off_s & ~off_t, torch.inf)
    return Found(loss, None if slope is None else blank_(slope, on[:, 0]))
