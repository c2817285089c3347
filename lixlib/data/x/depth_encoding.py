"""Encode depth in metres as X, the second input of a teacher, and decode it again."""

import re
from typing import Literal

import torch
from torch import Tensor

from lixlib.core.checks import check_choice
from lixlib.data.x.normals import Intrinsics, surface_normals

NEAREST = 2.0  # disparity is NEAREST / depth, so that 1 is 2 m away
FARTHEST = 80.0  # depth is depth / FARTHEST, so that 1 is 80 m away or more

# The values of a data set's option `x`, and the unit of each
Encoding = Literal["disparity", "depth", "normals"]
UNITS = {"disparity": "2 m / depth", "depth": "depth / 80 m", "normals": "normal"}  # for streets
RELATIVE = "relative inverse depth"  # of one image: larger is nearer, and the scale in metres is not known


def channels(x: str) -> int:
    """Return the number of channels of X.

    Raises:
        ValueError: x is unknown.
    """
    check_choice("x", x, UNITS)
    return 3 if x == "normals" else 1


def unit_of(x: str, *, nearest: float = NEAREST, farthest: float = FARTHEST) -> str:
    """Return the unit of X, e.g. "2 m / depth"."""
    return {"disparity": f"{nearest:g} m / depth", "depth": f"depth / {farthest:g} m", "normals": "normal"}[x]


def encode_depth(
    depth: Tensor,
    x: str,
    intrinsics: Intrinsics | None = None,
    *,
    nearest: float = NEAREST,
    farthest: float = FARTHEST,
) -> tuple[Tensor, Tensor]:
    """Encode a depth map in metres as X, and return it with its mask of valid pixels.

    "disparity" is clip(nearest / depth, 0, 1), "depth" is clip(depth / farthest, 0, 1), "normals" are unit vectors in
    camera coordinates (`lixlib.data.x.normals`). Where depth is 0, negative or NaN, X is 0 and not valid. Infinite
    depth (sky) gives a disparity of 0, which is valid, a depth of 1, which is not valid, and normals of 0, which are
    not valid.

    **Shapes**: depth (..., 1, H, W) -> x (..., 1 or 3, H, W) and its mask (..., 1, H, W) bool.

    Args:
        intrinsics: the camera of this depth map, which normals need.
        nearest, farthest: metres at which a disparity and a depth are 1; the defaults suit streets.

    Raises:
        ValueError: x is unknown, or it is "normals" and there are no intrinsics.
    """
    check_choice("x", x, UNITS)
    if x == "normals":
        if intrinsics is None:
            raise ValueError("normals need the camera: give its intrinsics")
        normals, valid = surface_normals(depth, intrinsics)
        return normals * valid, valid
    known = depth > 0
    if x == "disparity":
        return (nearest / depth).clamp(0, 1).where(known, 0), known
    return (depth / farthest).clamp(0, 1).where(known, 0), known & torch.isfinite(depth)


def decode_depth(x: Tensor, unit: str) -> Tensor:
    """Decode X to depth in metres; depths that were clipped by the encoding come back as its limit.

    **Shapes**: x (..., 1, H, W) -> the same; a disparity of 0 gives infinite depth.

    Raises:
        ValueError: X of this unit cannot be converted to metres.
    """
    if found := re.fullmatch(r"([\d.]+) m / depth", unit):
        return float(found[1]) / x
    if found := re.fullmatch(r"depth / ([\d.]+) m", unit):
        return float(found[1]) * x
    raise ValueError(f"X reads as {unit!r}, which tells no metres: use {UNITS['disparity']!r} or {UNITS['depth']!r}")


def check_relative(dataset: str, x: str) -> None:
    """Raise a ValueError unless x is "disparity", the only encoding of an X that is relative."""
    if x != "disparity":
        raise ValueError(
            f"x = {x!r} needs depth in metres, and the X of {dataset} is {RELATIVE}: choose x = 'disparity'"
        )
