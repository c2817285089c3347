"""Faults of a depth sensor, to study their effect on a network that uses X."""

from typing import Literal, get_args

import numpy as np

from lixlib.core.checks import check_choice

Fault = Literal["noise", "holes", "scale", "shift"]
FAULTS = get_args(Fault)
NOISE, HOLES, SCALE, SHIFT = 0.3, 0.5, 2.0, 0.06


def corrupt(depth: np.ndarray, fault: str, rng: np.random.Generator) -> np.ndarray:
    """Apply a fault to a depth map, as in Fig. 7 of the LIX paper.

    "noise" multiplies every depth by exp(0.3 z), where z is standard normal. "holes" removes (sets to 0) half of the
    image in blocks of an eighth of its height. "scale" doubles all depths. "shift" moves the map to the right by 6 % of
    the width and repeats its left edge, as if the calibration had been disturbed.

    **Shapes**: (H, W) in metres, inf for sky -> the same.

    Raises:
        ValueError: the fault is unknown.
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
