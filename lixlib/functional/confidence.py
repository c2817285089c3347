"""The confidence of a softmax in its pixel (LIX Eq. (6))."""

import math

from torch import Tensor

from lixlib.core.checks import check_choice, full_precision, shape
from lixlib.functional.softmax import entropy

KINDS = ("negentropy", "entropy", "squares", "max")


@full_precision
def confidence(logits: Tensor, *, kind: str = "negentropy") -> Tensor:
    """Confidence per pixel from the softmax P of the logits: LIX Eq. (6), whose product the paper leaves open.

    "negentropy": 1 + sum_c P_c log P_c / log C, in [0, 1], 1 = certain. "entropy": -sum_c P_c log P_c in nats, the
    *un*certainty of BGNN, 0 = certain. "squares": sum_c P_c^2, and "max": max_c P_c, both in [1/C, 1], 1 = certain.

    **Shapes**: (B, C, H, W) -> (B, H, W), or (N, C) -> (N,).

    Raises:
        ValueError: an unknown kind, or C < 2.
    """
    check_choice("confidence", kind, KINDS)
    if logits.dim() < 2 or logits.shape[1] < 2:
        raise ValueError(f"confidence needs logits (B, C, H, W) or (N, C) of at least 2 classes, found {shape(logits)}")
    if kind in ("max", "squares"):
        p = logits.softmax(1)
        return p.amax(1) if kind == "max" else p.square().sum(1)
    found = entropy(logits)
    return found if kind == "entropy" else 1 - found / math.log(logits.shape[1])
