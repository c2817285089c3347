"""SNE-RoadSeg (Fan et al., ECCV 2020): intermediate fusion of two ResNets, a dense decoder; and its RGB student."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Literal

import torch
import torch.nn.functional as F
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lixlib.core.options import checked
from lixlib.core.output import Output
from lixlib.nets import inputs, pretrained
from lixlib.nets.resnet import ResNet

STRIDE = 32
STAGES = (1, 2, 3, 4, 5)


class Block(nn.Module):
    """Twice a 3x3 convolution, batch norm, ReLU.

    **Shapes**: (B, in, H, W) -> (B, out, H, W).
    """

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(x)), inplace=True)


class Up(nn.Module):
    """Twice the size, then a 3x3 convolution, batch norm, ReLU; `activated` False ends with the convolution.

    **Shapes**: (B, in, H, W) -> (B, out, 2 H, 2 W).
    """

    def __init__(self, in_channels: int, out_channels: int, *, activated: bool = True):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(out_channels) if activated else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True))
        return x if self.bn1 is None else F.relu(self.bn1(x), inplace=True)


class RoadSegDecoder(nn.Module):
    """A triangle of nodes as in UNet++: each sees all nodes before it on its level, and one of the level below.

    Node (i, j) of level i (1 is the finest) and column j is block(concat[(i, 0), ..., (i, j - 1), up((i + 1, j - 1))]);
    the nodes of column 0 are the encoder's maps. Module names are those of the reference.

    **Shapes**: five maps (B, widths[i - 1], H / 2^i, W / 2^i) -> logits (B, C, H, W) and the last node of every level,
    {"d4": /16, "d3": /8, "d2": /4, "d1": /2}, with the channels of the encoder's map of that size.
    """

    def __init__(self, widths: tuple[int, ...], num_classes: int, activated_head: bool, checkpointing: bool):
        super().__init__()
        self.checkpointing = checkpointing
        for level, column in self._nodes():
            width, below = widths[level - 1], widths[level]
            self.add_module(f"up{level + 1}_{column - 1}", Up(below, width))
            self.add_module(f"conv{level}_{column}", Block((column + 1) * width, width))
        self.final = Up(widths[0], num_classes, activated=activated_head)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1.0, 0.02)

    def forward(self, features: list[Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        nodes = {(level, 0): feature for level, feature in zip(STAGES, features, strict=True)}
        for level, column in self._nodes():
            beside = [nodes[level, before] for before in range(column)]
            nodes[level, column] = self._call(self._node, level, column, nodes[level + 1, column - 1], *beside)
        decoded = {f"d{level}": nodes[level, 5 - level] for level in (4, 3, 2, 1)}
        return self._call(self.final, decoded["d1"]), decoded

    @staticmethod
    def _nodes() -> Iterator[tuple[int, int]]:
        return ((level, column) for column in (1, 2, 3, 4) for level in range(1, 6 - column))

    def _node(self, level: int, column: int, below: Tensor, *beside: Tensor) -> Tensor:
        up = getattr(self, f"up{level + 1}_{column - 1}")(below)
        result: Tensor = getattr(self, f"conv{level}_{column}")(torch.cat([*beside, up], dim=1))
        return result

    def _call(self, function: Callable[..., Tensor], *arguments: Tensor | int) -> Tensor:
        if not (self.checkpointing and torch.is_grad_enabled()):
            return function(*arguments)
        result: Tensor = checkpoint(
            function,
            *arguments,
            use_reentrant=False,
            preserve_rng_state=False,
            context_fn=lambda: (nullcontext(), _frozen_statistics(self)),
        )
        return result


@contextmanager
def _frozen_statistics(module: nn.Module) -> Iterator[None]:
    """Freeze the running statistics while maps are computed a second time, for the backward pass."""
    norms = [each for each in module.modules() if isinstance(each, nn.BatchNorm2d)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count


class SNERoadSeg(nn.Module, PyTorchModelHubMixin):
    """SNE-RoadSeg: with X a duplex ResNet whose maps are summed after every stage (the teacher); without X one ResNet.

    Architecture of hlwang1124/SNE-RoadSeg: the sum goes on in the RGB encoder, X's encoder never sees RGB. With
    resnet152 the encoders have 116,281,344 parameters with a one-channel X, 116,287,616 with three, 58,143,808 without;
    the whole network 201,317,376 + 579 C, 201,323,648 + 579 C and 143,179,840 + 579 C. Normals as X:
    `lixlib.data.x.normals`.

    Args:
        num_classes: C, the channels of the logits.
        x_channels: 1 (depth) or 3 (normals) for the teacher, None for the student.
        encoder: resnet18, resnet34, resnet50, resnet101 or resnet152, which is the paper's.
        activated_head: the reference ends in convolution, batch norm and ReLU, so that no logit is below 0; False ends
            in a plain 3x3 convolution.
        checkpointing: compute the decoder's maps again in the backward pass instead of keeping them: the same gradients
            from nearly half the memory (one image of 192 x 640, bfloat16: 201 instead of 373 MiB with resnet18, 528
            instead of 899 with resnet50), in more time. Not together with torch.compile.

    **Shapes**: rgb (B, 3, H, W) in [0, 1]; x (B, x_channels, H, W); any H, W (padded to multiples of 32 by their last
    row and column, and the logits cropped back). Taps of teacher and student: the encoder's (fused) maps e1 ... e5 at
    /2 ... /32, with 64, 256, 512, 1024 and 2048 channels (resnet18 and 34: 64, 64, 128, 256, 512); the decoder's d4 at
    /16 ... d1 at /2, each with the channels of the encoder's map of that size.

    Raises:
        ValueError: an unknown encoder, inputs that do not fit, or in training a single image of 32 x 32 pixels.
    """

    name = "sne-roadseg"

    @checked
    def __init__(
        self,
        num_classes: int,
        x_channels: int | None = None,
        *,
        encoder: Literal["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"] = "resnet152",
        activated_head: bool = True,
        checkpointing: bool = False,
    ):
        super().__init__()
        self.num_classes, self.x_channels, self.encoder = num_classes, x_channels, encoder
        self.normalise = inputs.Normalise()
        self.rgb_encoder = ResNet(encoder)
        if x_channels is not None:
            self.x_encoder = ResNet(encoder, x_channels)
        self.decoder = RoadSegDecoder(self.rgb_encoder.widths, num_classes, activated_head, checkpointing)

    def load_pretrained(self, source: str, *, partial: bool = False) -> None:
        """Load ImageNet weights into both encoders, as the reference does; see `lixlib.nets.pretrained.resnet`, `fill`.

        From then on RGB is normalised as these weights expect it (ours; the reference leaves RGB in [0, 1]). X is not
        normalised, as in the reference. If X has one channel, its first convolution gets the mean of the weights of R,
        G and B.
        """
        state = pretrained.resnet(source, self.encoder)
        pretrained.fill(self.rgb_encoder, state, source, partial=partial)
        self.normalise.set(pretrained.MEAN, pretrained.DEVIATION)
        if self.x_channels is not None:
            stem = state["conv1.weight"]
            x_stem = stem.mean(1, keepdim=True) if self.x_channels == 1 else stem
            pretrained.fill(self.x_encoder, {**state, "conv1.weight": x_stem}, source, partial=partial)

    def forward(self, rgb: Tensor, x: Tensor | None = None) -> Output:
        inputs.check(self, rgb, x)
        size = rgb.shape[-2:]
        rgb, x = inputs.pad(self.normalise(rgb), STRIDE), inputs.pad(x, STRIDE)
        inputs.check_batch_norm(self, rgb, STRIDE)
        features = {}
        for stage in STAGES:
            rgb = self.rgb_encoder.stage(stage, rgb)
            if x is not None:
                x = self.x_encoder.stage(stage, x)
                rgb = rgb + x
            features[f"e{stage}"] = rgb
        logits, decoded = self.decoder(list(features.values()))
        return Output(inputs.crop(logits, size), {**features, **decoded})
