"""Prime-aware adaptive distillation (Zhang et al., ECCV 2020)."""

import math

from torch import Tensor

from lixlib.core.checks import check_same_shape, full_precision, shape

FLOOR = math.log(1e-6)  # of the variance


@full_precision
def pad_loss(student: Tensor, teacher: Tensor, log_variance: Tensor) -> Tensor:
    """(teacher - student)^2 / (1e-6 + e^l) + l, mean over all entries, l the log-variance of each.

    The form of torchdistill; there is no official code. Where student and teacher are equal it falls for ever with l:
    bound l. Unlike `vid_loss`, whose variance belongs to a channel, l depends on the input. Gradient flows into the
    student and l.

    **Shapes**: all three the same, any -> ().

    Raises:
        ValueError: unequal shapes.
    """
    check_same_shape(student, teacher)
    if log_variance.shape != student.shape:
        raise ValueError(f"log_variance must be shaped like the student, {shape(student)}: found {shape(log_variance)}")
    precision = (FLOOR - log_variance).sigmoid() / 1e-6  # 1 / (1e-6 + e^l), finite where e^l is not
    return ((teacher.detach() - student).square() * precision + log_variance).mean()
