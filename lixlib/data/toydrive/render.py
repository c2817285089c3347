"""The renderer of ToyDrive: it casts rays, shades one kind of surface after the other, and develops the picture.

`casting` finds the nearest surface of every sample; `lighting` and `shading` give it its colour.
"""

from dataclasses import dataclass

import numpy as np

from lixlib.data.toydrive.casting import BACKDROP, FOCAL, GROUND, NO_SURFACE, SAMPLES, Rays, cast
from lixlib.data.toydrive.lighting import Lighting
from lixlib.data.toydrive.scene import Scene, make_scene
from lixlib.data.toydrive.shading import shade_backdrop, shade_ground, shade_sky, shade_solids
from lixlib.data.toydrive.solids import COL

__all__ = ["FOCAL", "RENDERER_VERSION", "Frame", "check_request", "paint_mask", "render"]

RENDERER_VERSION = 5  # part of the cache key: raise it whenever a picture changes


@dataclass
class Frame:
    """A rendered frame: rgb (H, W, 3) uint8; depth (H, W) float32, metres along the optical axis, inf for sky;
    label (H, W) uint8."""

    rgb: np.ndarray
    depth: np.ndarray
    label: np.ndarray


def check_request(seed: int, index: int, size: tuple[int, int], difficulty: float) -> None:
    """Raise a ValueError that says what to change if such a frame cannot be rendered."""
    for name, value in (("seed", seed), ("index", index)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
            raise ValueError(f"{name} is {value!r}: give a whole number from 0")
    whole = isinstance(size, tuple | list) and all(isinstance(n, int) and not isinstance(n, bool) for n in size)
    if not whole or len(size) != 2 or min(size) < 1:
        raise ValueError(f"size is {size!r}: give two positive whole numbers, (height, width)")
    if not isinstance(difficulty, int | float) or not 0 <= difficulty <= 1:
        raise ValueError(f"difficulty is {difficulty!r}: give a number from 0 (plain) to 1 (most ambiguous)")


def render(
    seed: int, index: int, size: tuple[int, int] = (96, 320), difficulty: float = 0.5, *, decoys: bool = True
) -> Frame:
    """Render frame `index` of `seed`; the scene never depends on the size, and the difficulty changes only its looks.

    Without `decoys` the same street is bare where `paint_mask` says it is painted.

    Depth is metric, along the optical axis, of the ray through each pixel's centre (f = 0.58 W, principal point in
    the middle of the picture).

    Raises:
        ValueError: a negative seed or index, a size that is not two positive numbers, a difficulty outside [0, 1].
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scene, solids, rays, (depth, labels, painted, ids, across, curb) = _look(seed, index, size, difficulty, decoys)
        height, width = size
        light = Lighting(scene, solids)
        ids, t, across, curb = ids.ravel(), painted.ravel(), across.ravel(), curb.ravel()
        image = np.empty((3, ids.size), dtype=np.float32)
        n = np.flatnonzero(ids == NO_SURFACE)
        image[:, n] = shade_sky(scene, rays, n)
        n = np.flatnonzero(ids == GROUND)
        image[:, n] = shade_ground(scene, light, rays, n, t[n], across[n], curb[n])
        n = np.flatnonzero(ids >= 0)
        image[:, n] = shade_solids(scene, light, rays, n, t[n], ids[n], solids)
        n = np.flatnonzero(ids == BACKDROP)
        image[:, n] = shade_backdrop(scene, rays, n)
        n = np.flatnonzero(ids != NO_SURFACE)
        veil = 1 - np.exp(-scene.haze * t[n])
        for k in range(3):
            image[k, n] += (np.float32(scene.horizon[k]) - image[k, n]) * veil
    rgb = _develop(scene, image.reshape(3, height, width, SAMPLES).mean(3), seed, index)
    return Frame(rgb, np.ascontiguousarray(depth[:, ::SAMPLES]), np.ascontiguousarray(labels[:, ::SAMPLES]))


def paint_mask(seed: int, index: int, size: tuple[int, int] = (96, 320), difficulty: float = 0.5) -> np.ndarray:
    """Where a frame of `render` shows a decoy, a car painted on the road or a poster on a wall, of which depth and
    labels contain nothing.

    **Shapes**: -> (H, W), bool.

    Raises:
        ValueError: as `render`.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        *_, (depth, _, painted, *_) = _look(seed, index, size, difficulty)
    return (painted < depth)[:, ::SAMPLES]


def _look(seed: int, index: int, size: tuple[int, int], difficulty: float, decoys: bool = True) -> tuple:
    """The scene, its solids, the rays of its camera, and the surfaces that they meet."""
    check_request(seed, index, size, difficulty)
    scene = make_scene(seed, index, difficulty)
    solids, rays = scene.solids(), Rays(scene, *size)
    if not decoys:
        solids = solids[:, solids[COL["canvas"]] == 0]
    return scene, solids, rays, cast(scene, rays, solids)


def _develop(scene: Scene, image: np.ndarray, seed: int, index: int) -> np.ndarray:
    """Apply exposure, colour cast, film curve and noise."""
    x = np.clip(image * (scene.cast * scene.exposure * 0.8).astype(np.float32)[:, None, None], 0, 8)
    x = x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14)
    x = np.power(np.clip(x, 0, 1), np.float32(1 / 2.2))
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index, 2])))
    x = x + rng.standard_normal(x.shape, dtype=np.float32) * np.float32(scene.noise)
    return np.ascontiguousarray((np.clip(x, 0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0))
