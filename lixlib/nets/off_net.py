"""OFF-Net (Min et al., ICRA 2022): one Mix Transformer for RGB and X, fused by a gate; and its RGB student."""

import torch
import torch.nn.functional as F
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

from lixlib.core.options import checked
from lixlib.core.output import Output
from lixlib.nets import inputs, pretrained
from lixlib.nets.mit import MiT, maps, tokens

STRIDE = 32
STAGES = (1, 2, 3, 4)
HEAD_WIDTH = 256


class Gate(nn.Module):
    """Weigh RGB's map against X's, channel by channel: g = sigmoid(linear(rgb + x)); rgb + g rgb, and x + (1 - g) x.

    **Shapes**: twice (B, C, H, W) -> the same.
    """

    def __init__(self, width: int):
        super().__init__()
        self.fc = nn.Linear(width, width)

    def forward(self, rgb: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        gate = maps(torch.sigmoid(self.fc(tokens(rgb + x))), rgb.shape[-2:])
        return rgb + gate * rgb, x + (1 - gate) * x


def as_colours(x: Tensor) -> Tensor:
    """X as the three channels of a stage that also reads RGB (ours; the reference has dense normals alone).

    Layer norm removes the brightness of a colour, and its gradient is unbounded where all channels are 0, which ruins
    the shared stage for RGB as well. Therefore one channel becomes (x, 1 - x, x), whose ratios depend on x, and normals
    of 0, which mean unknown, become (0, 0, -1), as in the reference's estimator.

    **Shapes**: (B, 1 or 3, H, W) -> (B, 3, H, W).
    """
    if x.shape[1] == 1:
        return torch.cat([x, 1 - x, x], dim=1)
    facing = x.new_tensor([0.0, 0.0, -1.0])[:, None, None]
    return torch.where(x.any(dim=1, keepdim=True), x, facing)


class OFFNetHead(nn.Module):
    """SegFormer's head: every map to 256 channels and to /4, concatenated, mixed, classified.

    **Shapes**: four maps (B, widths[i], H / 2^(i + 2), W / 2^(i + 2)) -> logits (B, C, H / 4, W / 4) and the mixed map
    (B, 256, H / 4, W / 4).
    """

    def __init__(self, widths: tuple[int, ...], num_classes: int):
        super().__init__()
        for stage, width in zip(STAGES, widths, strict=True):
            self.add_module(f"linear_c{stage}", nn.Linear(width, HEAD_WIDTH))
        self.linear_fuse = nn.Sequential(
            nn.Conv2d(len(STAGES) * HEAD_WIDTH, HEAD_WIDTH, 1, bias=False),
            nn.BatchNorm2d(HEAD_WIDTH),
            nn.ReLU(inplace=True),
        )
        self.linear_pred = nn.Conv2d(HEAD_WIDTH, num_classes, 1)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        size = features[0].shape[-2:]
        scales = []
        for stage, feature in zip(STAGES, features, strict=True):
            same_width = maps(getattr(self, f"linear_c{stage}")(tokens(feature)), feature.shape[-2:])
            scales.append(F.interpolate(same_width, size=size, mode="bilinear"))
        decoded = self.linear_fuse(torch.cat(scales[::-1], dim=1))  # the coarsest first, as in the reference
        return self.linear_pred(decoded), decoded


class OFFNet(nn.Module, PyTorchModelHubMixin):
    """OFF-Net: RGB and X go through the same first stage and a gate, and on as one (the teacher); without X, RGB alone.

    Architecture of chaytonmin/Off-Road-Freespace-Detection over MiT-B2, without the layers that its forward pass never
    calls: 24,726,272 + 257 C parameters, 24,722,112 + 257 C without X. The student is SegFormer-B2 with a head of 256
    channels.

    Args:
        num_classes: C, the channels of the logits.
        x_channels: 3 (normals) or 1 for the teacher, None for the student. The first stage reads three channels: see
            `as_colours`.
        full_size: logits at input size, bilinear (ours); False leaves them at a quarter of it, as the reference does.

    **Shapes**: rgb (B, 3, H, W) in [0, 1]; x (B, x_channels, H, W); any H, W (padded to multiples of 32 by their last
    row and column, and the logits cropped back; a quarter of H and W is rounded up). Taps of teacher and student: what
    the head reads, c1 (64, /4), c2 (128, /8), c3 (320, /16), c4 (512, /32), and its own map `decode` (256, /4). As in
    the reference, the teacher's c1 is the gated RGB, in which X is only as what opens the gate: the sum of the gated
    RGB and X goes on to c2.

    Raises:
        ValueError: inputs that do not fit.
    """

    name = "off-net"

    @checked
    def __init__(self, num_classes: int, x_channels: int | None = None, *, full_size: bool = True):
        super().__init__()
        self.num_classes, self.x_channels, self.full_size = num_classes, x_channels, full_size
        self.normalise = inputs.Normalise()
        self.encoder = MiT()
        if x_channels is not None:
            self.gate = Gate(self.encoder.widths[0])
        self.head = OFFNetHead(self.encoder.widths, num_classes)

    def load_pretrained(self, source: str, *, partial: bool = False) -> None:
        """Load ImageNet weights into the encoder (ours; the reference has none); see `lixlib.nets.pretrained.mit`.

        From then on RGB is normalised as these weights expect it. X is not: it passes through the same first stage as
        it is.
        """
        pretrained.fill(self.encoder, pretrained.mit(source), source, partial=partial)
        self.normalise.set(pretrained.MEAN, pretrained.DEVIATION)

    def forward(self, rgb: Tensor, x: Tensor | None = None) -> Output:
        inputs.check(self, rgb, x)
        height, width = rgb.shape[-2:]
        rgb, x = inputs.pad(self.normalise(rgb), STRIDE), inputs.pad(x, STRIDE)
        padded = rgb.shape[-2:]
        c1 = fused = self.encoder.stage(1, rgb)
        if x is not None:
            c1, gated = self.gate(c1, self.encoder.stage(1, as_colours(x)))
            fused = c1 + gated
        features = {"c1": c1}
        for stage in STAGES[1:]:
            fused = features[f"c{stage}"] = self.encoder.stage(stage, fused)
        logits, decoded = self.head(list(features.values()))
        if self.full_size:
            logits = F.interpolate(logits, size=padded, mode="bilinear")
            logits = inputs.crop(logits, (height, width))
        else:
            logits = inputs.crop(logits, (-(-height // 4), -(-width // 4)))
        return Output(logits, {**features, "decode": decoded})
