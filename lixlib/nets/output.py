"""What every network returns."""

from typing import NamedTuple

from torch import Tensor


class Output(NamedTuple):
    """Logits at input size, and the named feature maps at which two networks can be compared.

    **Shapes**: logits (B, C, H, W); every tap (B, C_tap, H_tap, W_tap).
    """

    logits: Tensor
    taps: dict[str, Tensor]
