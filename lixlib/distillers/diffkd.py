"""Diffusion knowledge distillation (Huang et al., NeurIPS 2023)."""

from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Interval
from torch import Tensor, nn

from lixlib.core.options import Count, Weight, checked
from lixlib.core.output import Output
from lixlib.distillers.common import check_batch_norm, deepest_pair
from lixlib.functional.diffkd import add_noise, ddim_step, mix_noise, noise_schedule
from lixlib.functional.pooling import pool_to_smaller

TIMES = 1000  # of the diffusion
LEAST_WIDTH = 8


class Bottleneck(nn.Module):
    """x + (1x1, 3x3, 1x1 convolutions with batch norm, at a `reduction`-th of the width, at least one channel).

    **Shapes**: (B, C, H, W) -> the same.
    """

    def __init__(self, channels: int, reduction: int):
        super().__init__()
        inner = max(channels // reduction, 1)
        self.body = nn.Sequential(
            nn.Conv2d(channels, inner, 1),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, inner, 3, padding=1),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, channels, 1),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.body(x)
        return result


class NoiseAdapter(nn.Module):
    """How much of each image's map is signal: the rest is to be noise. **Shapes**: (B, C, H, W) -> (B, 1, 1, 1)."""

    def __init__(self, channels: int):
        super().__init__()
        self.body = Bottleneck(channels, reduction=8)
        self.head = nn.Linear(channels, 2)

    def forward(self, x: Tensor) -> Tensor:
        share: Tensor = self.head(self.body(x).mean((2, 3))).softmax(1)[:, 0]
        return share.view(-1, 1, 1, 1)


class NoisePredictor(nn.Module):
    """The noise in a map at a time of the diffusion. **Shapes**: (B, C, H, W), times (B,) -> (B, C, H, W)."""

    def __init__(self, channels: int):
        super().__init__()
        self.time = nn.Embedding(TIMES, channels)
        self.body = nn.Sequential(
            Bottleneck(channels, reduction=4),
            Bottleneck(channels, reduction=4),
            nn.Conv2d(channels, channels, 1),
            nn.BatchNorm2d(channels),
        )

    def forward(self, noisy: Tensor, times: Tensor) -> Tensor:
        noise: Tensor = self.body(noisy + self.time(times)[:, :, None, None])
        return noise


class DiffKD(nn.Module):
    """The terms "diffkd", "noise" and "autoencoder": the student's map is denoised, then compared with the teacher's.

    An auto-encoder of 1x1 convolutions brings the teacher's map to a latent width: "autoencoder" is the mean squared
    error of the map that it rebuilds. A diffusion model learns to find the noise in that latent map: "noise" is the
    mean squared error of what it finds, at a random time for each image. A 1x1 convolution brings the student's map to
    the same width, noise is mixed in, as much as the noise adapter says, and five deterministic steps of the model take
    it out again: "diffkd" is weight x the mean squared error to the teacher's latent map. All is trained together; the
    student learns from "diffkd" alone. Random numbers come from torch's global generator.

    This is the reference's form for features; it has another for logits. There is no public one for segmentation.

    Args:
        weight: of "diffkd"; the other two, which train the modules, have weight 1.
        tap: the name to compare; None: the deepest.
        width: channels of the latent map; None: half of the teacher's, at least 8.
        steps: of the denoising, over the cleaner half of the diffusion.

    Raises:
        ValueError: in training, a single position in a batch of a single image, of which batch norm can make nothing.
    """

    kept: Tensor

    @checked
    def __init__(
        self,
        student: Output,
        teacher: Output,
        *,
        weight: Weight = 1.0,
        tap: str | None = None,
        width: Count | None = None,
        steps: Annotated[int, Interval(ge=1, le=TIMES // 2)] = 5,
    ):
        super().__init__()
        self.tap, s, t = deepest_pair(student, teacher, tap)
        width = max(t.shape[1] // 2, LEAST_WIDTH) if width is None else width
        self.weight, self.stride = weight, TIMES // (2 * steps)
        self.times = [self.stride * step for step in reversed(range(steps))]  # 400, 300, 200, 100, 0
        self.align = nn.Conv2d(s.shape[1], width, 1)
        self.encoder = nn.Sequential(nn.Conv2d(t.shape[1], width, 1), nn.BatchNorm2d(width))
        self.decoder = nn.Conv2d(width, t.shape[1], 1)
        self.adapter = NoiseAdapter(width)
        self.predictor = NoisePredictor(width)
        self.head = nn.Sequential(nn.Conv2d(width, width, 1), nn.BatchNorm2d(width))
        self.register_buffer("kept", noise_schedule(TIMES), persistent=False)
        self.levels = self.kept.tolist()  # the same as numbers: reading one from a GPU would make it wait

    def forward(self, student: Output, teacher: Output, target: Tensor) -> dict[str, Tensor]:
        name, s, t = deepest_pair(student, teacher, self.tap)
        s, t = pool_to_smaller(s, t)
        check_batch_norm(self, name, s)
        latent = self.encoder(t)
        rebuilt = self.decoder(latent).float()
        latent = latent.detach().float()
        return {
            "diffkd": self.weight * F.mse_loss(self.denoise(self.align(s)), latent),
            "noise": self._noise_loss(latent),
            "autoencoder": F.mse_loss(rebuilt, t.float()),
        }

    def denoise(self, x: Tensor) -> Tensor:
        """The student's latent map, noise mixed in and taken out again. **Shapes**: (B, width, H, W) -> the same."""
        x = mix_noise(x, torch.randn_like(x), self.adapter(x))
        for time in self.times:
            noise = self.predictor(x, torch.full((len(x),), time, device=x.device))
            x = ddim_step(x, noise, self.levels[time], self.levels[time - self.stride] if time else 1.0)
        latent: Tensor = self.head(x)
        return latent.float()

    def _noise_loss(self, latent: Tensor) -> Tensor:
        times = torch.randint(TIMES, (len(latent),), device=latent.device)
        noise = torch.randn_like(latent)
        noisy = add_noise(latent, noise, self.kept[times].view(-1, 1, 1, 1))
        return F.mse_loss(self.predictor(noisy, times).float(), noise)
