"""ResNet (He et al., CVPR 2016) as an encoder, with the state-dict names of torchvision, so that its weights fit."""

import torch.nn.functional as F
from torch import Tensor, nn


def convolution(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """A convolution without bias that keeps the size, or divides it by the stride."""
    return nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, of ResNet-18 and -34.

    **Shapes**: (B, in, H, W) -> (B, width, H / stride, W / stride).
    """

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int):
        super().__init__()
        self.conv1 = convolution(in_channels, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = convolution(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = shortcut(in_channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(out)) + self.downsample(x))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut, of ResNet-50 and deeper; the stride is that of the 3x3 (v1.5).

    **Shapes**: (B, in, H, W) -> (B, 4 width, H / stride, W / stride).
    """

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int):
        super().__init__()
        self.conv1 = convolution(in_channels, width, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = convolution(width, width, 3, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = convolution(width, 4 * width, 1)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = shortcut(in_channels, 4 * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        return F.relu(self.bn3(self.conv3(out)) + self.downsample(x))


def shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """The input as it is, or, where size or channels change, its 1x1 convolution."""
    if stride == 1 and in_channels == out_channels:
        return nn.Sequential()
    return nn.Sequential(convolution(in_channels, out_channels, 1, stride), nn.BatchNorm2d(out_channels))


Block = type[BasicBlock] | type[Bottleneck]
# block, and blocks in each of the layers 1 to 4
LAYERS: dict[str, tuple[Block, tuple[int, int, int, int]]] = {
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
    "resnet101": (Bottleneck, (3, 4, 23, 3)),
    "resnet152": (Bottleneck, (3, 8, 36, 3)),
}


class ResNet(nn.Module):
    """The five stages of a ResNet, each at half the size of the one before; without its classifier.

    Parameters with a three-channel input: 58,143,808 for resnet152, 42,500,160 (101), 23,508,032 (50), 21,284,672 (34)
    and 11,176,512 (18).

    Args:
        name: resnet18, resnet34, resnet50, resnet101 or resnet152.
        in_channels: channels of the image.

    Raises:
        ValueError: an unknown name.
    """

    def __init__(self, name: str, in_channels: int = 3):
        super().__init__()
        if name not in LAYERS:
            raise ValueError(f"unknown encoder {name!r}: choose one of {', '.join(LAYERS)}")
        block, (n1, n2, n3, n4) = LAYERS[name]
        self.widths = (64, *(width * block.expansion for width in (64, 128, 256, 512)))
        self.conv1 = convolution(in_channels, 64, 7, 2)
        self.bn1 = nn.BatchNorm2d(64)
        w1, w2, w3, w4, _ = self.widths
        self.layer1 = layer(block, w1, 64, n1, 1)
        self.layer2 = layer(block, w2, 128, n2, 2)
        self.layer3 = layer(block, w3, 256, n3, 2)
        self.layer4 = layer(block, w4, 512, n4, 2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def stage(self, number: int, x: Tensor) -> Tensor:
        """One of the stages 1 to 5, so that something can be added to its result before the next.

        **Shapes**: (B, in, H, W) for stage 1, the result of the stage before for the others ->
        (B, `widths[number - 1]`, H / 2 ** number, W / 2 ** number).
        """
        if number == 1:
            return F.relu(self.bn1(self.conv1(x)))
        if number == 2:
            x = F.max_pool2d(x, 3, 2, padding=1)
        result: Tensor = getattr(self, f"layer{number - 1}")(x)
        return result


def layer(block: Block, in_channels: int, width: int, count: int, stride: int) -> nn.Sequential:
    """`count` blocks, of which the first divides the size by the stride."""
    out_channels = width * block.expansion
    return nn.Sequential(block(in_channels, width, stride), *(block(out_channels, width, 1) for _ in range(count - 1)))
