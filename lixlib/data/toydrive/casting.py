"""The ray caster of ToyDrive: the nearest surface of every sample.

Each solid is intersected only with the rays in its own image rectangle. A pixel has two samples, its centre and its
lower right corner. Its colour is their mean. Its depth and label are the centre's, so that they never mix two surfaces.
"""

import numpy as np

from lixlib.data.toydrive import solids as ts
from lixlib.data.toydrive.noise import noise
from lixlib.data.toydrive.solids import COL, Scene

FOCAL = 0.58  # focal length in image widths, as KITTI's
BACKDROP_Y = 260.0  # distance of the last row of trees or houses, metres
NEAR = 0.3
SAMPLES = 2  # per pixel: the centre and the lower right corner, side by side in every array of samples
NO_SURFACE, GROUND, BACKDROP = -1, -2, -3


class Rays:
    """The camera's rays. Their directions have length 1 along the optical axis, so that a ray's parameter is depth."""

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
        """The solids' rectangles in the image, their nearest depths, and whether they are in view.

        **Shapes**: (columns, n) -> (n, 4): first row, end, first column, end, in samples; (n,); (n,) bool.
        """
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
    """Entry and exit of |x| <= half."""
    inverse = 1.0 / step
    first, second = (-half - origin) * inverse, (half - origin) * inverse
    return np.minimum(first, second), np.maximum(first, second)


def _taper(origin, step, oz, dz, half, shrink):
    """Entry and exit of |x| <= half - shrink z, between two planes that lean towards each other."""
    enter, leave = None, None
    for sign in (-1.0, 1.0):
        slope = sign * step + shrink * dz
        t = (half - shrink * oz - sign * origin) / slope
        inward = slope < 0
        a, c = np.where(inward, t, -np.inf), np.where(inward, np.inf, t)
        enter, leave = (a, c) if enter is None else (np.maximum(enter, a), np.minimum(leave, c))
    return enter, leave


def _local(solid, origin, direction):
    """Origin and direction of rays in the axes of a solid."""
    cos, sin = solid[COL["cos"]], solid[COL["sin"]]
    ox, oy = origin[0] - solid[COL["x"]], origin[1] - solid[COL["y"]]
    dx, dy = direction[0], direction[1]
    return (cos * ox + sin * oy, cos * oy - sin * ox, origin[2] - solid[COL["z"]], cos * dx + sin * dy,
            cos * dy - sin * dx, direction[2])  # fmt: skip


def span(solid, origin, direction):
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
        # a < 0 only for rays that are steeper than the cone's side, and the camera has none
        return np.maximum(enter, first), np.minimum(leave, second)
    for o, d, half, shrink in ((ox, dx, hx, kx), (oy, dy, hy, ky)):
        a, c = _slab(o, d, half) if shrink == 0 else _taper(o, d, oz, dz, half, shrink)
        enter, leave = np.maximum(enter, a), np.minimum(leave, c)
    return enter, leave


def _ground(scene: Scene, rays: Rays):
    """Depth of road, sidewalk and terrain (inf where a ray meets none), lateral position, mask of the curb's face."""
    c0, c1, c2 = scene.curve
    dx, dy, dz = rays.dir
    ox, _, oz = rays.origin
    down = int(np.argmax((dz < -1e-4).any(1)))  # no ray above this row meets level ground
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


def ground_labels(scene: Scene, across, y, curb):
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


def cast(scene: Scene, rays: Rays, solids: np.ndarray):
    """The nearest surface of every sample: its depth and label; depth and id with decoys; lateral position and curb."""
    depth, across, curb = _ground(scene, rays)
    ids = np.where(np.isfinite(depth), GROUND, NO_SURFACE).astype(np.int16)
    dx, dy, dz = rays.dir
    t = (BACKDROP_Y / dy).astype(np.float32)
    x, z = rays.origin[0] + dx * t, rays.origin[2] + dz * t
    if scene.backdrop_label == ts.TREE:
        profile = 9 + 7 * noise(x * 0.16 + scene.offset[1], np.full_like(x, scene.offset[2]))
    else:
        profile = 13 + 22 * noise(np.floor(x * 0.07) * 7 + scene.offset[1], np.full_like(x, scene.offset[2]))
    behind = (z < profile) & (t < depth)
    depth[behind], ids[behind] = t[behind], BACKDROP

    boxes, nearest, seen = rays.rectangles(solids)
    order = np.argsort(nearest, kind="stable")  # the nearest first, since they hide much of what is behind them
    order, nearest = order[seen[order]], nearest.tolist()
    rows, boxes = solids.T.tolist(), boxes.tolist()
    real = solids[COL["canvas"]] == 0
    for i in order[real[order]].tolist():
        r0, r1, c0, c1 = boxes[i]
        if depth[r0:r1, c0:c1].max() > nearest[i]:
            _draw(rows[i], i, boxes[i], rays, depth, ids, None)
    labels = np.full(ids.shape, ts.SKY, dtype=np.uint8)
    on_ground = ids == GROUND
    labels[on_ground] = ground_labels(scene, across[on_ground], dy[on_ground] * depth[on_ground], curb[on_ground])
    solid = ids >= 0
    labels[solid] = solids[COL["label"]].astype(np.uint8)[ids[solid]]
    labels[ids == BACKDROP] = scene.backdrop_label

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
    """Write a solid's depth and id where it is nearest, and where `canvas` is true if that is given."""
    r0, r1, c0, c1 = box
    direction = [d[r0:r1, c0:c1] for d in rays.dir]
    enter, leave = span(solid, rays.origin, direction)
    part = depth[r0:r1, c0:c1]
    hit = (enter < leave) & (enter < part) & (enter > NEAR)
    rough = solid[COL["rough"]]
    if rough > 0:
        # a ragged outline: leaves thin out where the ray's path through the crown is short
        reach = solid[COL["y"]]
        size = 2 * min(solid[COL["hx"]], 1.5)
        u = (rays.u[c0:c1] * (reach * 26))[None, :] + solid[COL["phase"]] * 256
        v = rays.v[r0:r1, c0:c1] * (reach * 26) + solid[COL["phase"]] * 77
        hit &= (leave - enter) > size * rough * (0.7 + 2.6 * noise(u, v))
    if canvas is not None:
        hit &= canvas
    np.copyto(part, enter, where=hit)
    np.copyto(ids[r0:r1, c0:c1], i, where=hit)
