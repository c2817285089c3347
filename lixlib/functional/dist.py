"""DIST: distillation from a stronger teacher by correlation (Huang et al., NeurIPS 2022)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function

from lixlib.core.checks import check_same_shape, check_temperature, full_precision, mean_over, valid_pixels
from lixlib.core.constants import IGNORE
from lixlib.functional.once import once
from lixlib.functional.softmax import Context, soften, softmax

CONSTANT = 1e-5  # of the probabilities: a smaller relative deviation from their mean counts as none


@full_precision
def dist_loss(
    student: Tensor,
    teacher: Tensor,
    target: Tensor | None = None,
    *,
    beta: float = 1.0,
    gamma: float = 1.0,
    temperature: float = 1.0,
    ignore_index: int = IGNORE,
) -> Tensor:
    """T^2 (beta inter + gamma intra): 1 - Pearson's correlation of the softmax at temperature T.

    "inter" correlates the classes of each pixel, mean over valid pixels; "intra" a class over all valid pixels of the
    batch together, mean over classes. 1e-8 is added to the product of the two norms. A pixel or class of constant
    probability, within a relative 1e-5, has correlation 0: it costs 1 and gives no gradient, where the quotient has one
    without bound. With C = 2 every "inter" correlation is 1 or -1. It can be differentiated once.

    **Shapes**: student and teacher logits (B, C, H, W) or (N, C); target (B, H, W) or (N,), None for all pixels -> ().

    Raises:
        ValueError: unequal shapes, or a label that is neither in 0..C-1 nor `ignore_index`.
    """
    check_same_shape(student, teacher)
    check_temperature(temperature)
    valid = None if target is None else valid_pixels(student, target, ignore_index)
    p_s, p_t = (softmax(soften(logits, temperature), valid) for logits in (student, teacher.detach()))
    loss: Tensor = _Distances.apply(p_s, p_t, valid, beta, gamma)
    return temperature**2 * loss


class _Distances(Function):
    """beta inter + gamma intra of probabilities, and the gradient in the student's, which is the one map that is kept.

    With a and b centred, r = a.b / (|a| |b| + 1e-8) has the gradient (b - (a.b) / (|a| |b| + 1e-8) |b| / |a| a) /
    (|a| |b| + 1e-8) in a. What is the same for all classes of a pixel is left out: the softmax takes it away.
    """

    @staticmethod
    def forward(ctx: Context, p_s: Tensor, p_t: Tensor, valid: Tensor | None, beta: float, gamma: float) -> Tensor:
        classes = p_s.shape[1]
        pixels = (0, *range(2, p_s.dim()))
        share = 1 / classes  # the mean of a pixel's probabilities, and what subtracting it takes from their squares
        s, t = p_s - share, p_t - share
        product = torch.empty_like(s)
        inter = _correlate(s, t, (share, share), 1, product)
        loss = beta * mean_over(1 - inter.value.squeeze(1), valid)
        count = p_s.new_full((), p_s.numel() // classes) if valid is None else valid.sum()
        labelled = count.clamp(min=1).to(p_s)
        means = [p.sum(pixels, keepdim=True) / labelled for p in (p_s, p_t)]
        for p, mean, centred in zip((p_s, p_t), means, (s, t), strict=True):
            torch.sub(p, mean, out=centred)
            if valid is not None:
                centred.mul_(valid.unsqueeze(1))
        intra = _correlate(s, t, [mean.square() * labelled for mean in means], pixels, product)
        loss = loss + gamma * (1 - intra.value).mean() * count.clamp(max=1)
        if ctx.needs_input_grad[0]:
            scale = beta / labelled
            slope = t.mul_(-gamma / classes * intra.of_t).addcmul_(s, gamma / classes * intra.of_s)
            # both probabilities are 0 where a pixel is not valid
            slope.addcmul_(p_t, -scale * inter.of_t).addcmul_(p_s, scale * inter.of_s)
            ctx.save_for_backward(slope, p_s)
        return loss

    @staticmethod
    def backward(ctx: Context, gradient: Tensor) -> tuple[Tensor | None, ...]:
        slope, p_s = ctx.saved_tensors
        return once(gradient * slope, p_s, "dist_loss"), None, None, None, None


class _Correlation(NamedTuple):
    """Pearson's r; its gradient in the student's values is of_t times the teacher's minus of_s times the student's."""

    value: Tensor
    of_t: Tensor
    of_s: Tensor


def _correlate(
    s: Tensor, t: Tensor, taken: Sequence[Tensor | float], dim: int | tuple[int, ...], product: Tensor
) -> _Correlation:
    """Of values that are centred and the sum of the squares that this took from them; `product` is overwritten."""
    both, of_s, of_t = (torch.mul(a, b, out=product).sum(dim, keepdim=True) for a, b in ((s, t), (s, s), (t, t)))
    flat = [square <= CONSTANT**2 * (square + gone) for square, gone in zip((of_s, of_t), taken, strict=True)]
    constant = flat[0] | flat[1]
    length_s, length_t = (square.masked_fill(constant, 1).sqrt() for square in (of_s, of_t))
    slope = (1 / (length_s * length_t + 1e-8)).masked_fill(constant, 0)
    value = both * slope
    return _Correlation(value, slope, value * slope * length_t / length_s)
