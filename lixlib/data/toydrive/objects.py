"""The objects of ToyDrive, each made of a few solids: cars, trucks, people, trees, signs, signals, buildings."""

import numpy as np

from lixlib.data.toydrive.palettes import ROOFS, pick
from lixlib.data.toydrive.solids import (
    BODY,
    BOX,
    BUILDING,
    CAR,
    CARGO,
    CONE,
    DISC,
    ELLIPSOID,
    FACADE,
    GLASS,
    LEAVES,
    LIGHT,
    PERSON,
    PLAIN,
    PLATE,
    POLE,
    ROOF,
    SIGN,
    SIGNAL,
    TREE,
    TRUCK,
    WHEEL,
    Scene,
)


class Builder:
    """Adds objects to a scene; `blend` makes their colours ambiguous, the more so the higher the difficulty is."""

    def __init__(self, rng: np.random.Generator, scene: Scene, difficulty: float):
        self.rng, self.scene, self.difficulty = rng, scene, difficulty
        self.canvas = 0
        self.fade = None
        self.taken: list[tuple[float, float, float]] = []

    def free(self, y: float, d: float, length: float) -> bool:
        """Whether no vehicle stands within `length` of y at lateral position d; if so, the place is reserved."""
        if any(abs(y - y1) < length + l1 and abs(d - d1) < 1.9 for y1, d1, l1 in self.taken):
            return False
        self.taken.append((y, d, length))
        return True

    def road_x(self, y: float) -> float:
        """The x coordinate of the road's centre line at y."""
        c0, c1, c2 = self.scene.curve
        return c0 + c1 * y + c2 * y * y

    def heading(self, y: float) -> float:
        """Yaw of the road at y: counter-clockwise rotation of the forward axis."""
        _, c1, c2 = self.scene.curve
        return -float(np.arctan(c1 + 2 * c2 * y))

    def height(self, d: float) -> float:
        """Height of the ground at lateral distance d from the centre line."""
        scene, side = self.scene, int(d > 0)
        if abs(d) < scene.half_width:
            return 0.0
        rise = scene.slope[side] * max(abs(d) - scene.half_width - scene.walk[side], 0.0)
        return scene.curb + min(rise, scene.top)

    def blend(self, colour: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Draw whether a colour is mixed with the target, and how strongly."""
        hit, much, jitter = self.rng.random(3)
        if hit < 1.3 * self.difficulty:
            share = 0.6 + 0.4 * max(much, self.difficulty)
            colour = (1 - share) * colour + share * target * (0.92 + 0.16 * jitter)
        return colour

    def add(self, kind, label, material, x, y, z, hx, hy, h, colour, colour2=None, *, yaw=0.0, kx=0.0, ky=0.0,
            rough=0.0, base=0.0, detail=0.0):  # fmt: skip
        """Add a solid; the arguments are those of `solids.COLUMNS`."""
        colour = np.asarray(colour, dtype=float)
        colour2 = colour if colour2 is None else np.asarray(colour2, dtype=float)
        if self.fade is not None:
            target, share = self.fade
            colour, colour2 = (1 - share) * colour + share * target, (1 - share) * colour2 + share * target
        phase = self.rng.random()
        self.scene.rows.append((kind, label, material, x, y, z, hx, hy, h, np.cos(yaw), np.sin(yaw), kx, ky, *colour,
                                *colour2, rough, phase, base, self.canvas, detail))  # fmt: skip

    def local(self, x, y, yaw, forward, right):
        """World position of a point given in an object's own axes."""
        return (x - np.sin(yaw) * forward + np.cos(yaw) * right, y + np.cos(yaw) * forward + np.sin(yaw) * right)

    def car(self, y: float, d: float, oncoming: bool, paint: np.ndarray) -> None:
        rng = self.rng
        x, yaw = self.road_x(y) + d, self.heading(y) + rng.normal(0, 0.02) + (np.pi if oncoming else 0.0)
        shape = rng.random()
        length, width = rng.uniform(1.95, 2.3), rng.uniform(0.86, 0.93)
        belt, roof, cabin, back = (0.88, 1.46, 0.58, 0.1) if shape < 0.55 else (1.0, 1.68, 0.66, 0.22)
        if shape > 0.85:
            belt, roof, cabin, back = 1.05, 1.95, 0.8, 0.35
        length *= 1.1 if shape > 0.85 else 1.0
        hide = float(min(1.0, 1.5 * self.difficulty * rng.random()))  # dirt and tint over glass, lamps and wheels
        tint, tyre, hub = np.array((0.03, 0.035, 0.04)), np.array((0.015, 0.015, 0.016)), np.array((0.25, 0.25, 0.26))
        tint, tyre = tint + 0.75 * hide * (paint - tint), tyre + 0.5 * hide * (paint - tyre)
        hub = hub + 0.7 * hide * (paint - hub)
        self.add(BOX, CAR, BODY, x, y, 0.26, width, length, belt - 0.26, paint, tint, yaw=yaw, kx=0.06, ky=0.1,
                 detail=hide)  # fmt: skip
        cx, cy = self.local(x, y, yaw, -back - 0.05, 0)
        slant = 0.75 if shape < 0.55 else 0.45
        self.add(BOX, CAR, GLASS, cx, cy, belt - 0.01, width * 0.94, length * cabin, roof - belt, tint, paint, yaw=yaw,
                 kx=0.22, ky=slant)  # fmt: skip
        for forward in (-0.62, 0.64):
            for right in (-1, 1):
                wx, wy = self.local(x, y, yaw, forward * length, right * (width - 0.1))
                self.add(ELLIPSOID, CAR, WHEEL, wx, wy, 0.0, 0.16, 0.34, 0.68, tyre, hub, yaw=yaw)

    def truck(self, y: float, d: float, oncoming: bool, paint: np.ndarray, cab: np.ndarray) -> None:
        rng = self.rng
        x, yaw = self.road_x(y) + d, self.heading(y) + (np.pi if oncoming else 0.0)
        length, height, width = rng.uniform(2.4, 4.2), rng.uniform(2.9, 3.7), 1.22
        dark = np.array((0.03, 0.03, 0.033))
        self.add(BOX, TRUCK, CARGO, x, y, 0.95, width, length, height - 0.95, paint, paint * 0.7, yaw=yaw,
                 detail=rng.integers(3))  # fmt: skip
        self.add(BOX, TRUCK, PLAIN, x, y, 0.5, width * 0.8, length, 0.46, dark, yaw=yaw)
        cx, cy = self.local(x, y, yaw, length + 1.0, 0)
        self.add(BOX, TRUCK, BODY, cx, cy, 0.45, 1.18, 0.9, 1.1, cab, dark, yaw=yaw)
        self.add(BOX, TRUCK, GLASS, cx, cy, 1.54, 1.16, 0.88, 1.0, (0.03, 0.035, 0.04), cab, yaw=yaw, kx=0.05, ky=0.12)
        for forward in (-0.75, -0.4, 1.0 + 0.9 / length):
            for right in (-1, 1):
                wx, wy = self.local(x, y, yaw, forward * length, right * (width - 0.14))
                self.add(ELLIPSOID, TRUCK, WHEEL, wx, wy, 0.0, 0.18, 0.5, 1.0, (0.015, 0.015, 0.016),
                         (0.22, 0.22, 0.23), yaw=yaw)  # fmt: skip

    def person(self, x: float, y: float, z: float, coat: np.ndarray, trousers: np.ndarray) -> None:
        rng = self.rng
        size, yaw, step = rng.uniform(0.88, 1.08), rng.uniform(0, 2 * np.pi), rng.uniform(0.08, 0.24)
        skin = np.array((0.46, 0.27, 0.18)) * rng.uniform(0.35, 1.2)
        hair = np.array((0.06, 0.04, 0.03)) * rng.uniform(0.4, 2.5)
        for side in (-1, 1):
            lx, ly = self.local(x, y, yaw, side * step, 0.09 * side)
            self.add(CONE, PERSON, PLAIN, lx, ly, z, 0.07 * size, 0.07, 0.86 * size, trousers, kx=-0.03)
            ax, ay = self.local(x, y, yaw, -side * step * 0.7, 0.25 * side * size)
            self.add(CONE, PERSON, PLAIN, ax, ay, z + 0.82 * size, 0.045, 0.045, 0.58 * size, coat * 0.85, kx=-0.03)
        self.add(CONE, PERSON, PLAIN, x, y, z + 0.8 * size, 0.2 * size, 0.2, 0.64 * size, coat, kx=-0.03)
        self.add(ELLIPSOID, PERSON, PLAIN, x, y, z + 1.36 * size, 0.21 * size, 0.18 * size, 0.16 * size, coat)
        self.add(ELLIPSOID, PERSON, PLAIN, x, y, z + 1.46 * size, 0.105, 0.115, 0.26 * size, skin)
        self.add(ELLIPSOID, PERSON, PLAIN, x, y + 0.01, z + 1.57 * size, 0.112, 0.12, 0.17 * size, hair)

    def tree(self, x: float, y: float, z: float, leaves: np.ndarray, conifer: bool, scale: float) -> None:
        rng = self.rng
        bark = np.array((0.10, 0.075, 0.055)) * rng.uniform(0.7, 1.3)
        if conifer:
            self.add(CONE, TREE, PLAIN, x, y, z - 0.5, 0.16 * scale, 0.16, 2.0 * scale, bark)
            for low, radius, height in ((0.8, 1.7, 3.4), (2.4, 1.35, 3.2), (4.2, 0.95, 3.0)):
                self.add(CONE, TREE, LEAVES, x, y, z + low * scale, radius * scale, radius, height * scale, leaves,
                         kx=radius / height * 0.97, rough=0.25)  # fmt: skip
            return
        trunk = rng.uniform(1.8, 2.6) * scale
        self.add(CONE, TREE, PLAIN, x, y, z - 0.5, 0.17 * scale, 0.17, trunk + 1.5, bark, kx=0.02)
        wide = rng.uniform(1.5, 2.1) * scale
        self.add(ELLIPSOID, TREE, LEAVES, x, y, z + trunk - 0.3, wide, wide, wide * 1.7, leaves, rough=0.45)
        for k in range(3):
            angle = 2.1 * k + rng.uniform(0, 1)
            part = wide * rng.uniform(0.55, 0.75)
            self.add(ELLIPSOID, TREE, LEAVES, x + 0.7 * wide * np.cos(angle), y + 0.7 * wide * np.sin(angle),
                     z + trunk + rng.uniform(0.0, 1.0) * wide, part, part, part * 1.5,
                     leaves * rng.uniform(0.85, 1.2), rough=0.45)  # fmt: skip

    def pole(self, x, y, z, height, colour, radius=0.07) -> None:
        self.add(CONE, POLE, PLAIN, x, y, z, radius, radius, height, colour, kx=0.3 * radius / height)

    def sign(self, x, y, z, yaw, colour) -> None:
        rng = self.rng
        shape, height = rng.random(), rng.uniform(2.1, 2.7)
        size = rng.uniform(0.32, 0.42)
        red, blue, white = np.array((0.50, 0.03, 0.03)), np.array((0.03, 0.12, 0.45)), np.array((0.72, 0.72, 0.70))
        self.pole(x, y, z, height + size, colour, 0.045)
        front = y - 0.09
        red, blue, white = (self.blend(ink, colour) for ink in (red, blue, white))
        if shape < 0.45:
            first, second = ((red, white), (blue, white), (white, red))[rng.integers(3)]
            self.add(ELLIPSOID, SIGN, DISC, x, front, z + height, size, 0.03, 2 * size, first, second, yaw=yaw)
        elif shape < 0.7:
            self.add(BOX, SIGN, PLATE, x, front, z + height, size, 0.02, 1.7 * size, red, white, yaw=yaw,
                     kx=0.56)  # fmt: skip
        else:
            first, second = ((blue, white), (np.array((0.55, 0.42, 0.02)), white * 0.1), (white, blue))[rng.integers(3)]
            wide = size * rng.choice((0.8, 1.0, 1.7))
            self.add(BOX, SIGN, PLATE, x, front, z + height, wide, 0.02, 2 * size, first, second, yaw=yaw)

    def signal(self, x, y, z, yaw, colour, arm: float) -> None:
        lit = float(self.rng.integers(3))
        dark = np.array((0.02, 0.025, 0.022))
        self.pole(x, y, z, 3.4 if arm == 0 else 5.6, colour, 0.08)
        self.add(BOX, LIGHT, SIGNAL, x, y - 0.22, z + 2.35, 0.19, 0.13, 1.0, dark, yaw=yaw, detail=lit)
        if arm:
            ax, ay = self.local(x, y, yaw, 0, arm / 2)
            self.add(BOX, POLE, PLAIN, ax, ay, z + 5.35, abs(arm) / 2, 0.06, 0.13, colour, yaw=yaw)
            ax, ay = self.local(x, y, yaw, 0, arm * 0.95)
            self.add(BOX, LIGHT, SIGNAL, ax, ay - 0.2, z + 4.75, 0.24, 0.13, 1.15, dark, yaw=yaw, detail=lit)

    def building(self, x, y, z, yaw, depth, length, height, wall, trim, gable: bool, plain: bool) -> None:
        rng = self.rng
        detail = rng.uniform(1, 4) * (not plain)
        self.add(BOX, BUILDING, FACADE, x, y, z - 3.0, depth, length, height + 3.0, wall, trim, yaw=yaw, base=z,
                 detail=detail)  # fmt: skip
        if gable:
            rise = rng.uniform(0.45, 0.8) * min(depth, length)
            along = rng.random() < 0.5
            kx, ky = (1.08 * depth / rise, 0.0) if along else (0.0, 1.08 * length / rise)
            self.add(BOX, BUILDING, ROOF, x, y, z + height, depth + 0.35, length + 0.35, rise, pick(rng, ROOFS),
                     wall, yaw=yaw, kx=kx, ky=ky)  # fmt: skip
        else:
            self.add(BOX, BUILDING, PLAIN, x, y, z + height, depth + 0.2, length + 0.2, 0.35, trim, yaw=yaw)
