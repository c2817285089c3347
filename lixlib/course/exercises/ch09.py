"""Chapter 09: the KL divergence."""

import torch

from lixlib.course.checker import Exercise, Inputs, randn
from lixlib.functional import kd_loss


def _two_logits(generator: torch.Generator) -> Inputs:
    return {"random logits": (3 * randn(generator, 2, 5, 4, 4), 3 * randn(generator, 2, 5, 4, 4))}


EXERCISES = {
    "09.1": Exercise(
        expected=kd_loss,
        inputs=_two_logits,
        hint="KL(p || q) is the sum of p (log p - log q), and p is the teacher's.",
        mistakes={
            "you have swapped teacher and student; the teacher's p is the weight.": lambda s, t: kd_loss(t, s),
            "that is the sum over the pixels; take their mean.": lambda s, t: kd_loss(s, t) * t[:, 0].numel(),
            "that is the mean over the classes, too; sum over them.": lambda s, t: kd_loss(s, t) / t.shape[1],
            "that is the mean over images only; over the pixels of each, too.": lambda s, t: (
                kd_loss(s, t) * t[0, 0].numel()
            ),
            "the sign is the wrong way round: log p - log q.": lambda s, t: -kd_loss(s, t),
            "that is the cross-entropy; the teacher's own entropy is to be subtracted.": lambda s, t: (
                -(t.softmax(1) * s.log_softmax(1)).sum(1).mean()
            ),
            "the softmax must run over the classes, dimension 1; yours runs over the columns.": lambda s, t: (
                (t.softmax(-1) * (t.log_softmax(-1) - s.log_softmax(-1))).sum(1).mean()
            ),
        },
    ),
}
