"""Adaptively recalibrated feature distillation: LIX Eqs. (12)-(17)."""

import math
from collections import defaultdict
from typing import Annotated, Literal, get_args

import torch
import torch.nn.functional as F
from annotated_types import Interval
from torch import Tensor, nn

from lixlib.core.options import Names, Positive, Weight, checked
from lixlib.core.output import Output
from lixlib.distillers.common import tap_pairs
from lixlib.functional import cka, gram
from lixlib.functional.norms import unit

Measure = Literal["cka", "cosine", "euclidean", "pearson"]
MEASURES = get_args(Measure)


class ARFD(nn.Module):
    """The term "arfd" = weight x mean over taps and images of (1 - CKA) between recalibrated features: LIX Eq. (17).

    Each pair of maps is average-pooled to one size, the student's passes a 1x1 convolution to the teacher's channels,
    both a ReLU and a standardisation of every channel over the positions of its image (Eq. (12)). Computed in float32.

    Args:
        weight: lambda_F of Eq. (18).
        taps: the names to compare; None: all that both networks have.
        kernel: "laplace", "gaussian", "linear", or "none": the aligned features themselves (Table V). CKA reads the
            kernel matrix as its Gram matrix, so with measure "cka" and no smoother "none" is the same as "linear".
        measure: "cka"; or 1 - "cosine", the mean squared difference "euclidean", 1 - "pearson" of the flattened
            recalibrated features (Table V).
        samples: the rows of the kernel matrix, "positions" of the map or "channels".
        max_positions: a map is pooled to at most so many positions, keeping its aspect.
        smoother: False: the kernel matrix K is the recalibrated feature; True: K F / K 1 (Nadaraya-Watson) of the
            aligned features F, with the "laplace" or "gaussian" kernel.
        bandwidth: of the kernel; None: the mean pairwise distance of each image's map.
        bandwidth_factor: by which the bandwidth, given or not, is multiplied.
        adapters: where the 1x1 convolution of Eq. (12) is: "student"; "both" sides, where the loss can make both sides
            alike without teaching the student anything; or "none": kernel matrices over positions have one size
            whatever the numbers of channels are, and what there is to learn is then the student's alone.

    Raises:
        ValueError: an unknown name, no common tap, or a tap with fewer than two positions (or channels) to compare.
    """

    @checked
    def __init__(
        self,
        student: Output,
        teacher: Output,
        *,
        weight: Weight = 1.0,
        taps: Names | None = None,
        kernel: Literal["laplace", "gaussian", "linear", "none"] = "laplace",
        measure: Measure = "cka",
        samples: Literal["positions", "channels"] = "positions",
        max_positions: Annotated[int, Interval(ge=2, le=2**16)] = 256,
        smoother: bool = False,
        bandwidth: Positive | None = None,
        bandwidth_factor: Positive = 1.0,
        adapters: Literal["student", "both", "none"] = "student",
    ):
        super().__init__()
        if smoother and kernel not in ("laplace", "gaussian"):
            raise ValueError(
                f'a smoother needs weights that are above 0, kernel "laplace" or "gaussian": found {kernel!r}'
            )
        self.weight, self.kernel, self.measure, self.samples = weight, kernel, measure, samples
        self.max_positions, self.smoother, self.bandwidth = max_positions, smoother, bandwidth
        self.bandwidth_factor = bandwidth_factor
        pairs = tap_pairs(student, teacher, taps)
        for name, (s, t) in pairs.items():
            rows = math.prod(self._size(s, t)) if samples == "positions" else t.shape[1]
            if rows < 2:
                raise ValueError(
                    f"tap {name!r} has 1 of {samples}, and two are needed to compare: leave it out of taps"
                )
            by_channel = samples == "channels" or (measure != "cka" and (kernel == "none" or smoother))
            if adapters == "none" and by_channel and s.shape[1] != t.shape[1]:
                raise ValueError(
                    f"tap {name!r} has {s.shape[1]} channels in the student and {t.shape[1]} in the teacher, which "
                    'only an adapter makes comparable: take adapters "student", or compare kernel matrices over '
                    'positions (samples "positions" and a kernel)'
                )
        self.taps = tuple(pairs)
        of_student = () if adapters == "none" else pairs.values()
        self.adapters = nn.ModuleList(nn.Conv2d(s.shape[1], t.shape[1], 1) for s, t in of_student)
        of_teacher = pairs.values() if adapters == "both" else ()
        self.teacher_adapters = nn.ModuleList(nn.Conv2d(t.shape[1], t.shape[1], 1) for _, t in of_teacher)

    def forward(self, student: Output, teacher: Output, target: Tensor) -> dict[str, Tensor]:
        alike = defaultdict(list)  # taps of one shape are compared in one go
        for s, t in self._aligned(student, teacher):
            alike[s.shape, t.shape].append((s, t))
        distances = [
            len(pairs) * self._distance(*(self._recalibrate(torch.cat(side)) for side in zip(*pairs, strict=True)))
            for pairs in alike.values()
        ]
        return {"arfd": self.weight * torch.stack(distances).sum() / len(self.taps)}

    @torch.no_grad()
    def similarity(self, student: Output, teacher: Output) -> dict[str, float]:
        """CKA of each tap, mean over the images, through the adapters as they are (Fig. 5)."""
        pairs = zip(self.taps, self._aligned(student, teacher), strict=True)
        return {name: self._cka(*map(self._recalibrate, pair)).mean().item() for name, pair in pairs}

    def _aligned(self, student: Output, teacher: Output) -> list[tuple[Tensor, Tensor]]:
        pairs = tap_pairs(student, teacher, self.taps).values()
        of_student = self.adapters or [None] * len(pairs)
        of_teacher = self.teacher_adapters or [nn.Identity()] * len(pairs)
        with torch.autocast(student.logits.device.type, enabled=False):
            return [
                self._align(s, adapt(t.float()), adapter)
                for (s, t), adapter, adapt in zip(pairs, of_student, of_teacher, strict=True)
            ]

    def _size(self, s: Tensor, t: Tensor) -> tuple[int, int]:
        """The common size of a pair: the smaller of both, shrunk to at most `max_positions`."""
        h, w = (min(a, b) for a, b in zip(s.shape[2:], t.shape[2:], strict=True))
        factor = min(1.0, math.sqrt(self.max_positions / (h * w)))
        h, w = max(int(h * factor), 1), max(int(w * factor), 1)
        return min(h, self.max_positions), min(w, self.max_positions)

    def _align(self, s: Tensor, t: Tensor, adapter: nn.Module | None) -> tuple[Tensor, Tensor]:
        """Eq. (12). **Shapes**: -> twice (B, n, d), n samples."""
        size = self._size(s, t)
        # pooling and a 1x1 convolution commute: pool first, the convolution then costs little
        s, t = (F.adaptive_avg_pool2d(f, size).float().flatten(2) for f in (s, t))
        if adapter is not None:
            weight, bias = adapter.parameters()
            s = F.linear(s.mT, weight.flatten(1), bias).mT  # of maps with their pixels in a row
        # each channel in one piece of memory, before the ReLU: its gradient is then, too
        s, t = (F.relu(f.contiguous()) for f in (s, t))
        s, t = (F.layer_norm(f, f.shape[2:]) for f in (s, t))
        return (s.mT, t.mT) if self.samples == "positions" else (s, t)

    def _recalibrate(self, f: Tensor) -> Tensor:
        """Eqs. (13)-(14). **Shapes**: (B, n, d) -> (B, n, n), or (B, n, d) with kernel "none" or the smoother."""
        if self.kernel == "none":
            return f
        k = gram(f, kernel=self.kernel, bandwidth=self.bandwidth)
        if self.bandwidth_factor != 1 and self.kernel != "linear":
            k = k.pow(self.bandwidth_factor ** (-2 if self.kernel == "gaussian" else -1))  # exp(-d / (f s))
        if not self.smoother:
            return k
        with torch.autocast(f.device.type, enabled=False):
            return k @ f / k.sum(-1, keepdim=True)

    def _cka(self, s: Tensor, t: Tensor) -> Tensor:
        """Eqs. (15)-(16). **Shapes**: twice recalibrated features -> (B,)."""
        features = self.kernel == "none" or self.smoother
        return cka(gram(s), gram(t)) if features else cka(s, t)

    def _distance(self, s: Tensor, t: Tensor) -> Tensor:
        """How far two recalibrated features are apart, mean over the images. **Shapes**: -> ()."""
        if self.measure == "cka":
            return 1 - self._cka(s, t).mean()
        s, t = s.flatten(1), t.flatten(1)
        if self.measure == "euclidean":
            return F.mse_loss(s, t)
        if self.measure == "pearson":
            s, t = (unit(f - f.mean(1, keepdim=True), 1, uncentred=f) for f in (s, t))
        else:
            s, t = unit(s, 1), unit(t, 1)
        return 1 - (s * t).sum(1).mean()
