"""Surface normals from metric depth: SNE of SNE-RoadSeg (Fan et al., ECCV 2020), computed in inverse depth."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

TOWARDS_CAMERA = (0.0, 0.0, -1.0)


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera in pixels; the centre of the first pixel is (0, 0).

    Args:
        fx, fy: focal lengths.
        u0, v0: column and row of the principal point.
    """

    fx: float
    fy: float
    u0: float
    v0: float

    def scaled(self, from_size: tuple[int, int], to_size: tuple[int, int]) -> "Intrinsics":
        """Return the camera of images that are resized from `from_size` to `to_size`, both (H, W)."""
        down, across = (to / old for old, to in zip(from_size, to_size, strict=True))
        return Intrinsics(self.fx * across, self.fy * down, _shift(self.u0, across), _shift(self.v0, down))


def _shift(place: float, scale: float) -> float:
    return (place + 0.5) * scale - 0.5


@torch.no_grad()
def surface_normals(depth: Tensor, intrinsics: Intrinsics, *, road_only: bool = False) -> tuple[Tensor, Tensor]:
    """Estimate unit normals in camera coordinates (x right, y down, z forward).

    Normals point up (n_y <= 0), and horizontal ones (n_y = 0) point towards the camera.

    With D = 1 / depth, which is linear in u and v on a plane, and Gu = D(u+1) - D(u-1), Gv = D(v+1) - D(v-1), a normal
    has n_x = fx Gu and n_y = fy Gv. Neighbour i at (du, dv) gives, with g = Gu du + Gv dv,
    n_z = g D / (D_i - D) - Gu (u - u0) - Gv (v - v0). The eight unit vectors are added. This is the estimate of the
    paper without its conversion to angles. It is exact on planes up to their borders: where the border of the image or
    an invalid pixel leaves no difference on one side, that of the other side is used; the reference uses zero.

    Normals of resized depth need `intrinsics.scaled`.

    **Shapes**: depth (..., 1, H, W) in metres -> normals (..., 3, H, W) and the mask of valid ones (..., 1, H, W) bool.
    Where depth is 0, negative, infinite or NaN, or has no valid neighbour in its row or in its column, the normal is
    (0, 0, -1) and the mask False. A surface parallel to the image has (0, 0, -1) and is valid.

    Args:
        road_only: apply the mask of the reference for road detection: pixels above the horizon (row v0) are not valid.

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
    inverse = depth.where(known, torch.inf).reciprocal().reshape(-1, 1, height, width)  # from here on 0 means unknown
    known = inverse > 0

    rise = _neighbours(inverse)  # (N, 8, H, W) in the order of DU and DV; it is large, and thus changed in place
    unknown = (rise == 0) | ~known
    rise.sub_(inverse).masked_fill_(unknown, torch.nan)
    gu = _slope(rise[:, RIGHT], -rise[:, LEFT])
    gv = _slope(rise[:, BELOW], -rise[:, ABOVE])
    valid = known & gu.isfinite() & gv.isfinite()

    du, dv = (torch.tensor(step, dtype=depth.dtype, device=depth.device)[:, None, None] for step in (DU, DV))
    nx, ny = intrinsics.fx * gu, intrinsics.fy * gv
    # a neighbour at the same distance, up to rounding, gives no slope
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


# Offsets in columns and rows of the eight neighbours of a pixel, in reading order
DU = (-1, 0, 1, -1, 1, -1, 0, 1)
DV = (-1, -1, -1, 0, 0, 1, 1, 1)
ABOVE, LEFT, RIGHT, BELOW = slice(1, 2), slice(3, 4), slice(4, 5), slice(6, 7)


def _neighbours(image: Tensor) -> Tensor:
    """Stack the eight neighbours of every pixel.

    **Shapes**: (N, 1, H, W) -> (N, 8, H, W), 0 outside the image.
    """
    height, width = image.shape[-2:]
    padded = F.pad(image, (1, 1, 1, 1))
    views = [padded[:, :, 1 + j : 1 + j + height, 1 + i : 1 + i + width] for i, j in zip(DU, DV, strict=True)]
    return torch.cat(views, dim=1)


def _slope(forward: Tensor, backward: Tensor) -> Tensor:
    """Return twice the mean of the known (not NaN) one-sided differences; NaN if neither is known."""
    return 2 * torch.cat([forward, backward], dim=1).nanmean(1, keepdim=True)


def _orient(normals: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Turn normals up; turn horizontal ones (up to rounding) towards the camera, for rays (x, y, 1)."""
    nx, ny, nz = normals.split(1, dim=1)
    level = ny.abs() < torch.finfo(ny.dtype).eps ** 0.5
    away = (nx * x + ny * y + nz > 0) & level
    flip = away | ((ny > 0) & ~level)
    normals = torch.where(flip, -normals, normals)
    normals[:, 1:2].clamp_(max=0)
    return normals
