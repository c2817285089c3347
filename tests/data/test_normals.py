"""Surface normals: exact on planes, the paper's estimate on curved surfaces, defined where depth is missing."""

import math

import pytest
import torch
from torch import Tensor

from lixlib.data.x.normals import Intrinsics, surface_normals

CAMERA = Intrinsics(fx=58.0, fy=55.0, u0=39.0, v0=11.0)
SIZE = (24, 80)
PLANES = {
    "ground": (0, -1, 0),
    "wall on the left": (1, 0, 0),
    "wall on the right": (-1, 0, 0),
    "wall in front": (0, 0, -1),
    "wall that turns away": (0.8, 0, -0.6),
    "uphill": (0, -0.9, -0.4),
    "tilted": (0.3, -0.5, -0.8),
    "tilted the other way": (-0.6, -0.1, -0.7),
}


def plane(normal, *, distance=1.7, size=SIZE, camera=CAMERA, dtype=torch.float64) -> tuple[Tensor, Tensor]:
    """The depth (1, H, W) of a plane that faces the camera, 0 where no ray meets it, and its unit normal (3, 1, 1)."""
    normal = torch.tensor(normal, dtype=torch.float64)
    normal = normal / normal.norm()
    facing = -(rays(size, camera) * normal[:, None, None]).sum(0, keepdim=True)
    depth = (distance / facing).where(facing > 1e-9, 0)
    return depth.to(dtype), normal[:, None, None].to(dtype)


def rays(size, camera) -> Tensor:
    """(3, H, W): what a depth of 1 multiplies."""
    v, u = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in size), indexing="ij")
    return torch.stack([(u - camera.u0) / camera.fx, (v - camera.v0) / camera.fy, torch.ones(size, dtype=u.dtype)])


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-3)])
@pytest.mark.parametrize("normal", PLANES.values(), ids=PLANES)
def test_exact_on_planes_up_to_their_borders(normal, dtype, tolerance):
    depth, truth = plane(normal, dtype=dtype)
    normals, valid = surface_normals(depth, CAMERA)
    assert normals.shape == (3, *SIZE) and normals.dtype == dtype
    assert torch.equal(valid, depth > 0) and valid.any()
    assert ((normals - truth).abs() * valid).max() < tolerance


def test_what_leans_over_is_turned_up():
    depth, truth = plane((0.2, 0.4, -0.9))
    normals, _ = surface_normals(depth, CAMERA)
    assert (normals + truth).abs().max() < 1e-9


def test_curved_surfaces_as_in_the_paper():
    v, u = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in SIZE), indexing="ij")
    for _ in range(3):
        a, b, c, d = torch.rand(4, dtype=torch.float64)
        depth = 8 + 2 * a * torch.sin(u / 7 + 6 * b) + 2 * c * torch.cos(v / 5 + 6 * d) + 0.02 * u * v / 10
        normals, valid = surface_normals(depth[None], CAMERA)
        inside = (slice(None), slice(1, -1), slice(1, -1))
        assert valid.all()
        assert (normals - paper(depth, CAMERA))[inside].abs().max() < 1e-9
        assert normals[1].max() <= 0 and (normals.norm(dim=0) - 1).abs().max() < 1e-12


def paper(depth: Tensor, camera: Intrinsics) -> Tensor:
    """The estimate as it is published, pixel by pixel; the outermost pixels are not computed."""
    points = (rays(depth.shape, camera) * depth).tolist()
    inverse = (1 / depth).tolist()
    normals = torch.zeros(3, *depth.shape, dtype=torch.float64)
    for v in range(1, depth.shape[0] - 1):
        for u in range(1, depth.shape[1] - 1):
            nx = camera.fx * (inverse[v][u + 1] - inverse[v][u - 1])
            ny = camera.fy * (inverse[v + 1][u] - inverse[v - 1][u])
            phi = math.atan(ny / nx) + math.pi
            total = [0.0, 0.0, 0.0]
            for i, j in ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)):
                dx, dy, dz = (axis[v][u] - axis[v + i][u + j] for axis in points)
                nz = (nx * dx + ny * dy) / dz
                length = math.sqrt(nx * nx + ny * ny + nz * nz)
                total = [t + n / length for t, n in zip(total, (nx, ny, nz), strict=True)]
            theta = -math.atan((total[0] * math.cos(phi) + total[1] * math.sin(phi)) / total[2])
            normal = [math.sin(theta) * math.cos(phi), math.sin(theta) * math.sin(phi), math.cos(theta)]
            normals[:, v, u] = torch.tensor([-n for n in normal] if normal[1] > 0 else normal, dtype=depth.dtype)
    return normals


@pytest.mark.parametrize("missing", [0.0, -1.0, math.inf, math.nan])
def test_a_hole_has_a_normal_and_no_mask_and_spoils_nothing_around_it(missing):
    depth, truth = plane((0.3, -0.5, -0.8))
    depth[0, 5:8, 10:13] = missing
    normals, valid = surface_normals(depth, CAMERA)
    hole = torch.zeros(SIZE, dtype=torch.bool)
    hole[5:8, 10:13] = True
    assert torch.equal(~valid[0], hole)
    assert (normals[:, hole] == torch.tensor([[0.0], [0.0], [-1.0]])).all()
    assert ((normals - truth).abs() * valid).max() < 1e-9


def test_a_pixel_without_a_neighbour_in_its_row_is_not_valid():
    depth, _ = plane((0, 0, -1))
    depth[:, :, 3:6:2] = 0  # on both sides of column 4
    normals, valid = surface_normals(depth, CAMERA)
    assert not valid[..., 3:6].any() and valid[..., :3].all() and valid[..., 6:].all()
    assert (normals[2] == -1).all()


def test_nothing_known_at_all():
    normals, valid = surface_normals(torch.zeros(2, 1, *SIZE), CAMERA)
    assert not valid.any() and (normals[:, 2] == -1).all() and not normals[:, :2].any()


def test_a_batch_is_its_images():
    depths = [plane(normal)[0] for normal in PLANES.values()]
    normals, valid = surface_normals(torch.stack(depths), CAMERA)
    for i, depth in enumerate(depths):
        alone, alone_valid = surface_normals(depth, CAMERA)
        assert torch.equal(normals[i], alone) and torch.equal(valid[i], alone_valid)


def test_depth_is_not_changed():
    depth, _ = plane((0, -1, 0))
    before = depth.clone()
    surface_normals(depth, CAMERA, road_only=True)
    assert torch.equal(depth, before)


def test_half_precision_is_computed_in_float32():
    depth, _ = plane((0, -1, 0))
    normals, _ = surface_normals(depth.half(), CAMERA)
    assert torch.equal(normals, surface_normals(depth.half().float(), CAMERA)[0])


def test_road_only_leaves_out_what_is_above_the_horizon():
    depth, truth = plane((0.1, -0.3, -0.9))
    normals, valid = surface_normals(depth, CAMERA, road_only=True)
    below = torch.arange(SIZE[0]) > CAMERA.v0
    assert torch.equal(valid[0], below[:, None].expand(SIZE))
    assert (normals[:, ~below] == torch.tensor([0.0, 0.0, -1.0])[:, None, None]).all()
    assert (normals - truth)[:, below].abs().max() < 1e-9


@pytest.mark.parametrize("to_size", [(48, 160), (12, 40), (48, 100)])
def test_resized_depth_needs_scaled_intrinsics(to_size):
    camera = CAMERA.scaled(SIZE, to_size)
    down, across = (to / old for old, to in zip(SIZE, to_size, strict=True))
    # pixel corners stay where they are: the image's left border is at u = -0.5
    assert camera.u0 + 0.5 == pytest.approx((CAMERA.u0 + 0.5) * across) and camera.fy == CAMERA.fy * down
    tilted = (0.3, -0.5, -0.8)
    depth, truth = plane(tilted, size=to_size, camera=camera)
    assert (surface_normals(depth, camera)[0] - truth).abs().max() < 1e-9
    assert (surface_normals(depth, CAMERA)[0] - truth).abs().max() > 0.05
    # the same rays, met at other pixels
    whole = plane(tilted)[0]
    smaller = torch.nn.functional.interpolate(whole[None], size=to_size, mode="bilinear", antialias=True)[0]
    inside = (slice(None), slice(2, -2), slice(2, -2))
    assert ((smaller - depth) / depth)[inside].abs().max() < 0.02


@pytest.mark.parametrize("depth", [torch.ones(4, 5), torch.ones(3, 4, 5), torch.ones(1, 4, 5, dtype=torch.int32)])
def test_what_is_no_depth_map(depth):
    with pytest.raises(ValueError, match=r"depth must be floats \(..., 1, H, W\), found torch"):
        surface_normals(depth, CAMERA)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_same_on_a_gpu():
    depth = torch.stack([plane(normal)[0] for normal in PLANES.values()])
    here, there = surface_normals(depth, CAMERA), surface_normals(depth.cuda(), CAMERA)
    assert (here[0] - there[0].cpu()).abs().max() < 1e-9 and torch.equal(here[1], there[1].cpu())
