"""ToyDrive's light: a map of the shadows on the ground, and the light of sun and sky at points of surfaces."""

import math

import numpy as np

from lixlib.data.toydrive import solids as ts
from lixlib.data.toydrive.casting import span
from lixlib.data.toydrive.solids import COL, Scene

_SHADOW_ROWS, _SHADOW_COLS = 224, 224


def _shadow_map(scene: Scene, solids: np.ndarray):
    """For each cell of the ground: the height up to which it is in shadow, and the share of the sky that it sees.

    Cells are (v, u) with y = 3 (exp(4 v) - 1) and x = (2 u - 1)(0.95 y + 9), so that they are small near the camera.
    """
    v = (np.arange(_SHADOW_ROWS, dtype=np.float32) + 0.5) / _SHADOW_ROWS
    u = (np.arange(_SHADOW_COLS, dtype=np.float32) + 0.5) / _SHADOW_COLS
    y = 3 * (np.exp(4 * v) - 1)[:, None]
    x = (2 * u - 1)[None, :] * (0.95 * y + 9)
    y = np.broadcast_to(y, x.shape)
    height, open_sky = np.full(x.shape, -1, dtype=np.float32), np.ones(x.shape, dtype=np.float32)
    sun = (scene.sun / scene.sun[2]).tolist()  # so that a ray's parameter is height
    for solid in solids.T.tolist():
        if solid[COL["canvas"]] or solid[COL["y"]] > 75 or solid[COL["material"]] in (ts.WHEEL, ts.DISC):
            continue
        if solid[COL["label"]] == ts.POLE:  # thinner than a cell further away
            if solid[COL["y"]] > 25 or solid[COL["kind"]] == ts.BOX:
                continue
            solid[COL["hx"]] = max(solid[COL["hx"]], 0.13)
        radius = math.hypot(solid[COL["hx"]], solid[COL["hy"]] if solid[COL["kind"]] != ts.CONE else 0)
        low, high = max(solid[COL["z"]], 0), solid[COL["z"]] + solid[COL["h"]]
        ends = [(solid[COL["x"]] - sun[0] * z, solid[COL["y"]] - sun[1] * z) for z in (low, high)]
        rows, cols = _cells(ends, radius + 0.1)
        if rows.stop > rows.start and cols.stop > cols.start:
            origin = (x[rows, cols], y[rows, cols], 0.0)
            enter, leave = span(solid, origin, (sun[0], sun[1], 1.0))
            part = height[rows, cols]
            np.copyto(part, leave, where=(enter < leave) & (leave > part))
        if solid[COL["z"]] < 0.6 and solid[COL["label"]] in (ts.CAR, ts.TRUCK, ts.BUILDING, ts.PERSON, ts.TREE):
            soft = 0.45 if solid[COL["label"]] != ts.BUILDING else 1.2
            rows, cols = _cells([(solid[COL["x"]], solid[COL["y"]])], radius + 2.5 * soft)
            if rows.stop > rows.start and cols.stop > cols.start:
                dx, dy = x[rows, cols] - solid[COL["x"]], y[rows, cols] - solid[COL["y"]]
                cos, sin = solid[COL["cos"]], solid[COL["sin"]]
                hy = solid[COL["hx"]] if solid[COL["kind"]] == ts.CONE else solid[COL["hy"]]
                ax = np.maximum(np.abs(cos * dx + sin * dy) - solid[COL["hx"]], 0)
                ay = np.maximum(np.abs(cos * dy - sin * dx) - hy, 0)
                near = 1 - 0.6 * np.exp((ax * ax + ay * ay) * (-1 / (soft * soft)))
                part = open_sky[rows, cols]
                np.minimum(part, near, out=part)
    return height, open_sky


def _cells(points, margin) -> tuple[slice, slice]:
    """Rows and columns of the cells within a margin around points."""
    y0, y1 = min(p[1] for p in points) - margin, max(p[1] for p in points) + margin
    x0, x1 = min(p[0] for p in points) - margin, max(p[0] for p in points) + margin
    if y1 < 0:
        return slice(0, 0), slice(0, 0)
    y0 = max(y0, 0.0)
    rows = [math.log(y / 3 + 1) / 4 * _SHADOW_ROWS for y in (y0, y1)]
    us = [(x / (0.95 * y + 9) + 1) / 2 * _SHADOW_COLS for x in (x0, x1) for y in (y0, y1)]
    clip = lambda value, top: int(min(max(value, 0), top))  # noqa: E731
    return (slice(clip(rows[0] - 1, _SHADOW_ROWS), clip(rows[1] + 2, _SHADOW_ROWS)),
            slice(clip(min(us) - 1, _SHADOW_COLS), clip(max(us) + 2, _SHADOW_COLS)))  # fmt: skip


class Lighting:
    """Sun, sky and shadow at surface points."""

    def __init__(self, scene: Scene, solids: np.ndarray):
        self.scene = scene
        self.height, self.open_sky = _shadow_map(scene, solids)
        self.slant = (scene.sun[:2] / scene.sun[2]).tolist()

    def _lookup(self, x, y, jitter, table):
        """Look up cells; the jitter of up to half a cell turns steps into soft, grainy edges."""
        y = np.maximum(y, 0)
        row = np.log(y * (1 / 3) + 1) * (_SHADOW_ROWS / 4) + (jitter - 0.5)
        col = (x / (0.95 * y + 9) + 1) * (_SHADOW_COLS / 2) + ((jitter * 7) % 1 - 0.5)
        row = np.clip(row, 0, _SHADOW_ROWS - 1).astype(np.int32)
        return table.ravel()[row * _SHADOW_COLS + np.clip(col, 0, _SHADOW_COLS - 1).astype(np.int32)]

    def shade(self, colour, x, y, z, normal, jitter, bias):
        """The colours (3, n) of surface points under sun and sky.

        Args:
            normal: three arrays, or None for level ground.
            jitter: random numbers in [0, 1), which soften the edges of shadows.
            bias: height by which a point must lie below a shadow's upper edge to be hidden.
        """
        scene = self.scene
        if normal is not None:  # step off the surface by about a cell, else it would be in its own shadow
            step = 0.12 + 0.025 * np.maximum(y, 0)
            x, y, z = x + step * normal[0], y + step * normal[1], z + 0.5 * step * normal[2]
        gx, gy = x - self.slant[0] * z, y - self.slant[1] * z
        hidden = self._lookup(gx, gy, jitter, self.height) > z + bias
        if normal is None:
            facing, sky = float(scene.sun[2]), self._lookup(x, y, jitter, self.open_sky)
        else:
            facing = sum(n * s for n, s in zip(normal, scene.sun.tolist(), strict=True))
            sky = 0.68 + 0.32 * normal[2]
        direct = np.where(hidden, np.float32(0), np.maximum(facing, np.float32(0)))
        out = np.empty_like(colour)
        for k in range(3):
            out[k] = colour[k] * (direct * float(scene.sun_light[k]) + sky * float(scene.ambient[k]))
        return out
