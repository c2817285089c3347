"""Prime-aware adaptive distillation (Zhang et al., ECCV 2020)."""

from torch import Tensor, nn

from lixlib.core.options import Weight, checked
from lixlib.core.output import Output
from lixlib.distillers.common import check_batch_norm, deepest_pair
from lixlib.functional import pad_loss
from lixlib.functional.pooling import pool_to_smaller

BOUND = 10.0  # of |log-variance|: without one the loss falls for ever where the student has reached its teacher


class PAD(nn.Module):
    """The term "pad" = weight x `pad_loss`, every position of the map a sample; it may be negative.

    A 1x1 convolution brings the student's map to the teacher's channels; another with batch norm reads from the result
    how unsure it is: a log-variance for every position and channel, bounded to [-10, 10]. torchdistill compares pooled
    vectors, and first trains ten epochs without the variance.

    Args:
        tap: the name to compare; None: the deepest.

    Raises:
        ValueError: in training, a single position in a batch of a single image, of which batch norm can make nothing.
    """

    @checked
    def __init__(self, student: Output, teacher: Output, *, weight: Weight = 1.0, tap: str | None = None):
        super().__init__()
        self.weight = weight
        self.tap, s, t = deepest_pair(student, teacher, tap)
        channels = t.shape[1]
        self.projection = nn.Conv2d(s.shape[1], channels, 1)
        self.head = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels))

    def forward(self, student: Output, teacher: Output, target: Tensor) -> dict[str, Tensor]:
        name, s, t = deepest_pair(student, teacher, self.tap)
        s, t = pool_to_smaller(s, t)
        check_batch_norm(self, name, s)
        s = self.projection(s)
        return {"pad": self.weight * pad_loss(s, t, self.head(s).clamp(-BOUND, BOUND))}
