"""Pseudo-labels: the teacher's classes as if they were labels (Lee, ICML Workshops 2013)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lixlib.core.checks import full_precision
from lixlib.core.constants import IGNORE
from lixlib.core.options import Weight, checked
from lixlib.core.output import Output


class PseudoLabels(nn.Module):
    """The term "pseudo" = weight x cross-entropy with the class that the teacher sees, over the labelled pixels.

    Nothing of the teacher's doubt is left, so this is what distillation has to be better than.

    Args:
        balanced: weight the classes by one over the square root of their share in the batch, as class weights "sqrt"
            of the labels; the term is then the weighted mean.
    """

    @checked
    def __init__(self, student: Output, teacher: Output, *, weight: Weight = 1.0, balanced: bool = True):
        super().__init__()
        self.weight, self.balanced = weight, balanced

    def forward(self, student: Output, teacher: Output, target: Tensor) -> dict[str, Tensor]:
        return {"pseudo": self.weight * self._loss(student.logits, teacher.logits, target)}

    @full_precision
    def _loss(self, student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
        valid = target != IGNORE
        seen = teacher.argmax(1).where(valid, IGNORE)
        counts = torch.bincount(seen[valid], minlength=student.shape[1]).to(student)
        weights = counts.clamp(min=1).rsqrt() if self.balanced else torch.ones_like(counts)
        total = F.cross_entropy(student, seen, weights, ignore_index=IGNORE, reduction="sum")
        return total / (weights * counts).sum().clamp(min=torch.finfo(total.dtype).tiny)
