"""MFNet (Ha et al., IROS 2017): a late-fusion RGB-X network, and its RGB-only student."""

from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Interval
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

from lixlib.core.options import checked
from lixlib.core.output import Output
from lixlib.nets import inputs

STRIDE = 16
RGB_WIDTHS = (16, 48, 48, 96, 96)
X_WIDTHS = (16, 16, 16, 36, 36)


class ConvBlock(nn.Sequential):
    """3x3 convolution (dilation d, same size), batch norm, LeakyReLU(0.2).

    **Shapes**: (B, in, H, W) -> (B, out, H, W).
    """

    def __init__(self, in_channels: int, out_channels: int, dilation: int = 1):
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, padding=dilation, dilation=dilation),
            nn.BatchNorm2d(out_channels),
            nn.LeakyReLU(0.2, inplace=True),
        )


class MiniInception(nn.Module):
    """Three rounds of a plain and a dilated `ConvBlock` side by side, concatenated.

    **Shapes**: (B, in, H, W) -> (B, out, H, W), `out` even.
    """

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        half = out_channels // 2
        self.rounds = nn.ModuleList(
            nn.ModuleList([ConvBlock(channels, half), ConvBlock(channels, half, dilation=2)])
            for channels in (in_channels, out_channels, out_channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        for pair in self.rounds:
            assert isinstance(pair, nn.ModuleList)
            plain, dilated = pair
            x = torch.cat([plain(x), dilated(x)], dim=1)
        return x


class MFNetEncoder(nn.Module):
    """One of MFNet's branches: five stages, each at half the size of the one before.

    **Shapes**: (B, in, H, W) -> {"conv2": /2, "conv3": /4, "conv4": /8, "conv5": /16}.
    """

    def __init__(self, in_channels: int, widths: tuple[int, ...]):
        super().__init__()
        w1, w2, w3, w4, w5 = widths
        self.conv1 = ConvBlock(in_channels, w1)
        self.conv2 = nn.Sequential(ConvBlock(w1, w2), ConvBlock(w2, w2))
        self.conv3 = nn.Sequential(ConvBlock(w2, w3), ConvBlock(w3, w3))
        self.conv4 = MiniInception(w3, w4)
        self.conv5 = MiniInception(w4, w5)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        features = {}
        x = self.conv1(image)
        for name in ("conv2", "conv3", "conv4", "conv5"):
            x = features[name] = getattr(self, name)(F.max_pool2d(x, 2))
        return features


class MFNetDecoder(nn.Module):
    """Upsample by two, add the skip, convolve: four times, from /16 to /1.

    **Shapes**: the encoder's maps -> logits (B, C, H, W) and {"decode4": /8, "decode3": /4, "decode2": /2}.
    """

    def __init__(self, widths: tuple[int, int, int, int], num_classes: int, activated_head: bool):
        super().__init__()
        w5, w4, w3, w2 = widths
        self.decode4 = ConvBlock(w5, w4)
        self.decode3 = ConvBlock(w4, w3)
        self.decode2 = ConvBlock(w3, w2)
        self.decode1 = ConvBlock(w2, num_classes) if activated_head else nn.Conv2d(w2, num_classes, 3, padding=1)

    def forward(self, features: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        decoded = {}
        x = features["conv5"]
        for level in (4, 3, 2):
            x = F.interpolate(x, scale_factor=2.0) + features[f"conv{level}"]
            x = decoded[f"decode{level}"] = getattr(self, f"decode{level}")(x)
        return self.decode1(F.interpolate(x, scale_factor=2.0)), decoded


class MFNet(nn.Module, PyTorchModelHubMixin):
    """MFNet: with X a duplex encoder, fused by concatenation in the decoder (the teacher); without X its RGB half.

    Architecture of haqishen/MFNet-pytorch. Encoders: 601,848 parameters with a one-channel X, 528,096 without; whole
    network: 733,656 + 291 C and 597,552 + 147 C.

    Args:
        num_classes: C, the channels of the logits.
        x_channels: 1 or 3 for the teacher, None for the student.
        activated_head: the reference ends in convolution, batch norm and LeakyReLU(0.2), which squashes negative
            logits; False ends in a plain 3x3 convolution.
        width: factor of every number of channels but the input's and the classes', rounded to even numbers.

    **Shapes**: rgb (B, 3, H, W) in [0, 1]; x (B, x_channels, H, W) in [0, 1]; any H, W (sides that are no multiple
    of 16 are padded by their last row and column, and the logits cropped back).

    Raises:
        ValueError: x is missing for a teacher or given to a student, or its shape does not fit rgb.
    """

    name = "mfnet"

    @checked
    def __init__(
        self,
        num_classes: int,
        x_channels: int | None = None,
        *,
        activated_head: bool = True,
        width: Annotated[float, Interval(gt=0, le=16)] = 1.0,
    ):
        super().__init__()
        self.num_classes, self.x_channels, self.activated_head = num_classes, x_channels, activated_head
        rgb, x = (tuple(max(2, 2 * round(width * w / 2)) for w in widths) for widths in (RGB_WIDTHS, X_WIDTHS))
        self.rgb_encoder = MFNetEncoder(3, rgb)
        fused = rgb
        if x_channels is not None:
            self.x_encoder = MFNetEncoder(x_channels, x)
            fused = tuple(a + b for a, b in zip(rgb, x, strict=True))
        # stage 1 has no skip: the decoder's last map is as wide as it, of both encoders
        self.decoder = MFNetDecoder((fused[4], fused[2], fused[1], fused[0]), num_classes, activated_head)

    def forward(self, rgb: Tensor, x: Tensor | None = None) -> Output:
        inputs.check(self, rgb, x)
        size = rgb.shape[-2:]
        rgb, x = inputs.pad(rgb, STRIDE), inputs.pad(x, STRIDE)
        inputs.check_batch_norm(self, rgb, STRIDE)
        features = self.rgb_encoder(rgb)
        if x is not None:
            x_features = self.x_encoder(x)
            features = {name: torch.cat([features[name], x_features[name]], dim=1) for name in features}
        logits, decoded = self.decoder(features)
        return Output(inputs.crop(logits, size), {**features, **decoded})
