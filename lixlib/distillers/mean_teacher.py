"""The rival without X: a student that agrees with the average of its own weights (Tarvainen and Valpola, 2017)."""

import math
from copy import deepcopy
from typing import Annotated, Literal

import torch
from annotated_types import Interval
from torch import Tensor, nn

from lixlib.core.averages import Mover
from lixlib.core.checks import check_same_shape, full_precision, mean_over, valid_pixels, whole
from lixlib.core.constants import IGNORE
from lixlib.core.options import Share, Weight, checked
from lixlib.core.output import Output, call
from lixlib.core.sample import Sample
from lixlib.functional import kd_loss
from lixlib.functional.softmax import softmax


class MeanTeacher(nn.Module):
    """The term "consistency" = weight x ramp x distance from the answers of a moving average of the student.

    It needs no teacher and no X. In training the student sees images without labels with a contrast and a brightness of
    their own and with noise, and the average sees them as they are: without a difference there is little to learn. What
    is drawn leaves torch's global generator alone. So the batches, their augmentation and the images with labels are
    those of any other method.

    Every call of `look` in training takes the student, as the last update left it, into the average m of the weights w
    and of the statistics of batch norm: m = d m + (1 - d) w, d = min(decay, n / (n + 1)) after n updates. The ramp of
    the weight is exp(-5 (1 - n / ramp_up)^2) in update n, and 1 from update ramp_up on.

    Source: Tarvainen and Valpola, "Mean teachers are better role models", NeurIPS 2017, and its PyTorch code: the mean
    squared difference of softmaxes, its ramp and d. There labelled images are disturbed, too, and the average uses
    batch statistics and has noise of its own. The strengths of the jitter (0.4) and of the noise (0.15 of an image's
    standard deviation, about 0.04 here) are those of its ImageNet and SVHN runs.

    Args:
        network: the student, of which the average starts as a copy.
        decay: d in the long run.
        ramp_up: updates until the term has its full weight.
        jitter: strength of the change of contrast and brightness, each by a factor from 1 - jitter to 1 + jitter.
        noise: standard deviation of the noise, of RGB in [0, 1].
        disturbed: which images are: "unlabelled", or "all", as in the paper.
        consistency: "mse", the squared difference of softmaxes, mean over classes; or "kl", as in `kd_loss`.
    """

    @checked
    def __init__(
        self,
        network: nn.Module,
        teacher: None = None,
        *,
        weight: Weight = 30.0,
        decay: Annotated[float, Interval(ge=0, lt=1)] = 0.99,
        ramp_up: Annotated[int, Interval(ge=0, le=1_000_000)] = 200,
        jitter: Share = 0.4,
        noise: Share = 0.04,
        disturbed: Literal["unlabelled", "all"] = "unlabelled",
        consistency: Literal["mse", "kl"] = "mse",
    ):
        super().__init__()
        if not isinstance(network, nn.Module):
            raise ValueError(f"MeanTeacher needs the student itself, found {type(network).__name__}: use Distiller")
        self.average = deepcopy(network).requires_grad_(False).eval()
        self._move = Mover(self.average.state_dict())
        self.weight, self.decay, self.ramp_up = weight, decay, ramp_up
        self.jitter, self.noise, self.disturbed, self.consistency = jitter, noise, disturbed, consistency
        self._updates = 0

    def train(self, mode: bool = True) -> "MeanTeacher":
        super().train(mode)
        self.average.eval()
        return self

    def get_extra_state(self) -> Tensor:
        return torch.tensor(self._updates)  # not a buffer, which a GPU would have to be waited for to read

    def set_extra_state(self, state: Tensor) -> None:
        self._updates = int(state)

    @torch.no_grad()
    def look(self, student: nn.Module, batch: Sample) -> tuple[Tensor, Output]:
        """What the student is to see of the batch, and what its average makes of it. **Shapes**: rgb (B, 3, H, W)."""
        rgb = batch.rgb
        if self.training:
            self._follow(student)
            chosen = (whole(batch.label) == IGNORE).flatten(1).all(1) | (self.disturbed == "all")
            rgb = torch.where(chosen[:, None, None, None], self._disturb(rgb), rgb)
            self._updates += 1
        return rgb, call(self.average, batch.rgb, batch.x)

    def forward(self, student: Output, average: Output, target: Tensor) -> dict[str, Tensor]:
        distance = kd_loss if self.consistency == "kl" else mean_squared
        return {"consistency": self.weight * self._ramp() * distance(student.logits, average.logits, target)}

    def _ramp(self) -> float:
        done = min(1.0, self._updates / self.ramp_up) if self.ramp_up else 1.0
        return math.exp(-5 * (1 - done) ** 2)

    def _follow(self, student: nn.Module) -> None:
        """Take the student's weights into the average."""
        decay = min(self.decay, self._updates / (self._updates + 1))
        self._move(self.average.state_dict(), student.state_dict(), 1 - decay)

    def _disturb(self, rgb: Tensor) -> Tensor:
        # the loop seeds every epoch and process; a stream of its own follows from that seed and the update
        generator = torch.Generator(rgb.device).manual_seed(torch.initial_seed() % 2**60 + (1 + self._updates) * 10**9)
        drawn = torch.rand(2, len(rgb), 1, 1, 1, generator=generator, device=rgb.device)
        contrast, brightness = 1 + self.jitter * (2 * drawn - 1)
        grey = rgb.mean((1, 2, 3), keepdim=True)
        noise = torch.randn(rgb.shape, generator=generator, device=rgb.device)
        seen: Tensor = brightness * (grey + contrast * (rgb - grey)) + self.noise * noise
        return seen.clamp(0, 1)


@full_precision
def mean_squared(student: Tensor, average: Tensor, target: Tensor) -> Tensor:
    """The squared difference of two softmaxes, mean over classes and over the pixels whose target is not 255.

    **Shapes**: logits (B, C, H, W) twice, target (B, H, W) -> ().
    """
    check_same_shape(student, average)
    valid = valid_pixels(student, target)
    difference = softmax(student.contiguous(), valid) - softmax(average.contiguous(), valid)
    return mean_over(difference.square().mean(1), valid)
