"""Surface normals from metric depth: SNE of SNE-RoadSeg (Fan et al., ECCV 2020), in inverse depth."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

TOWARDS_CAMERA = (0.0, 0.0, -1.0)


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera in pixels, with the centre of the first pixel at (0, 0).

    fx, fy: focal lengths; u0, v0: column and row of the principal point.
    """

    fx: float
    fy: float
    u0: float
    v0: float

    def scaled(self, from_size: tuple[int, int], to_size: tuple[int, int]) -> "Intrinsics":
        """The same camera for images resized from `from_size` to `to_size`, both (H, W)."""
        down, across = (to / old for old, to in zip(from_size, to_size, strict=True))
        return Intrinsics(self.fx * across, self.fy * down, _shift(self.u0, across), _shift(self.v0, down))


def _shift(place: float, scale: float) -> float:
    return (place + 0.5) * scale - 0.5


@torch.no_grad()
def surface_normals(depth: Tensor, intrinsics: Intrinsics, *, road_only: bool = False) -> tuple[Tensor, Tensor]:
    """Unit normals in camera coordinates (x right, y down, z forward), pointing up: n_y <= 0, level ones at the camera.

    With D = 1 / depth, which is linear in u and v on a plane, and Gu = D(u+1) - D(u-1), Gv = D(v+1) - D(v-1), a normal
    has n_x = fx Gu and n_y = fy Gv; neighbour i at (du, dv), with g = Gu du + Gv dv, says
    n_z = g D / (D_i - D) - Gu (u - u0) - Gv (v - v0); the eight unit vectors are added. This is the paper's estimate
    without its detour through angles. It is exact on planes, up to their borders: a difference that the border of
    the image or an invalid pixel takes away is replaced by the one on the other side; the reference puts zeros there.

    Normals of resized depth need `intrinsics.scaled`.

    **Shapes**: depth (..., 1, H, W) in metres -> normals (..., 3, H, W) and the mask of valid ones (..., 1, H, W) bool.
    Where depth is 0, negative, infinite or NaN, or has no valid neighbour in its row or in its column, the normal is
    (0, 0, -1) and the mask False. A surface parallel to the image has (0, 0, -1) and is valid.

    Args:
        road_only: the reference's mask for road detection: nothing above the horizon (row v0) is valid.

    Raises:
        ValueError: depth is not (..., 1, H, W) of a floating-point type.
    """
    if depth.dim() < 3 or depth.shape[-3] != 1 or not depth.is_floating_point():
        raise ValueError(f"depth must be floats (..., 1, H, W), found {depth.dtype} {tuple(depth.shape)}")
    depth = depth.float() if depth.dtype in (torch.float16, torch.bfloat16) else depth
    leading, (height, width) = depth.shape[:-3], depth.shape[-2:]
    u = torch.arange(width, dtype=depth.dtype, device=depth.device) - intrinsics.u0
    v = (torch.arange(height, dtype=depth.dtype, device=depth.device) - intrinsics.v0)[:, None]
    known = torch.isfinite(depth) & (depth > 0)
    if road_only:
        known = known & (v > 0)
    inverse = depth.where(known, torch.inf).reciprocal().reshape(-1, 1, height, width)  # 0 is unknown from here on
    known = inverse > 0

    rise = _neighbours(inverse)  # (N, 8, H, W), in the order of DU and DV; in place from here on, it is large
    unknown = (rise == 0) | ~known
    rise.sub_(inverse).masked_fill_(unknown, torch.nan)
    gu = _slope(rise[:, RIGHT], -rise[:, LEFT])
    gv = _slope(rise[:, BELOW], -rise[:, ABOVE])
    valid = known & gu.isfinite() & gv.isfinite()

    du, dv = (torch.tensor(step, dtype=depth.dtype, device=depth.device)[:, None, None] for step in (DU, DV))
    nx, ny = intrinsics.fx * gu, intrinsics.fy * gv
    # a neighbour as far away, to within rounding, says nothing about the slope
    rise.masked_fill_(rise.abs() <= 8 * torch.finfo(depth.dtype).eps * inverse, torch.nan)
    nz = (gu * du).addcmul_(gv, dv).mul_(inverse).div_(rise).sub_(gu * u + gv * v)
    weight = torch.rsqrt(nz.square().add_(nx.square() + ny.square())).nan_to_num_(0, 0, 0)
    nz = nz.mul_(weight).nan_to_num_(0, 0, 0).sum(1, keepdim=True)
    weight = weight.sum(1, keepdim=True)
    normals = torch.cat([nx * weight, ny * weight, nz], dim=1)
    length = normals.square().sum(1, keepdim=True).sqrt()
    normals = _orient(normals / length, u / intrinsics.fx, v / intrinsics.fy)
    default = torch.tensor(TOWARDS_CAMERA, dtype=depth.dtype, device=depth.device)[:, None, None]
    normals = normals.where(valid & (length > 0), default)
    return normals.reshape(*leading, 3, height, width), valid.reshape(*leading, 1, height, width)


# Columns and rows to the right and down of a pixel, of its eight neighbours in reading order.
DU = (-1, 0, 1, -1, 1, -1, 0, 1)
DV = (-1, -1, -1, 0, 0, 1, 1, 1)
ABOVE, LEFT, RIGHT, BELOW = slice(1, 2), slice(3, 4), slice(4, 5), slice(6, 7)


def _neighbours(image: Tensor) -> Tensor:
    """**Shapes**: (N, 1, H, W) -> (N, 8, H, W), 0 outside the image."""
    height, width = image.shape[-2:]
    padded = F.pad(image, (1, 1, 1, 1))
    views = [padded[:, :, 1 + j : 1 + j + height, 1 + i : 1 + i + width] for i, j in zip(DU, DV, strict=True)]
    return torch.cat(views, dim=1)


def _slope(forward: Tensor, backward: Tensor) -> Tensor:
    """Twice the mean of the two one-sided differences that are known (not NaN): NaN where neither is."""
    return 2 * torch.cat([forward, backward], dim=1).nanmean(1, keepdim=True)


def _orient(normals: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Turn normals up, and those that are level (to within rounding) towards the camera, where the ray is (x, y, 1)."""
    nx, ny, nz = normals.split(1, dim=1)
    level = ny.abs() < torch.finfo(ny.dtype).eps ** 0.5
    away = (nx * x + ny * y + nz > 0) & level
    flip = away | ((ny > 0) & ~level)
    normals = torch.where(flip, -normals, normals)
    normals[:, 1:2].clamp_(max=0)
    return normals
