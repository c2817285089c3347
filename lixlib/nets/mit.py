"""Mix Transformer B2, the encoder of SegFormer (Xie et al., NeurIPS 2021), with the state-dict names of its weights."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (64, 128, 320, 512)
DEPTHS = (3, 4, 6, 3)
HEADS = (1, 2, 5, 8)
REDUCTIONS = (8, 4, 2, 1)
DROP_PATH = 0.1
Size = torch.Size | tuple[int, int]  # height, width


class PatchEmbed(nn.Module):
    """A convolution with overlapping windows, and layer norm.

    **Shapes**: (B, in, H, W) -> (B, out, H / stride, W / stride).
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int):
        super().__init__()
        self.proj = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2)
        self.norm = nn.LayerNorm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.proj(x)
        return maps(self.norm(tokens(x)), x.shape[-2:])


class Attention(nn.Module):
    """Self-attention whose keys and values are those of a map that is smaller by `reduction`.

    **Shapes**: (B, H W, C), size (H, W) -> (B, H W, C).
    """

    def __init__(self, width: int, heads: int, reduction: int):
        super().__init__()
        self.heads, self.reduction = heads, reduction
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)
        if reduction > 1:
            self.sr = nn.Conv2d(width, width, reduction, reduction)
            self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, size: Size) -> Tensor:
        reduced = self.norm(tokens(self.sr(maps(x, size)))) if self.reduction > 1 else x
        queries = self._by_head(self.q(x))
        keys, values = (self._by_head(half) for half in self.kv(reduced).chunk(2, dim=-1))
        attended = F.scaled_dot_product_attention(queries, keys, values).transpose(1, 2).flatten(2)
        result: Tensor = self.proj(attended)
        return result

    def _by_head(self, x: Tensor) -> Tensor:
        heads: Tensor = x.unflatten(-1, (self.heads, -1))
        return heads.transpose(1, 2)


class DepthwiseConv(nn.Module):
    """A 3x3 convolution of each channel by itself, from which the tokens get their positions.

    **Shapes**: (B, H W, C), size (H, W) -> (B, H W, C).
    """

    def __init__(self, width: int):
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 3, padding=1, groups=width)

    def forward(self, x: Tensor, size: Size) -> Tensor:
        return tokens(self.dwconv(maps(x, size)))


class MixFFN(nn.Module):
    """Two linear layers with a depthwise convolution and GELU between them, four times as wide inside.

    **Shapes**: (B, H W, C), size (H, W) -> (B, H W, C).
    """

    def __init__(self, width: int):
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.dwconv = DepthwiseConv(4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor, size: Size) -> Tensor:
        result: Tensor = self.fc2(F.gelu(self.dwconv(self.fc1(x), size)))
        return result


class MiTBlock(nn.Module):
    """Attention and feed-forward, each beside a shortcut; in training an image skips each with probability `drop_path`.

    **Shapes**: (B, H W, C), size (H, W) -> (B, H W, C).
    """

    def __init__(self, width: int, heads: int, reduction: int, drop_path: float):
        super().__init__()
        self.drop_path = drop_path
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads, reduction)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = MixFFN(width)

    def forward(self, x: Tensor, size: Size) -> Tensor:
        x = x + self._dropped(self.attn(self.norm1(x), size))
        return x + self._dropped(self.mlp(self.norm2(x), size))

    def _dropped(self, branch: Tensor) -> Tensor:
        if not self.training or self.drop_path == 0:
            return branch
        keep = 1 - self.drop_path
        return branch * branch.new_empty(len(branch), 1, 1).bernoulli_(keep) / keep


class MiT(nn.Module):
    """Mix Transformer B2: four stages at /4, /8, /16 and /32; 24,196,288 parameters, initialised as SegFormer's.

    Its weights: `lixlib.nets.pretrained`.
    """

    widths = WIDTHS

    def __init__(self) -> None:
        super().__init__()
        rates = iter(DROP_PATH * i / (sum(DEPTHS) - 1) for i in range(sum(DEPTHS)))
        inputs = (3, *WIDTHS[:-1])
        for number, (width, depth, heads, reduction) in enumerate(
            zip(WIDTHS, DEPTHS, HEADS, REDUCTIONS, strict=True), start=1
        ):
            kernel, stride = (7, 4) if number == 1 else (3, 2)
            blocks = (MiTBlock(width, heads, reduction, next(rates)) for _ in range(depth))
            self.add_module(f"patch_embed{number}", PatchEmbed(inputs[number - 1], width, kernel, stride))
            self.add_module(f"block{number}", nn.ModuleList(blocks))
            self.add_module(f"norm{number}", nn.LayerNorm(width, eps=1e-6))
        self.apply(initialise)

    def stage(self, number: int, x: Tensor) -> Tensor:
        """One of the stages 1 to 4, so that something can be done with its result before the next.

        **Shapes**: (B, in, H, W), an image for stage 1 and the result of the stage before for the others ->
        (B, `widths[number - 1]`, H', W') at /4, /8, /16, /32 of the image.
        """
        x = getattr(self, f"patch_embed{number}")(x)
        size = x.shape[-2:]
        x = tokens(x)
        for block in getattr(self, f"block{number}"):
            x = block(x, size)
        return maps(getattr(self, f"norm{number}")(x), size)


def tokens(x: Tensor) -> Tensor:
    """**Shapes**: (B, C, H, W) -> (B, H W, C)."""
    return x.flatten(2).transpose(1, 2)


def maps(x: Tensor, size: Size) -> Tensor:
    """**Shapes**: (B, H W, C) -> (B, C, H, W)."""
    return x.transpose(1, 2).reshape(x.shape[0], x.shape[2], *size)  # unflatten would fix the size in ONNX


def initialise(module: nn.Module) -> None:
    """The initial weights of SegFormer: small in linear layers, of unit variance over the outputs of convolutions."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
        nn.init.normal_(module.weight, 0, math.sqrt(2 / fan_out))
        if module.bias is not None:
            nn.init.zeros_(module.bias)
