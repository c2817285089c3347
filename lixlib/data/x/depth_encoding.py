"""X, what a teacher sees beside RGB: encoded from depth in metres, and decoded again."""

import re
from typing import Literal

import torch
from torch import Tensor

from lixlib.core.checks import check_choice
from lixlib.data.x.normals import Intrinsics, surface_normals

NEAREST = 2.0  # disparity is NEAREST / depth, so that 1 is 2 m away
FARTHEST = 80.0  # depth is depth / FARTHEST, so that 1 is 80 m away or more

# The values of a data set's option `x`, and how the numbers of each read.
Encoding = Literal["disparity", "depth", "normals"]
UNITS = {"disparity": "2 m / depth", "depth": "depth / 80 m", "normals": "normal"}  # of streets
RELATIVE = "relative inverse depth"  # of one image: larger is nearer, and nobody knows how many metres that is


def channels(x: str) -> int:
    """How many channels X has.

    Raises:
        ValueError: an unknown x.
    """
    check_choice("x", x, UNITS)
    return 3 if x == "normals" else 1


def unit_of(x: str, *, nearest: float = NEAREST, farthest: float = FARTHEST) -> str:
    """How the numbers of X read, e.g. "2 m / depth"."""
    return {"disparity": f"{nearest:g} m / depth", "depth": f"depth / {farthest:g} m", "normals": "normal"}[x]


def encode_depth(
    depth: Tensor,
    x: str,
    intrinsics: Intrinsics | None = None,
    *,
    nearest: float = NEAREST,
    farthest: float = FARTHEST,
) -> tuple[Tensor, Tensor]:
    """What a teacher sees of a depth map in metres, and where it is valid.

    "disparity" is clip(nearest / depth, 0, 1), "depth" is clip(depth / farthest, 0, 1), "normals" are unit vectors in
    camera coordinates (`lixlib.data.x.normals`). Where depth is 0, negative or NaN, X is 0 and not valid. Infinite
    depth (sky) has the disparity 0, which is valid; the depth 1, which is not; and no normal (0, not valid).

    **Shapes**: depth (..., 1, H, W) -> x (..., 1 or 3, H, W) and its mask (..., 1, H, W) bool.

    Args:
        intrinsics: the camera of this depth map; normals need it.
        nearest, farthest: metres; those of streets, where not given.

    Raises:
        ValueError: an unknown x, or normals without intrinsics.
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
    """Depth in metres from X; what was nearer (disparity) or farther (depth) than its unit says is given as that.

    **Shapes**: x (..., 1, H, W) -> the same; a disparity of 0 is infinite depth.

    Raises:
        ValueError: X of this unit does not say how many metres.
    """
    if found := re.fullmatch(r"([\d.]+) m / depth", unit):
        return float(found[1]) / x
    if found := re.fullmatch(r"depth / ([\d.]+) m", unit):
        return float(found[1]) * x
    raise ValueError(f"X reads as {unit!r}, which tells no metres: use {UNITS['disparity']!r} or {UNITS['depth']!r}")


def check_relative(dataset: str, x: str) -> None:
    """Raise a ValueError that says why unless x is "disparity": of a relative X nothing else can be computed."""
    if x != "disparity":
        raise ValueError(
            f"x = {x!r} needs depth in metres, and the X of {dataset} is {RELATIVE}: choose x = 'disparity'"
        )
