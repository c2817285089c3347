"""What can be wrong with a sensor of depth: faults of X, to see what reaches a network that trusts it."""

from typing import Literal, get_args

import numpy as np

from lixlib.core.checks import check_choice

Fault = Literal["noise", "holes", "scale", "shift"]
FAULTS = get_args(Fault)
NOISE, HOLES, SCALE, SHIFT = 0.3, 0.5, 2.0, 0.06


def corrupt(depth: np.ndarray, fault: str, rng: np.random.Generator) -> np.ndarray:
    """A depth map with a fault, as Fig. 7 of the LIX paper has them.

    "noise": every depth is off by a factor exp(0.3 z), z standard normal. "holes": half of the image, in blocks of an
    eighth of its height, is missing (0). "scale": all depths are twice as large. "shift": the map lies 6 % of the
    image's width too far to the right, its left edge repeated, as after a shock to the calibration.

    **Shapes**: (H, W) metres, inf for sky -> the same.

    Raises:
        ValueError: an unknown fault.
    """
    check_choice("fault", fault, FAULTS)
    height, width = depth.shape
    if fault == "noise":
        return (depth * np.exp(NOISE * rng.standard_normal(depth.shape))).astype(depth.dtype)
    if fault == "holes":
        side = max(1, height // 8)
        missing = rng.random((-(-height // side), -(-width // side))) < HOLES
        return np.where(np.kron(missing, np.ones((side, side), bool))[:height, :width], 0, depth).astype(depth.dtype)
    if fault == "scale":
        return (SCALE * depth).astype(depth.dtype)
    pixels = max(1, round(SHIFT * width))
    return np.concatenate([np.repeat(depth[:, :1], pixels, axis=1), depth[:, :-pixels]], axis=1)
