"""The ray caster of ToyDrive: first the nearest surface per sample, then one shading pass per kind of surface.

Every solid is met only with the rays of its own image rectangle. A pixel has two samples, its centre and its lower
right corner; the picture is their mean, depth and label are the centre's, so they never mix two surfaces.
"""

import math
from dataclasses import dataclass

import numpy as np

from lixlib.data.toydrive import scene as ts
from lixlib.data.toydrive.scene import COL, Scene, make_scene

RENDERER_VERSION = 5  # part of the cache key: raise it whenever a picture changes

FOCAL = 0.58  # focal length in image widths, as KITTI's
BACKDROP_Y = 260.0  # distance of the last row of trees or houses, metres
NEAR = 0.3
SAMPLES = 2  # per pixel, side by side in every per-sample array: the centre, the lower right corner
_SKY, _GROUND, _BACKDROP = -1, -2, -3
_SHADOW_ROWS, _SHADOW_COLS = 224, 224


@dataclass
class Frame:
    """A rendered frame: rgb (H, W, 3) uint8; depth (H, W) float32, metres along the optical axis, inf for sky;
    label (H, W) uint8."""

    rgb: np.ndarray
    depth: np.ndarray
    label: np.ndarray


def _value_noise(size: int = 256) -> np.ndarray:
    """A tileable sum of four octaves of smooth noise, mean 0, about in [-1, 1]."""
    rng = np.random.Generator(np.random.PCG64(20240607))
    total = np.zeros((size, size))
    for cells, weight in ((16, 0.5), (32, 0.25), (64, 0.15), (128, 0.1)):
        grid = rng.uniform(-1, 1, (cells, cells))
        at = np.arange(size) * cells / size
        low = at.astype(int)
        part = at - low
        part = part * part * (3 - 2 * part)
        high = (low + 1) % cells
        rows = grid[low] * (1 - part)[:, None] + grid[high] * part[:, None]
        total += weight * (rows[:, low] * (1 - part) + rows[:, high] * part)
    return (total / np.abs(total).max()).astype(np.float32)


_NOISE = _value_noise()
_WHITE = np.random.Generator(np.random.PCG64(11)).random((256, 256), dtype=np.float32)


def _noise(u: np.ndarray, v: np.ndarray, table: np.ndarray = _NOISE) -> np.ndarray:
    """Look a tileable table up at (u, v), in its own cells."""
    return table.ravel()[((np.floor(v).astype(np.int32) & 255) << 8) | (np.floor(u).astype(np.int32) & 255)]


class _Rays:
    """The camera's rays; the directions have length 1 along the optical axis, so that distance is depth."""

    def __init__(self, scene: Scene, height: int, width: int):
        self.height, self.width = height, width * SAMPLES
        self.focal = FOCAL * width
        self.origin = (float(scene.camera[1]), 0.0, float(scene.camera[0]))
        yaw, pitch, roll = scene.camera[2:]
        cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
        forward = np.array((-sy * cp, cy * cp, sp))
        right0, up0 = np.array((cy, sy, 0.0)), np.array((sy * sp, -cy * sp, cp))
        right, up = cr * right0 + sr * up0, cr * up0 - sr * right0
        self.axes = np.stack((right, forward, up))
        self.centre = (height / 2, width / 2)
        u = ((np.arange(self.width) / SAMPLES + 0.5 - width / 2) / self.focal).astype(np.float32)
        v = (height / 2 - np.arange(height) - 0.5)[:, None] - 0.5 * (np.arange(self.width) % SAMPLES)
        v = (v / self.focal).astype(np.float32)
        self.u, self.v = u, v
        self.dir = [v * float(up[k]) + (u * float(right[k]) + float(forward[k])) for k in range(3)]

    def rectangles(self, solids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sample rectangles (n, 4: rows from, to, columns from, to) of the solids, nearest depths, who is in view."""
        hx, hy = solids[COL["hx"]], solids[COL["hy"]]
        hy = np.where(solids[COL["kind"]] == ts.CONE, hx, hy)
        shrink = np.where(solids[COL["kind"]] == ts.CONE, np.minimum(solids[COL["kx"]], 0) * solids[COL["h"]], 0)
        hx, hy = hx - shrink, hy - shrink
        corners = []
        for a in (-1, 1):
            for b in (-1, 1):
                x = solids[COL["x"]] + a * hx * solids[COL["cos"]] - b * hy * solids[COL["sin"]]
                y = solids[COL["y"]] + a * hx * solids[COL["sin"]] + b * hy * solids[COL["cos"]]
                corners += [(x, y, solids[COL["z"]]), (x, y, solids[COL["z"]] + solids[COL["h"]])]
        points = np.array(corners, dtype=np.float64) - np.array(self.origin)[None, :, None]  # 8, 3, n
        right, depth, up = np.einsum("ij,cjn->icn", self.axes, points)
        behind = depth.min(0) < NEAR
        depth = np.maximum(depth, NEAR)
        col = (right / depth * self.focal + self.centre[1] - 0.5) * SAMPLES
        row = self.centre[0] - up / depth * self.focal - 0.5
        box = np.stack((np.floor(row.min(0)), np.ceil(row.max(0)) + 1, np.floor(col.min(0)), np.ceil(col.max(0)) + 1))
        box = np.clip(box, 0, np.array((self.height, self.height, self.width, self.width))[:, None]).astype(int)
        seen = (box[1] > box[0]) & (box[3] > box[2]) & ~behind
        return box.T, depth.min(0), seen


def _slab(origin: float, step: np.ndarray, half: float):
    inverse = 1.0 / step
    first, second = (-half - origin) * inverse, (half - origin) * inverse
    return np.minimum(first, second), np.maximum(first, second)


def _taper(origin, step, oz, dz, half, shrink):
    """Entry and exit of |x| <= half - shrink z: two planes that lean towards each other."""
    enter, leave = None, None
    for sign in (-1.0, 1.0):
        slope = sign * step + shrink * dz
        t = (half - shrink * oz - sign * origin) / slope
        inward = slope < 0
        a, c = np.where(inward, t, -np.inf), np.where(inward, np.inf, t)
        enter, leave = (a, c) if enter is None else (np.maximum(enter, a), np.minimum(leave, c))
    return enter, leave


def _local(solid, origin, direction):
    cos, sin = solid[COL["cos"]], solid[COL["sin"]]
    ox, oy = origin[0] - solid[COL["x"]], origin[1] - solid[COL["y"]]
    dx, dy = direction[0], direction[1]
    return (cos * ox + sin * oy, cos * oy - sin * ox, origin[2] - solid[COL["z"]], cos * dx + sin * dy,
            cos * dy - sin * dx, direction[2])  # fmt: skip


def _span(solid, origin, direction):
    """Entry and exit distance of rays through a solid; a miss has entry > exit or nan."""
    ox, oy, oz, dx, dy, dz = _local(solid, origin, direction)
    kind, hx, hy, h = solid[COL["kind"]], solid[COL["hx"]], solid[COL["hy"]], solid[COL["h"]]
    kx, ky = solid[COL["kx"]], solid[COL["ky"]]
    if kind == ts.ELLIPSOID:
        hz = 0.5 * h
        ox, oy, oz, dx, dy, dz = ox / hx, oy / hy, (oz - hz) / hz, dx / hx, dy / hy, dz / hz
        a = dx * dx + dy * dy + dz * dz
        b = ox * dx + oy * dy + oz * dz
        root = b * b - a * (ox * ox + oy * oy + oz * oz - 1.0)
        root = np.sqrt(root)
        return (-b - root) / a, (root - b) / a
    enter, leave = _slab(oz - 0.5 * h, dz, 0.5 * h)
    if kind == ts.CONE:
        radius, fall = hx - kx * oz, -kx * dz
        a = dx * dx + dy * dy - fall * fall
        b = ox * dx + oy * dy - radius * fall
        root = np.sqrt(b * b - a * (ox * ox + oy * oy - radius * radius))
        first, second = (-b - root) / a, (root - b) / a
        # a < 0 would be a ray steeper than the cone's side, which no camera ray is
        return np.maximum(enter, first), np.minimum(leave, second)
    for o, d, half, shrink in ((ox, dx, hx, kx), (oy, dy, hy, ky)):
        a, c = _slab(o, d, half) if shrink == 0 else _taper(o, d, oz, dz, half, shrink)
        enter, leave = np.maximum(enter, a), np.minimum(leave, c)
    return enter, leave


def _ground(scene: Scene, rays: _Rays):
    """Depth and label of road, sidewalk and terrain (inf and sky where a ray meets none), and lateral position."""
    c0, c1, c2 = scene.curve
    dx, dy, dz = rays.dir
    ox, _, oz = rays.origin
    down = int(np.argmax((dz < -1e-4).any(1)))  # rows above see no flat ground
    rise = max(scene.slope) > 0
    top = 0 if rise else down
    dx, dy, dz = dx[top:], dy[top:], dz[top:]
    inverse = np.where(dz < -1e-4, 1.0 / dz, -1e4)
    t0, t1 = -oz * inverse, (scene.curb - oz) * inverse

    def lateral(t):
        y = dy * t
        return (ox - c0) + dx * t - (c1 + c2 * y) * y

    d0, d1 = lateral(t0), lateral(t1)
    a0, a1 = np.abs(d0), np.abs(d1)
    raised = a1 >= scene.half_width
    t = np.where(raised, t1, t0)
    face = ~raised & (a0 > scene.half_width)
    share = np.clip((scene.half_width - a1[face]) / np.maximum(a0[face] - a1[face], 1e-6), 0, 1)
    t[face] = t1[face] + share * (t0[face] - t1[face])
    d = np.where(raised, d1, d0)
    for side, sign in enumerate((-1.0, 1.0)):
        k, edge = scene.slope[side], scene.half_width + scene.walk[side]
        if k <= 0:
            continue
        qa = (-k * sign * c2) * dy * dy
        qb = k * sign * (dx - c1 * dy) - dz
        qc = scene.curb + k * (sign * (ox - c0) - edge) - oz
        root = qb + np.sqrt(np.maximum(qb * qb - 4 * qc * qa, 0))
        hit = np.where(root > 1e-6, -2 * qc / np.maximum(root, 1e-6), 1e9)
        hit_d = lateral(hit)
        good = (sign * hit_d >= edge) & (oz + dz * hit <= scene.curb + scene.top) & (hit < np.where(t > 0, t, 1e9))
        t, d = np.where(good, hit, t), np.where(good, hit_d, d)
        if k > 0:
            raised |= good
    depth = np.full((rays.height, rays.width), np.inf, dtype=np.float32)
    across = np.zeros((rays.height, rays.width), dtype=np.float32)
    curb = np.zeros((rays.height, rays.width), dtype=bool)
    good = (t > 0) & (t * dy < BACKDROP_Y)
    depth[top:] = np.where(good, t, np.inf)
    across[top:] = d
    curb[top:] = face
    return depth, across, curb


def _surface(scene: Scene, across, y, curb):
    """Labels of the ground from lateral position and distance along the road."""
    a = np.abs(across)
    label = np.full(across.shape, ts.TERRAIN, dtype=np.uint8)
    label[(across > -scene.half_width - scene.walk[0]) & (across < scene.half_width + scene.walk[1])] = ts.SIDEWALK
    label[a < scene.half_width] = ts.ROAD
    stripes = np.zeros(label.shape, dtype=bool)
    dash = (y * (1 / 9.0) + scene.offset[0]) % 1.0 < 0.4
    for at, dashed in scene.lines:
        near = np.abs(across - at) < (0.075 if dashed or at == 0 else 0.065)
        stripes |= near & dash if dashed else near
    if np.isfinite(scene.zebra):
        crossing = (y > scene.zebra) & (y < scene.zebra + 3.6)
        stripes &= ~((y > scene.zebra - 1.5) & (y < scene.zebra + 4.2))
        stripes |= crossing & (across % 1.0 < 0.5) & (a < scene.half_width - 0.3)
        stop = (y > scene.zebra - 2.0) & (y < scene.zebra - 1.6)
        stripes |= stop & (across > 0.1) & (a < scene.half_width - 0.3)
    label[stripes & (label == ts.ROAD)] = ts.MARK
    if scene.curb > 0.05:
        label[curb] = ts.SIDEWALK
    return label


def _cast(scene: Scene, rays: _Rays, solids: np.ndarray):
    """Nearest surface per sample: depth and id, and the same with the decoys' paint in front."""
    depth, across, curb = _ground(scene, rays)
    ids = np.where(np.isfinite(depth), _GROUND, _SKY).astype(np.int16)
    dx, dy, dz = rays.dir
    t = (BACKDROP_Y / dy).astype(np.float32)
    x, z = rays.origin[0] + dx * t, rays.origin[2] + dz * t
    if scene.backdrop_label == ts.TREE:
        profile = 9 + 7 * _noise(x * 0.16 + scene.offset[1], np.full_like(x, scene.offset[2]))
    else:
        profile = 13 + 22 * _noise(np.floor(x * 0.07) * 7 + scene.offset[1], np.full_like(x, scene.offset[2]))
    behind = (z < profile) & (t < depth)
    depth[behind], ids[behind] = t[behind], _BACKDROP

    boxes, nearest, seen = rays.rectangles(solids)
    order = np.argsort(nearest, kind="stable")  # near to far: much of what is far is hidden already
    order, nearest = order[seen[order]], nearest.tolist()
    rows, boxes = solids.T.tolist(), boxes.tolist()
    real = solids[COL["canvas"]] == 0
    for i in order[real[order]].tolist():
        r0, r1, c0, c1 = boxes[i]
        if depth[r0:r1, c0:c1].max() > nearest[i]:
            _draw(rows[i], i, boxes[i], rays, depth, ids, None)
    labels = np.full(ids.shape, ts.SKY, dtype=np.uint8)
    on_ground = ids == _GROUND
    labels[on_ground] = _surface(scene, across[on_ground], dy[on_ground] * depth[on_ground], curb[on_ground])
    solid = ids >= 0
    labels[solid] = solids[COL["label"]].astype(np.uint8)[ids[solid]]
    labels[ids == _BACKDROP] = scene.backdrop_label

    painted, paint_ids = depth, ids
    decoys = order[~real[order]].tolist()
    if len(decoys):
        painted, paint_ids = depth.copy(), ids.copy()
        for i in decoys:
            r0, r1, c0, c1 = boxes[i]
            part = labels[r0:r1, c0:c1]
            canvas = part == ts.BUILDING if solids[COL["canvas"], i] == ts.ON_FACADE else part <= ts.MARK
            _draw(rows[i], i, boxes[i], rays, painted, paint_ids, canvas)
    return depth, labels, painted, paint_ids, across, curb


def _draw(solid, i, box, rays, depth, ids, canvas) -> None:
    r0, r1, c0, c1 = box
    direction = [d[r0:r1, c0:c1] for d in rays.dir]
    enter, leave = _span(solid, rays.origin, direction)
    part = depth[r0:r1, c0:c1]
    hit = (enter < leave) & (enter < part) & (enter > NEAR)
    rough = solid[COL["rough"]]
    if rough > 0:
        # a ragged outline: leaves thin out where the ray's path through the crown is short
        reach = solid[COL["y"]]
        size = 2 * min(solid[COL["hx"]], 1.5)
        u = (rays.u[c0:c1] * (reach * 26))[None, :] + solid[COL["phase"]] * 256
        v = rays.v[r0:r1, c0:c1] * (reach * 26) + solid[COL["phase"]] * 77
        hit &= (leave - enter) > size * rough * (0.7 + 2.6 * _noise(u, v))
    if canvas is not None:
        hit &= canvas
    np.copyto(part, enter, where=hit)
    np.copyto(ids[r0:r1, c0:c1], i, where=hit)


def _shadow_map(scene: Scene, solids: np.ndarray):
    """Per ground cell: height up to which the sun is hidden, and how much of the sky solids close by hide.

    Cells are (v, u) with y = 3 (exp(4 v) - 1) and x = (2 u - 1)(0.95 y + 9): fine near the camera.
    """
    v = (np.arange(_SHADOW_ROWS, dtype=np.float32) + 0.5) / _SHADOW_ROWS
    u = (np.arange(_SHADOW_COLS, dtype=np.float32) + 0.5) / _SHADOW_COLS
    y = 3 * (np.exp(4 * v) - 1)[:, None]
    x = (2 * u - 1)[None, :] * (0.95 * y + 9)
    y = np.broadcast_to(y, x.shape)
    height, open_sky = np.full(x.shape, -1, dtype=np.float32), np.ones(x.shape, dtype=np.float32)
    sun = (scene.sun / scene.sun[2]).tolist()  # height is the ray's parameter
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
            enter, leave = _span(solid, origin, (sun[0], sun[1], 1.0))
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


class _Lighting:
    """Sun, sky and shadow at surface points."""

    def __init__(self, scene: Scene, solids: np.ndarray):
        self.scene = scene
        self.height, self.open_sky = _shadow_map(scene, solids)
        self.slant = (scene.sun[:2] / scene.sun[2]).tolist()

    def _lookup(self, x, y, jitter, table):
        """Look a cell up; the jitter of up to half a cell turns steps into soft, grainy edges."""
        y = np.maximum(y, 0)
        row = np.log(y * (1 / 3) + 1) * (_SHADOW_ROWS / 4) + (jitter - 0.5)
        col = (x / (0.95 * y + 9) + 1) * (_SHADOW_COLS / 2) + ((jitter * 7) % 1 - 0.5)
        row = np.clip(row, 0, _SHADOW_ROWS - 1).astype(np.int32)
        return table.ravel()[row * _SHADOW_COLS + np.clip(col, 0, _SHADOW_COLS - 1).astype(np.int32)]

    def shade(self, colour, x, y, z, normal, jitter, bias):
        """colour (3, n) under sun and sky; `jitter` in [0, 1) softens shadow edges, no normal is level ground."""
        scene = self.scene
        if normal is not None:  # step off the surface by about a cell, or it would shadow itself
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


def _mix(first, second, share):
    return first + (second - first) * share


def _shade_ground(scene: Scene, light: _Lighting, rays, idx, t, across, curb):
    x = rays.origin[0] + rays.dir[0].ravel()[idx] * t
    y = rays.dir[1].ravel()[idx] * t
    z = np.maximum(rays.origin[2] + rays.dir[2].ravel()[idx] * t, 0)
    label = _surface(scene, across, y, curb)
    fine = _noise(x * 9 + scene.offset[1], y * 5 + scene.offset[2])
    grain = _noise(x * 41, y * 31, _WHITE)
    coarse = _noise(x * 1.7 + scene.offset[3], y * 0.55)
    near = 1 / (1 + t * 0.06)
    colour = np.empty((3, len(idx)), dtype=np.float32)
    drive = (label == ts.ROAD) | (label == ts.MARK)
    n = np.flatnonzero(drive)
    tracks = 0.06 * np.cos((across[n] - scene.lines[1][0] / 2) * np.float32(4 * np.pi / 3.4))
    tone = 1 + 0.22 * coarse[n] + 0.14 * fine[n] * near[n] + 0.24 * (grain[n] - 0.5) * near[n] + tracks
    patch = _noise(x[n] * 0.9 + 31, y[n] * 0.16 + scene.offset[0]) > 0.45
    tone = tone * np.where(patch, np.float32(0.84), np.float32(1))
    worn = np.clip(0.85 + 0.5 * fine[n], 0.35, 1) * (label[n] == ts.MARK)
    n2 = np.flatnonzero(label == ts.SIDEWALK)
    slab = ((across[n2] % 1.0 < 0.05) | (y[n2] % 1.0 < 0.06)) & (t[n2] < 30)
    tone2 = 1 + 0.18 * coarse[n2] + 0.12 * fine[n2] + 0.14 * (grain[n2] - 0.5) * near[n2]
    tone2 *= np.where(slab, np.float32(0.8), np.float32(1)) * np.where(curb[n2], np.float32(0.82), np.float32(1))
    n3 = np.flatnonzero(label == ts.TERRAIN)
    share = np.clip(0.35 + 1.1 * coarse[n3] + 0.4 * fine[n3], 0, 1)
    tone3 = 1 + (0.35 * fine[n3] + 0.5 * (grain[n3] - 0.5) * near[n3]) * (0.4 if scene.paved else 1.0)
    paints = zip(scene.road.tolist(), scene.mark.tolist(), scene.walkway.tolist(), scene.ground.tolist(),
                 scene.ground2.tolist(), strict=True)  # fmt: skip
    for k, (road, mark, walkway, first, second) in enumerate(paints):
        base = road * tone
        colour[k, n] = base + (mark - base) * worn
        colour[k, n2] = walkway * tone2
        colour[k, n3] = _mix(first, second, share) * tone3
    return light.shade(np.maximum(colour, 0.005), x, y, z, None, grain, 0.05)


def _shade_solids(scene: Scene, light: _Lighting, rays, idx, t, ids, solids):
    cell = {name: solids[COL[name]][ids] for name in ("kind", "material", "x", "y", "z", "hx", "hy", "h", "cos", "sin",
                                                       "kx", "ky", "phase", "base", "detail")}  # fmt: skip
    x = rays.origin[0] + rays.dir[0].ravel()[idx] * t
    y = rays.dir[1].ravel()[idx] * t
    z = (rays.origin[2] + rays.dir[2].ravel()[idx] * t).astype(np.float32)
    dx, dy, lz = x - cell["x"], y - cell["y"], z - cell["z"]
    cos, sin = cell["cos"], cell["sin"]
    lx, ly = cos * dx + sin * dy, cos * dy - sin * dx
    # normals in the solid's axes
    box, cone = cell["kind"] == ts.BOX, cell["kind"] == ts.CONE
    gap_x = np.abs(lx) - cell["hx"] + cell["kx"] * lz
    gap_y = np.abs(ly) - cell["hy"] + cell["ky"] * lz
    gap_z = np.abs(lz - 0.5 * cell["h"]) - 0.5 * cell["h"]
    face = np.where((gap_z > gap_x) & (gap_z > gap_y), 2, np.where(gap_x > gap_y, 0, 1)).astype(np.int8)
    fx, fy, fz = face == 0, face == 1, face == 2
    hz = 0.5 * cell["h"]
    nx = np.where(box, fx * np.sign(lx), np.where(cone, lx, lx / (cell["hx"] * cell["hx"])))
    ny = np.where(box, fy * np.sign(ly), np.where(cone, ly, ly / (cell["hy"] * cell["hy"])))
    flat = np.where(fx, cell["kx"], np.where(fy, cell["ky"], np.sign(lz - hz)))
    nz = np.where(box, flat, np.where(cone, cell["kx"] * cell["hx"], (lz - hz) / (hz * hz)))
    scale = 1 / np.sqrt(nx * nx + ny * ny + nz * nz + 1e-12)
    nx, ny, nz = nx * scale, ny * scale, nz * scale
    normal = [cos * nx - sin * ny, sin * nx + cos * ny, nz]

    colour = solids[COL["r"] : COL["b"] + 1][:, ids]
    second = solids[COL["r2"] : COL["b2"] + 1]
    glow = np.zeros(len(idx), dtype=np.float32)
    along = np.where(fx, ly, lx)  # horizontal position on a side face
    material = cell["material"].astype(np.int8)
    sky = (scene.horizon * 0.5 + scene.zenith * 0.5).astype(np.float32)

    def on(m):
        return np.flatnonzero(material == m)

    n = on(ts.FACADE)
    if len(n):
        colour[:, n] = _facade(scene, colour[:, n], second[:, ids[n]], along[n], z[n] - cell["base"][n],
                               cell["h"][n] - (cell["base"][n] - cell["z"][n]), cell["phase"][n], cell["detail"][n],
                               fz[n], sky, t[n])  # fmt: skip
    n = on(ts.ROOF)
    if len(n):
        gable = (cell["kx"][n] == 0) & fx[n] | (cell["ky"][n] == 0) & fy[n]
        tiles = 0.85 + 0.3 * _noise(along[n] * 6, lz[n] * 9 + cell["phase"][n] * 99)
        colour[:, n] = np.where(gable, second[:, ids[n]], colour[:, n] * tiles)
    n = on(ts.LEAVES)
    if len(n):
        a = _noise(lx[n] * 23 + ly[n] * 9 + cell["phase"][n] * 200, lz[n] * 23 + ly[n] * 13)
        c = _noise(along[n] * 30, lz[n] * 30, _WHITE)
        deep = 0.5 + 0.5 * np.clip(lz[n] / cell["h"][n], 0, 1)
        colour[:, n] *= np.maximum(0.15, (1 + 1.5 * a + 0.7 * (c - 0.5)) * deep)
    n = on(ts.BODY)
    if len(n):
        low = lz[n] < 0.13
        end = fy[n] & (np.abs(lz[n] / cell["h"][n] - 0.68) < 0.13) & (np.abs(lx[n]) > 0.62 * cell["hx"][n])
        rear = ly[n] < 0
        lamp = np.where(rear, 0, 1)
        lamps = np.stack((0.42 + 0.35 * lamp, 0.02 + 0.75 * lamp, 0.02 + 0.70 * lamp)).astype(np.float32)
        hide = cell["detail"][n]
        lamps = _mix(lamps, colour[:, n] * np.float32(0.7), hide)
        plate = fy[n] & (np.abs(lx[n]) < 0.26) & (np.abs(lz[n] / cell["h"][n] - 0.4) < 0.1)
        part = np.where(low | (fx[n] & (np.abs(ly[n] - 0.1) < 0.02)), colour[:, n] * 0.3, colour[:, n])
        arch = np.minimum(np.abs(ly[n] + 0.62 * cell["hy"][n]), np.abs(ly[n] - 0.64 * cell["hy"][n]))
        arch = fx[n] & (arch * arch + (lz[n] + 0.0) ** 2 < 0.15)
        part = np.where(arch, part * 0.12, part)
        part = np.where(end, lamps, np.where(plate, _mix(np.float32(0.5), part, hide), part))
        shine = np.where(fz[n] | (nz[n] > 0.5), np.float32(0.10), np.float32(0.02))
        colour[:, n] = part + shine * sky[:, None]
    n = on(ts.GLASS)
    if len(n):
        up, hh = lz[n] / cell["h"][n], np.where(fx[n], cell["hy"][n] - cell["ky"][n] * lz[n],
                                                cell["hx"][n] - cell["kx"][n] * lz[n])  # fmt: skip
        pillar = (np.abs(along[n]) > hh - 0.07) | (up > 0.9) | (fx[n] & (np.abs(along[n]) < 0.035))
        metal = pillar | fz[n]
        glass = colour[:, n] + (0.05 + 0.22 * up * up) * sky[:, None]
        colour[:, n] = np.where(metal, second[:, ids[n]] + np.where(fz[n], 0.1, 0.02) * sky[:, None], glass)
    n = on(ts.WHEEL)
    if len(n):
        hub = np.hypot(ly[n], lz[n] - hz[n]) < 0.55 * hz[n]
        colour[:, n] = np.where(hub, second[:, ids[n]], colour[:, n])
    n = on(ts.DISC)
    if len(n):
        r = np.hypot(lx[n] / cell["hx"][n], lz[n] / hz[n] - 1)
        inner = (r < 0.68) & ((np.abs(lz[n] / hz[n] - 1) < 0.2) | (cell["phase"][n] < 0.6))
        colour[:, n] = np.where(inner, second[:, ids[n]], colour[:, n])
    n = on(ts.PLATE)
    if len(n):
        wide = cell["hx"][n] - cell["kx"][n] * lz[n]
        inner = (np.abs(lx[n]) < wide - 0.09) & (lz[n] > 0.09) & (lz[n] < cell["h"][n] - 0.09)
        text = (cell["kx"][n] > 0) | (_noise(lx[n] * 12 + cell["phase"][n] * 99, lz[n] * 12, _WHITE) > 0.55)
        colour[:, n] = np.where(inner & text, second[:, ids[n]], colour[:, n])
    n = on(ts.SIGNAL)
    if len(n):
        up = lz[n] / cell["h"][n] * 3
        lamp = np.floor(up)
        disc = fy[n] & (np.hypot(lx[n] / cell["hx"][n] / 0.7, (up - lamp - 0.5) / 0.36) < 1)
        lit = disc & (lamp == 2 - cell["detail"][n])
        bulbs = np.array(((0.03, 0.85, 0.35), (1.0, 0.55, 0.02), (1.0, 0.06, 0.03)), dtype=np.float32)
        shine = bulbs[np.clip(lamp, 0, 2).astype(int)].T
        colour[:, n] = np.where(lit, shine, np.where(disc, shine * 0.08, colour[:, n]))
        glow[n] = lit * np.float32(1.0)
    n = on(ts.CARGO)
    if len(n):
        ribs = np.where(fx[n] & (cell["detail"][n] == 1), 0.88 + 0.2 * (along[n] % 0.5 < 0.25), 1)
        band = fx[n] & (cell["detail"][n] == 2) & (np.abs(lz[n] / cell["h"][n] - 0.5) < 0.16)
        door = fy[n] & ((np.abs(lx[n]) < 0.03) | (np.abs(lx[n]) > cell["hx"][n] - 0.06))
        lamp = fy[n] & (lz[n] < 0.2) & (np.abs(lx[n]) > 0.7 * cell["hx"][n])
        part = np.where(band | door, second[:, ids[n]], colour[:, n] * ribs)
        red = np.array((0.42, 0.02, 0.02), dtype=np.float32)[:, None]
        colour[:, n] = np.where(lamp, red, part)
    jitter = _noise(x * 37 + z * 11, y * 29, _WHITE)
    out = light.shade(np.maximum(colour, 0.004), x, y, z, normal, jitter, 0.3)
    return out * (1 - glow) + colour * glow * 2.0


def _facade(scene, wall, trim, along, up, total, phase, detail, top, sky, t):
    """Walls with a window grid, ledges and a darker ground floor; detail 0 is a plain wall."""
    along = along + phase * 50
    weather = 1 + 0.12 * _noise(along * 1.5, up * 1.0) + 0.05 * _noise(along * 9, up * 9)
    out = wall * weather
    pitch, floor = 1.8 + 0.5 * detail, np.float32(3.1)
    col, row = along / pitch, up / floor
    u, v = col - np.floor(col), row - np.floor(row)
    half = 0.18 + 0.045 * detail
    rows = (up > 0.4) & (up < total - 0.9) & (row < np.floor(total / floor)) & ~top & (detail > 0)
    frame = rows & (np.abs(u - 0.5) < half + 0.035) & (np.abs(v - 0.52) < 0.31)
    pane = rows & (np.abs(u - 0.5) < half) & (np.abs(v - 0.52) < 0.275)
    bar = np.abs(u - 0.5) < 0.02
    chance = _noise(np.floor(col) * 3 + phase * 91, np.floor(row) * 5 + phase * 57, _WHITE)
    glass = (0.03 + 0.30 * chance * chance) * sky[:, None] + np.float32(0.015)
    curtain = chance > 0.8
    glass = np.where(curtain, wall * 0.5 + 0.12, glass)
    out = np.where(frame, trim, out)
    out = np.where(pane & ~bar, glass, out)
    ledge = (v < 0.035) & (row > 0.9) & (detail > 2) & ~top
    out = np.where(ledge, trim, out)
    shop = (detail > 2.6) & (up < 3.0) & (total > 6.5) & ~top
    door = shop & (up > 0.35) & (up < 2.5) & (u > 0.1) & (u < 0.9)
    out = np.where(shop, wall * 0.55, out)
    out = np.where(door, np.float32(0.02) + (0.05 + 0.25 * chance) * sky[:, None], out)
    out = np.where((up < 0.35) & ~top, out * 0.7, out)
    return out.astype(np.float32)


def _shade_sky(scene: Scene, rays, idx):
    dx, dy, dz = (d.ravel()[idx] for d in rays.dir)
    length = np.sqrt(dx * dx + dy * dy + dz * dz)
    rise = np.maximum(dz / length, 0)
    share = np.minimum(rise * 2.6, 1) ** np.float32(0.7)
    deep = 1 / (rise + 0.06)
    cloud = _noise(dx * deep * 14 + scene.offset[0], dy * deep * 9 + scene.offset[1])
    cloud = cloud + 0.5 * _noise(dx * deep * 40 + scene.offset[2], dy * deep * 26)
    sun, horizon, zenith = scene.sun.tolist(), scene.horizon.tolist(), scene.zenith.tolist()
    toward = np.clip((dx * sun[0] + dy * sun[1] + dz * sun[2]) / length, 0, 1)
    out = np.empty((3, len(idx)), dtype=np.float32)
    if scene.clouds > 1:
        mass = 1 + 0.13 * cloud
        for k in range(3):
            out[k] = _mix(horizon[k], zenith[k], share) * mass
        return out
    cover = np.clip((cloud - 0.45 + 0.7 * scene.clouds) * 2.2, 0, 1)
    cover = cover * np.clip(rise * 18, 0, 1) * 0.9
    white = (0.55 * (scene.sun_light / scene.sun_light.max()) + 0.45 * scene.horizon + 0.12).tolist()
    shine = (scene.sun_light / 5).tolist()
    glow = toward**24
    for k in range(3):
        clear = _mix(horizon[k], zenith[k], share) + glow * shine[k]
        out[k] = _mix(clear, white[k] * (0.88 + 0.2 * cloud), cover)
    return out


def check_request(seed: int, index: int, size: tuple[int, int], difficulty: float) -> None:
    """Raise a ValueError that says what to change if these cannot be rendered."""
    for name, value in (("seed", seed), ("index", index)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
            raise ValueError(f"{name} is {value!r}: give a whole number from 0")
    whole = isinstance(size, tuple | list) and all(isinstance(n, int) and not isinstance(n, bool) for n in size)
    if not whole or len(size) != 2 or min(size) < 1:
        raise ValueError(f"size is {size!r}: give two positive whole numbers, (height, width)")
    if not isinstance(difficulty, int | float) or not 0 <= difficulty <= 1:
        raise ValueError(f"difficulty is {difficulty!r}: give a number from 0 (plain) to 1 (most ambiguous)")


def render(seed: int, index: int, size: tuple[int, int] = (96, 320), difficulty: float = 0.5) -> Frame:
    """Render frame `index` of `seed`; the scene never depends on the size, and the difficulty changes only its looks.

    Depth is metric, along the optical axis, of the ray through each pixel's centre (f = 0.58 W, principal point in
    the middle of the picture).

    Raises:
        ValueError: a negative seed or index, a size that is not two positive numbers, a difficulty outside [0, 1].
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scene, solids, rays, (depth, labels, painted, ids, across, curb) = _look(seed, index, size, difficulty)
        height, width = size
        light = _Lighting(scene, solids)
        ids, t, across, curb = ids.ravel(), painted.ravel(), across.ravel(), curb.ravel()
        image = np.empty((3, ids.size), dtype=np.float32)
        n = np.flatnonzero(ids == _SKY)
        image[:, n] = _shade_sky(scene, rays, n)
        n = np.flatnonzero(ids == _GROUND)
        image[:, n] = _shade_ground(scene, light, rays, n, t[n], across[n], curb[n])
        n = np.flatnonzero(ids >= 0)
        image[:, n] = _shade_solids(scene, light, rays, n, t[n], ids[n], solids)
        n = np.flatnonzero(ids == _BACKDROP)
        tone = 0.9 + 0.5 * _noise(rays.dir[0].ravel()[n] * 260, rays.dir[2].ravel()[n] * 260)
        image[:, n] = scene.backdrop.astype(np.float32)[:, None] * tone * (
            scene.ambient + 0.4 * scene.sun_light).astype(np.float32)[:, None]  # fmt: skip
        n = np.flatnonzero(ids != _SKY)
        veil = 1 - np.exp(-scene.haze * t[n])
        for k in range(3):
            image[k, n] += (np.float32(scene.horizon[k]) - image[k, n]) * veil
    rgb = _develop(scene, image.reshape(3, height, width, SAMPLES).mean(3), seed, index)
    return Frame(rgb, np.ascontiguousarray(depth[:, ::SAMPLES]), np.ascontiguousarray(labels[:, ::SAMPLES]))


def paint_mask(seed: int, index: int, size: tuple[int, int] = (96, 320), difficulty: float = 0.5) -> np.ndarray:
    """Where a frame of `render` shows paint, a car on the asphalt or a poster on a wall, that its depth and labels
    do not know.

    **Shapes**: -> (H, W), bool.

    Raises:
        ValueError: as `render`.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        *_, (depth, _, painted, *_) = _look(seed, index, size, difficulty)
    return (painted < depth)[:, ::SAMPLES]


def _look(seed: int, index: int, size: tuple[int, int], difficulty: float) -> tuple:
    """The scene, its solids, the rays of its camera, and what these meet."""
    check_request(seed, index, size, difficulty)
    scene = make_scene(seed, index, difficulty)
    solids, rays = scene.solids(), _Rays(scene, *size)
    return scene, solids, rays, _cast(scene, rays, solids)


def _develop(scene: Scene, image: np.ndarray, seed: int, index: int) -> np.ndarray:
    """Exposure, colour cast, film curve, noise."""
    x = np.clip(image * (scene.cast * scene.exposure * 0.8).astype(np.float32)[:, None, None], 0, 8)
    x = x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14)
    x = np.power(np.clip(x, 0, 1), np.float32(1 / 2.2))
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index, 2])))
    x = x + rng.standard_normal(x.shape, dtype=np.float32) * np.float32(scene.noise)
    return np.ascontiguousarray((np.clip(x, 0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0))
