"""Losses of logits and their gradients in one pass over the pixels, a block of them at a time.

On a CPU a loss that is made of whole maps spends its time on memory: every operation reads and writes maps that no
cache holds, and a new map must first be given its pages. Here a block's logits are copied into small tensors, all that
is made of them stays in the cache, and of the gradient alone a whole map is written.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.autograd import Function

from lixlib.functional.softmax import Context, blank_

LOG2_E = 1 / math.log(2)
# Logits in a block for every thread, each of which has a cache of its own. From 2^16 to 2^18 a loss takes the same
# time; smaller blocks lose it to the calls of torch, and to threads that wait for each other after every operation.
ENTRIES = 2**17


class Block(NamedTuple):
    """Some pixels of some images. A formula may write into the logits.

    **Shapes**: student and teacher, which are the logits / T, (B, C, N); weight (B, C, N) or None; label, the target
    class, (B, 1, N) or None; valid (B, 1, N).
    """

    student: Tensor
    teacher: Tensor
    weight: Tensor | None
    label: Tensor | None
    valid: Tensor


class Found(NamedTuple):
    """What a formula makes of a block: the loss of every pixel, and its gradients in logits / T and in the weights.

    **Shapes**: loss (B, 1, N); slope and of_weight (B, C, N) or None.
    """

    loss: Tensor
    slope: Tensor | None
    of_weight: Tensor | None = None


Formula = Callable[[Block, bool], Found]  # the bool says whether the slope is needed


class Exponentials(NamedTuple):
    """e = exp(z - m) of logits z, m their maximum over the classes; the total of e over them, and its logarithm.

    **Shapes**: shifted, which is z - m, and e (B, C, N); total and log_total (B, 1, N).
    """

    shifted: Tensor
    e: Tensor
    total: Tensor
    log_total: Tensor


def exponentials_(z: Tensor, highest: Tensor) -> Exponentials:
    """The exponentials of logits whose maximum is given; z - m overwrites z. **Shapes**: (B, C, N), (B, 1, N)."""
    # a power of 2, since torch.exp of float32 takes a CPU three times as long
    e = z.sub_(highest).mul(LOG2_E).exp2_()
    total = e.sum(1, keepdim=True).clamp_(min=torch.finfo(z.dtype).tiny)  # 0 where all classes are switched off
    return Exponentials(z, e, total, total.log())


def products_(p: Tensor, difference: Tensor) -> Tensor:
    """p x difference with 0 x inf = 0, written over the difference. A NaN is lost, so something else must show it."""
    return difference.mul_(p).nan_to_num_(nan=0, posinf=torch.inf, neginf=-torch.inf)


def places(maps: Tensor) -> Iterator[tuple[slice, slice, slice]]:
    """Where the blocks of maps (B, C, N) lie: pixels of one image, or all pixels of several small images.

    Elsewhere than on a CPU, and where a compiler fuses the operations, one block is everything.
    """
    images, classes, count = maps.shape
    entries = maps.numel()
    if maps.device.type == "cpu" and not torch.compiler.is_compiling():
        entries = ENTRIES * torch.get_num_threads()
    some = max(entries // max(classes, 1), 1)  # pixels
    several = max(some // max(count, 1), 1)  # images
    for image in range(0, images, several):
        for pixel in range(0, max(count, 1), some):
            yield slice(image, image + several), slice(None), slice(pixel, pixel + some)


@torch.no_grad()
def sweep(
    formula: Formula,
    student: Tensor,
    teacher: Tensor,
    weight: Tensor | None = None,
    *,
    index: Tensor | None = None,
    valid: Tensor | None = None,
    temperature: float,
    needs: Sequence[bool] = (True, False),
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """T^2 times the mean of a formula over the valid pixels; its gradients in student and weight where it `needs` them.

    At a pixel that is not valid both gradients are 0, whatever the logits there are.

    **Shapes**: student, teacher and weight (B, C, ...); index (B, 1, ...); valid (B, ...), None for all -> the loss (),
    and the gradients, shaped like the student, or None.
    """
    s, t = _pixels(student), _pixels(teacher)
    w, y = (None if values is None else _pixels(values) for values in (weight, index))
    mask = torch.ones_like(s[:, :1], dtype=torch.bool) if valid is None else _pixels(valid.unsqueeze(1))
    factor = temperature / mask.sum().clamp(min=1).to(s.dtype)
    loss = s.new_zeros(())
    slope, of_weight = (torch.empty_like(s) if needed else None for needed in needs)
    for place in places(s):
        z_s, z_t = (x[place].to(s.dtype, copy=True, memory_format=torch.contiguous_format) for x in (s, t))
        if temperature != 1:
            z_s, z_t = z_s.div_(temperature), z_t.div_(temperature)
        weights, label = (None if x is None else x[place].contiguous() for x in (w, y))
        used = mask[place]
        found = formula(Block(z_s, z_t, weights, label, used), needs[0])
        loss += found.loss.where(used, 0).sum()
        if slope is not None and found.slope is not None:
            slope[place] = blank_(found.slope.mul_(factor), used[:, 0])
        if of_weight is not None and found.of_weight is not None:
            of_weight[place] = blank_(found.of_weight.mul_(factor * temperature), used[:, 0])
    of_student, of_weight = (None if values is None else _like(values, student) for values in (slope, of_weight))
    return loss * factor * temperature, of_student, of_weight


def _pixels(values: Tensor) -> Tensor:
    """**Shapes**: (B, C, ...) -> (B, C, N), N the pixels of an image; (N, C) -> (1, C, N)."""
    return values.T.unsqueeze(0) if values.dim() == 2 else values.flatten(2)


def _like(values: Tensor, logits: Tensor) -> Tensor:
    """Undo `_pixels`."""
    return values[0].T if logits.dim() == 2 else values.reshape(logits.shape)


class _WithPlain(Context, Protocol):
    plain: Callable[[Tensor], Tensor]


class TwiceDifferentiable(Function):
    """The loss of `sweep`. Its second derivative is that of `plain`, which makes the same loss of the student's logits.

    One map is kept for the backward pass, the gradient.
    """

    @staticmethod
    def forward(
        ctx: _WithPlain, student: Tensor, plain: Callable[[Tensor], Tensor], formula: Formula, inputs: dict[str, Any]
    ) -> Tensor:
        loss, slope, _ = sweep(formula, student, **inputs, needs=(ctx.needs_input_grad[0], False))
        ctx.save_for_backward(student, slope)
        ctx.plain = plain
        return loss

    @staticmethod
    def backward(ctx: _WithPlain, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        student, slope = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph
            (slope,) = torch.autograd.grad(ctx.plain(student), student, create_graph=True)
        return gradient * slope, None, None, None
