"""The colours of ToyDrive's surfaces, computed for all samples of ground, solids, backdrop or sky together."""

import numpy as np

from lixlib.data.toydrive import solids as ts
from lixlib.data.toydrive.casting import Rays, ground_labels
from lixlib.data.toydrive.lighting import Lighting
from lixlib.data.toydrive.noise import WHITE, noise
from lixlib.data.toydrive.solids import COL, Scene


def _mix(first, second, share):
    return first + (second - first) * share


def shade_ground(scene: Scene, light: Lighting, rays: Rays, idx, t, across, curb):
    """Road, lane marks, sidewalk and terrain."""
    x = rays.origin[0] + rays.dir[0].ravel()[idx] * t
    y = rays.dir[1].ravel()[idx] * t
    z = np.maximum(rays.origin[2] + rays.dir[2].ravel()[idx] * t, 0)
    label = ground_labels(scene, across, y, curb)
    fine = noise(x * 9 + scene.offset[1], y * 5 + scene.offset[2])
    grain = noise(x * 41, y * 31, WHITE)
    coarse = noise(x * 1.7 + scene.offset[3], y * 0.55)
    near = 1 / (1 + t * 0.06)
    colour = np.empty((3, len(idx)), dtype=np.float32)
    drive = (label == ts.ROAD) | (label == ts.MARK)
    n = np.flatnonzero(drive)
    tracks = 0.06 * np.cos((across[n] - scene.lines[1][0] / 2) * np.float32(4 * np.pi / 3.4))
    tone = 1 + 0.22 * coarse[n] + 0.14 * fine[n] * near[n] + 0.24 * (grain[n] - 0.5) * near[n] + tracks
    patch = noise(x[n] * 0.9 + 31, y[n] * 0.16 + scene.offset[0]) > 0.45
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


def shade_solids(scene: Scene, light: Lighting, rays: Rays, idx, t, ids, solids):
    """The solids, each in the pattern of its material."""
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
        tiles = 0.85 + 0.3 * noise(along[n] * 6, lz[n] * 9 + cell["phase"][n] * 99)
        colour[:, n] = np.where(gable, second[:, ids[n]], colour[:, n] * tiles)
    n = on(ts.LEAVES)
    if len(n):
        a = noise(lx[n] * 23 + ly[n] * 9 + cell["phase"][n] * 200, lz[n] * 23 + ly[n] * 13)
        c = noise(along[n] * 30, lz[n] * 30, WHITE)
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
        text = (cell["kx"][n] > 0) | (noise(lx[n] * 12 + cell["phase"][n] * 99, lz[n] * 12, WHITE) > 0.55)
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
    jitter = noise(x * 37 + z * 11, y * 29, WHITE)
    out = light.shade(np.maximum(colour, 0.004), x, y, z, normal, jitter, 0.3)
    return out * (1 - glow) + colour * glow * 2.0


def _facade(scene, wall, trim, along, up, total, phase, detail, top, sky, t):
    """Walls with a window grid, ledges and a darker ground floor; detail 0 is a plain wall."""
    along = along + phase * 50
    weather = 1 + 0.12 * noise(along * 1.5, up * 1.0) + 0.05 * noise(along * 9, up * 9)
    out = wall * weather
    pitch, floor = 1.8 + 0.5 * detail, np.float32(3.1)
    col, row = along / pitch, up / floor
    u, v = col - np.floor(col), row - np.floor(row)
    half = 0.18 + 0.045 * detail
    rows = (up > 0.4) & (up < total - 0.9) & (row < np.floor(total / floor)) & ~top & (detail > 0)
    frame = rows & (np.abs(u - 0.5) < half + 0.035) & (np.abs(v - 0.52) < 0.31)
    pane = rows & (np.abs(u - 0.5) < half) & (np.abs(v - 0.52) < 0.275)
    bar = np.abs(u - 0.5) < 0.02
    chance = noise(np.floor(col) * 3 + phase * 91, np.floor(row) * 5 + phase * 57, WHITE)
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


def shade_backdrop(scene: Scene, rays: Rays, idx):
    """The row of trees or houses at the end of the street."""
    tone = 0.9 + 0.5 * noise(rays.dir[0].ravel()[idx] * 260, rays.dir[2].ravel()[idx] * 260)
    light = (scene.ambient + 0.4 * scene.sun_light).astype(np.float32)[:, None]
    return scene.backdrop.astype(np.float32)[:, None] * tone * light


def shade_sky(scene: Scene, rays: Rays, idx):
    """The sky from horizon to zenith, its clouds, and the glow around the sun."""
    dx, dy, dz = (d.ravel()[idx] for d in rays.dir)
    length = np.sqrt(dx * dx + dy * dy + dz * dz)
    rise = np.maximum(dz / length, 0)
    share = np.minimum(rise * 2.6, 1) ** np.float32(0.7)
    deep = 1 / (rise + 0.06)
    cloud = noise(dx * deep * 14 + scene.offset[0], dy * deep * 9 + scene.offset[1])
    cloud = cloud + 0.5 * noise(dx * deep * 40 + scene.offset[2], dy * deep * 26)
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
