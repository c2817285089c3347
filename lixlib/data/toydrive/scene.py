"""Random driving scenes of ToyDrive: camera, road, light and a list of simple solids, all drawn from one seed.

World frame: x right, y forward, z up, metres; the road plane is z = 0 and the camera stands above x = 0, y = 0.
The road's centre line is x = c0 + c1 y + c2 y^2, so every ground surface is at most a quadratic along a ray.
"""

from dataclasses import dataclass, field

import numpy as np

ROAD, SIDEWALK, TERRAIN, MARK, BUILDING, POLE, SIGN, LIGHT, TREE, SKY, PERSON, CAR, TRUCK = range(13)
BOX, CONE, ELLIPSOID = range(3)
(PLAIN, FACADE, ROOF, LEAVES, BODY, GLASS, WHEEL, DISC, PLATE, SIGNAL, CARGO) = range(11)
ON_GROUND, ON_FACADE = 1, 2
WEATHERS = ("sunny", "overcast", "low sun", "fog")

# One row per solid. x, y: centre; z: bottom; hx, hy: half sizes (radius for a cone); h: height; kx, ky: how much
# the half size shrinks per metre of height; rough: share of a ragged outline; base: where a facade's floors start.
COLUMNS = ("kind", "label", "material", "x", "y", "z", "hx", "hy", "h", "cos", "sin", "kx", "ky", "r", "g", "b",
           "r2", "g2", "b2", "rough", "phase", "base", "canvas", "detail")  # fmt: skip
COL = {name: i for i, name in enumerate(COLUMNS)}

CAR_PAINTS = np.array([
    (0.70, 0.70, 0.69), (0.42, 0.43, 0.44), (0.16, 0.17, 0.18), (0.03, 0.03, 0.035), (0.42, 0.04, 0.03),
    (0.04, 0.10, 0.32), (0.05, 0.16, 0.12), (0.48, 0.42, 0.30), (0.60, 0.38, 0.05), (0.10, 0.25, 0.42),
])  # fmt: skip
FACADES = np.array([
    (0.36, 0.16, 0.10), (0.62, 0.53, 0.38), (0.55, 0.38, 0.19), (0.56, 0.36, 0.29), (0.40, 0.40, 0.38),
    (0.68, 0.66, 0.62), (0.30, 0.36, 0.41), (0.52, 0.43, 0.31), (0.30, 0.12, 0.09), (0.46, 0.50, 0.44),
])  # fmt: skip
ROOFS = np.array([(0.30, 0.10, 0.06), (0.12, 0.12, 0.13), (0.22, 0.13, 0.09), (0.17, 0.18, 0.20)])
CLOTHES = np.array([
    (0.05, 0.06, 0.10), (0.45, 0.06, 0.06), (0.08, 0.18, 0.40), (0.55, 0.52, 0.46), (0.10, 0.25, 0.14),
    (0.55, 0.40, 0.08), (0.14, 0.13, 0.13), (0.30, 0.12, 0.25),
])  # fmt: skip
FOLIAGE = np.array([(0.09, 0.19, 0.04), (0.06, 0.14, 0.04), (0.13, 0.21, 0.05), (0.05, 0.12, 0.06)])
AUTUMN = np.array([(0.36, 0.17, 0.03), (0.28, 0.10, 0.03), (0.34, 0.24, 0.05), (0.15, 0.17, 0.04)])


@dataclass
class Scene:
    """Everything that a picture depends on, apart from its size; colours are linear RGB reflectances."""

    camera: tuple[float, float, float, float, float]  # height, lateral position of c0, yaw, pitch, roll (radians)
    curve: tuple[float, float, float]
    half_width: float
    lines: list[tuple[float, bool]]  # lateral position, dashed
    zebra: float
    curb: float
    walk: tuple[float, float]  # sidewalk widths, left and right
    slope: tuple[float, float]  # rise of the terrain per metre, left and right
    top: float
    sun: np.ndarray
    sun_light: np.ndarray
    ambient: np.ndarray
    zenith: np.ndarray
    horizon: np.ndarray
    clouds: float
    haze: float
    noise: float
    cast: np.ndarray
    exposure: float
    road: np.ndarray
    walkway: np.ndarray
    ground: np.ndarray
    ground2: np.ndarray
    mark: np.ndarray
    paved: bool
    backdrop: np.ndarray
    backdrop_label: int
    offset: list[float]  # where the textures start
    rows: list[tuple] = field(default_factory=list)

    def solids(self) -> np.ndarray:
        """The solids as a (len(COLUMNS), n) float32 table."""
        return np.array(self.rows, dtype=np.float32).reshape(-1, len(COLUMNS)).T.copy()


def _pick(rng: np.random.Generator, table: np.ndarray) -> np.ndarray:
    return table[rng.integers(len(table))] * rng.uniform(0.85, 1.15)


class _Builder:
    """Places solids along the road; every colour passes `blend`, where the difficulty makes colours ambiguous."""

    def __init__(self, rng: np.random.Generator, scene: Scene, difficulty: float):
        self.rng, self.scene, self.difficulty = rng, scene, difficulty
        self.canvas = 0
        self.fade = None
        self.taken: list[tuple[float, float, float]] = []

    def free(self, y: float, d: float, length: float) -> bool:
        """Whether no vehicle stands within `length` of y at lateral position d; if so, the place is taken."""
        if any(abs(y - y1) < length + l1 and abs(d - d1) < 1.9 for y1, d1, l1 in self.taken):
            return False
        self.taken.append((y, d, length))
        return True

    def road_x(self, y: float) -> float:
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
        """Draw whether the colour is disguised as the target, and how well."""
        hit, much, jitter = self.rng.random(3)
        if hit < 1.3 * self.difficulty:
            share = 0.6 + 0.4 * max(much, self.difficulty)
            colour = (1 - share) * colour + share * target * (0.92 + 0.16 * jitter)
        return colour

    def add(self, kind, label, material, x, y, z, hx, hy, h, colour, colour2=None, *, yaw=0.0, kx=0.0, ky=0.0,
            rough=0.0, base=0.0, detail=0.0):  # fmt: skip
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
            self.add(BOX, BUILDING, ROOF, x, y, z + height, depth + 0.35, length + 0.35, rise, _pick(rng, ROOFS),
                     wall, yaw=yaw, kx=kx, ky=ky)  # fmt: skip
        else:
            self.add(BOX, BUILDING, PLAIN, x, y, z + height, depth + 0.2, length + 0.2, 0.35, trim, yaw=yaw)


def _light(rng: np.random.Generator, difficulty: float) -> dict:
    """Sun, sky, fog and camera colours: clear, fair, overcast or a low sun."""
    weather = rng.random() + 0.25 * (difficulty - 0.5)
    azimuth = rng.uniform(0, 2 * np.pi)
    elevation, low, cover = rng.uniform(0.55, 1.0), rng.uniform(0.22, 0.42), rng.random()
    if weather < 0.38:
        sun_light, ambient, clouds = (2.5, 2.25, 1.9), (0.46, 0.58, 0.80), 0.45 * cover
        zenith, horizon = (0.10, 0.26, 0.66), (0.52, 0.70, 0.92)
    elif weather < 0.58:
        sun_light, ambient, clouds = (1.7, 1.6, 1.45), (0.62, 0.70, 0.82), 0.5 + 0.4 * cover
        zenith, horizon = (0.20, 0.36, 0.66), (0.66, 0.77, 0.90)
    elif weather < 0.82:
        sun_light, ambient, clouds = (0.22, 0.22, 0.22), (0.98, 1.02, 1.08), 1.6
        zenith, horizon = (0.52, 0.56, 0.61), (0.80, 0.82, 0.84)
    else:
        elevation = low
        sun_light, ambient, clouds = (2.3, 1.45, 0.75), (0.40, 0.44, 0.62), 0.1 + 0.6 * cover
        zenith, horizon = (0.16, 0.26, 0.52), (0.96, 0.66, 0.42)
    sun = np.array((np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)))
    fog = rng.random() < 0.1 + 0.25 * difficulty
    haze = rng.uniform(0.0012, 0.003) + fog * rng.uniform(0.004, 0.016) * (0.5 + difficulty)
    dim = 1.0 - difficulty * 0.45 * rng.random() ** 2
    return {
        "sun": sun, "sun_light": np.array(sun_light), "ambient": np.array(ambient), "zenith": np.array(zenith),
        "horizon": np.array(horizon), "clouds": clouds, "haze": haze,
        "noise": rng.uniform(0.004, 0.010) + difficulty * rng.uniform(0.0, 0.05),
        "cast": 1.0 + (0.03 + 0.09 * difficulty) * rng.uniform(-1, 1, 3), "exposure": dim * rng.uniform(0.85, 1.1),
    }  # fmt: skip


def make_scene(seed: int, index: int, difficulty: float = 0.5) -> Scene:
    """Draw the scene of frame `index` of `seed`; `difficulty` in [0, 1] sets how often colours mislead."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index])))
    light = _light(rng, difficulty)
    kind = rng.choice(3, p=(0.45, 0.33, 0.22))  # city, suburb, country
    city, country = kind == 0, kind == 2

    lane = rng.uniform(3.1, 3.6)
    wide = rng.random() < (0.35, 0.15, 0.1)[kind]
    parking = 2.3 if rng.random() < (0.75, 0.5, 0.0)[kind] else 0.0
    lanes = 2 if wide else 1
    half = lanes * lane + parking + 0.3
    own = lane * (lanes - 0.5)  # the camera drives in the right-hand lane
    bend = rng.uniform(-1, 1)
    curve = (-own + rng.normal(0, 0.2), rng.normal(0, 0.02), bend * abs(bend) * 0.0032)
    lines = [(0.0, bool(rng.random() < 0.6)), (lanes * lane, False), (-lanes * lane, False)]
    if wide:
        lines += [(lane, True), (-lane, True)]
    walk = tuple(rng.uniform(2.2, 4.2) if (not country or rng.random() < 0.35) else 0.0 for _ in range(2))
    curb = float(rng.uniform(0.12, 0.18)) if max(walk) > 0 else 0.03
    slope = tuple(float((rng.random() < (0.1, 0.5, 0.75)[kind]) * rng.uniform(0.06, 0.32)) for _ in range(2))
    paved = bool(rng.random() < (0.45, 0.1, 0.05)[kind])
    autumn = rng.random() < 0.18
    greens = AUTUMN if autumn else FOLIAGE

    road = np.array((1.0, 1.0, 1.03)) * rng.uniform(0.10, 0.19)
    concrete = np.array((0.34, 0.33, 0.31)) * rng.uniform(0.85, 1.15)
    grass = np.array((0.13, 0.20, 0.05)) * rng.uniform(0.75, 1.15)
    dry = np.array((0.27, 0.22, 0.12)) * rng.uniform(0.8, 1.1)
    leaf = _pick(rng, greens)
    scene = Scene(
        camera=(rng.uniform(1.5, 1.7), 0.0, rng.normal(0, 0.02), rng.normal(-0.012, 0.012), rng.normal(0, 0.008)),
        curve=curve, half_width=half, lines=lines, zebra=np.nan, curb=curb, walk=walk, slope=slope,
        top=rng.uniform(2.6, 4.5), road=road, walkway=concrete, ground=grass, ground2=dry,
        mark=np.array((0.62, 0.62, 0.60)) * rng.uniform(0.75, 1.1), paved=paved, backdrop=leaf,
        backdrop_label=BUILDING if city and rng.random() < 0.6 else TREE,
        offset=rng.uniform(0, 256, 4).tolist(), **light,
    )  # fmt: skip
    b = _Builder(rng, scene, difficulty)
    scene.walkway = b.blend(scene.walkway, road * 1.1)
    scene.mark = b.blend(scene.mark, road * 2.0)
    if paved:
        scene.ground, scene.ground2 = b.blend(concrete * 0.8, scene.walkway), road * 1.2
    else:
        scene.ground = b.blend(grass, leaf)
        scene.ground2 = b.blend(dry, road)
    if scene.backdrop_label == BUILDING:
        scene.backdrop = np.array((0.35, 0.36, 0.38))
    if not country and rng.random() < 0.45:
        scene.zebra = rng.uniform(11, 30)

    overcast = np.minimum(scene.horizon / (scene.ambient + 0.25 * scene.sun_light), 0.82)
    walls = [b.blend(_pick(rng, FACADES), (overcast, concrete, road)[rng.integers(3)]) for _ in range(4)]
    metal = (np.array((0.30, 0.31, 0.32)), np.array((0.06, 0.08, 0.07)), np.array((0.16, 0.17, 0.17)))[rng.integers(3)]

    edge = [half + walk[0], half + walk[1]]
    for side, sign in enumerate((-1, 1)):
        _buildings(b, side, sign, edge[side], walls, kind)
        _plants(b, side, sign, edge[side], leaf, greens, kind)
        _furniture(b, side, sign, edge[side], walls, metal, kind)
    _traffic(b, lanes, lane, parking, half, road, walls)
    _people(b, half, edge, walls, road, kind)
    _decoys(seed, index, b, half, lane, edge, road, walls)
    return scene


def weather(scene: Scene) -> str:
    """What the light of a scene would be called: one of `WEATHERS`. Fog comes first; it may lie in any light."""
    if scene.haze > 0.0031:
        return "fog"
    if scene.clouds > 1:
        return "overcast"
    return "low sun" if scene.sun[2] < 0.45 else "sunny"


def _buildings(b, side, sign, edge, walls, kind) -> None:
    rng = b.rng
    setback = (rng.uniform(0.0, 1.2), rng.uniform(4, 10), rng.uniform(8, 25))[kind]
    if kind == 0 and rng.random() < 0.25:
        setback += rng.uniform(3, 8)
    y = rng.uniform(2, 10)
    while y < 150:
        length = (rng.uniform(5, 12), rng.uniform(4, 7), rng.uniform(4, 9))[kind]
        depth = rng.uniform(4.5, 7)
        height = (rng.uniform(7, 20), rng.uniform(3.2, 6.5), rng.uniform(3, 6))[kind]
        if rng.random() < (0.95, 0.85, 0.3)[kind]:
            centre = y + length
            d = sign * (edge + setback + depth + rng.uniform(0, 0.6))
            wall = walls[rng.integers(len(walls))] * rng.uniform(0.9, 1.1)
            trim = np.clip(wall * rng.uniform(1.1, 1.45), 0, 0.8) if rng.random() < 0.6 else wall * 0.65
            plain = rng.random() < 0.06 + 0.25 * b.difficulty
            gable = rng.random() < (0.2, 0.85, 0.8)[kind]
            b.building(b.road_x(centre) + d, centre, b.height(sign * (edge + setback)), b.heading(centre), depth,
                       length, height, wall, trim, gable, plain)  # fmt: skip
        y += 2 * length + (rng.choice((0.05, 0.05, 3.0)), rng.uniform(3, 9), rng.uniform(8, 40))[kind]


def _plants(b, side, sign, edge, leaf, greens, kind) -> None:
    rng, scene = b.rng, b.scene
    walk = scene.walk[side]
    if kind == 0:
        row, step = (rng.random() < 0.5) * (edge - walk + 0.8), rng.uniform(9, 14)
    else:
        row, step = edge + rng.uniform(1.0, 3.5), rng.uniform(8, 20)
    if row:
        y = rng.uniform(9, 20)
        while y < 110:
            if rng.random() < 0.75:
                d = sign * (row + rng.normal(0, 0.15 if kind == 0 else 0.8))
                colour = 0.4 * leaf + 0.6 * _pick(rng, greens)
                scale = rng.uniform(0.75, 1.1) if kind == 0 else rng.uniform(0.8, 1.7)
                b.tree(b.road_x(y) + d, y, b.height(d), colour, kind > 0 and rng.random() < 0.25, scale)
            y += step * rng.uniform(0.7, 1.4)
    if kind > 0:
        for _ in range(rng.integers(3, 9)):  # loose trees and bushes behind the row
            y, d = rng.uniform(18, 120), sign * (edge + rng.uniform(5, 32))
            colour = _pick(rng, greens)
            if rng.random() < 0.35:
                size = rng.uniform(0.6, 1.3)
                b.add(ELLIPSOID, TREE, LEAVES, b.road_x(y) + d, y, b.height(d) - 0.4 * size, 1.4 * size, size,
                      2.0 * size, b.blend(colour, scene.ground), rough=0.4)  # fmt: skip
            else:
                b.tree(b.road_x(y) + d, y, b.height(d), colour, rng.random() < 0.35, rng.uniform(0.9, 2.0))
    if kind == 1 and rng.random() < 0.6:  # a hedge along the sidewalk
        y = rng.uniform(6, 16)
        colour = b.blend(_pick(rng, greens), scene.ground)
        for _ in range(rng.integers(2, 6)):
            length = rng.uniform(2, 4.5)
            d = sign * (edge + 0.55)
            b.add(BOX, TREE, LEAVES, b.road_x(y + length) + d, y + length, b.height(d) - 0.3, 0.45, length,
                  rng.uniform(1.1, 1.7), colour, yaw=b.heading(y + length), rough=0.3)  # fmt: skip
            y += 2 * length + rng.uniform(2, 6)


def _furniture(b, side, sign, edge, walls, metal, kind) -> None:
    rng, scene = b.rng, b.scene
    walk, half = scene.walk[side], scene.half_width
    row = half + (0.45 if walk else 0.9)
    lamps, y = rng.random() < (0.8, 0.6, 0.4)[kind], rng.uniform(8, 18)
    step, tall = rng.uniform(16, 26), rng.uniform(5.5, 8.5)
    colour = b.blend(metal, walls[rng.integers(len(walls))])
    while lamps and y < 110:
        x, z, yaw = b.road_x(y) + sign * row, b.height(sign * row), b.heading(y)
        b.pole(x, y, z, tall, colour, 0.09)
        ax, ay = b.local(x, y, yaw, 0, -sign * 0.8)
        b.add(BOX, POLE, PLAIN, ax, ay, z + tall - 0.08, 0.85, 0.05, 0.1, colour, yaw=yaw)
        ax, ay = b.local(x, y, yaw, 0, -sign * 1.6)
        b.add(BOX, POLE, PLAIN, ax, ay, z + tall - 0.14, 0.4, 0.12, 0.14, colour * 0.8, yaw=yaw)
        y += step
    for _ in range(rng.integers(1, (5, 4, 4)[kind])):
        y = rng.uniform(9, 45)
        x, z = b.road_x(y) + sign * (row + rng.uniform(0, 0.3)), b.height(sign * row)
        b.sign(x, y, z, b.heading(y) + rng.normal(0, 0.12), b.blend(metal, walls[rng.integers(len(walls))]))
    if np.isfinite(scene.zebra):
        y = scene.zebra + (2.2 if sign > 0 else 6.0)
        arm = -sign * rng.uniform(2.5, 4.5) if rng.random() < 0.5 else 0.0
        b.signal(b.road_x(y) + sign * row, y, b.height(sign * row), b.heading(y), colour, arm)


def _traffic(b, lanes, lane, parking, half, road, walls) -> None:
    rng = b.rng
    paint = lambda: b.blend(_pick(rng, CAR_PAINTS), road)  # noqa: E731
    for k in range(-lanes, lanes):
        d, oncoming = (k + 0.5) * lane, k < 0
        y = rng.uniform(9, 40) if k < lanes - 1 else rng.uniform(12, 45)
        while y < 120:
            if rng.random() < 0.2:
                box = b.blend(_pick(rng, np.concatenate((FACADES, CAR_PAINTS[:2]))), walls[rng.integers(len(walls))])
                b.taken.append((y + 5, d, 6.0))
                b.truck(y + 4, d + rng.normal(0, 0.15), oncoming, box, b.blend(_pick(rng, CAR_PAINTS), box))
                y += 10
            else:
                b.taken.append((y + 2, d, 2.8))
                b.car(y + 2, d + rng.normal(0, 0.2), oncoming, paint())
            y += rng.uniform(9, 50)
    for sign in (-1, 1):
        y = rng.uniform(4, 14)
        while parking and y < 80:
            if rng.random() < 0.65 and not (abs(y + 1.5 - b.scene.zebra) < 9):
                b.taken.append((y, sign * (half - 1.2), 2.6))
                b.car(y, sign * (half - 1.2), sign < 0, paint())
            y += rng.uniform(5.2, 6.5)


def _people(b, half, edge, walls, road, kind) -> None:
    rng, scene = b.rng, b.scene
    for _ in range(rng.integers(2, (10, 6, 3)[kind])):
        side = int(rng.integers(2))
        y = 7 + 38 * rng.random() ** 1.4
        if scene.walk[side]:
            d = (2 * side - 1) * rng.uniform(half + 0.7, edge[side] - 0.3)
        else:
            d = (2 * side - 1) * (half + 0.5)
        if np.isfinite(scene.zebra) and rng.random() < 0.25:
            at = scene.zebra + rng.uniform(0.5, 3.5), rng.uniform(-half, half)
            y, d = at if b.free(*at, 0.5) else (y, d)
        wall = (walls[rng.integers(len(walls))], scene.walkway, road)[rng.integers(3)]
        coat = b.blend(_pick(rng, CLOTHES), wall)
        b.person(b.road_x(y) + d, y, b.height(d), coat, b.blend(_pick(rng, CLOTHES[:5]) * 0.7, wall))


def _decoys(seed, index, b, half, lane, edge, road, walls) -> None:
    """Flat pictures that only depth tells from the real thing: cars painted on the road, posters on facades.

    A decoy is a solid that colours the surface behind it and nothing else, as a picture painted there in the
    camera's perspective would. It has a random stream of its own, so that it leaves the scene as it is.
    """
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index, 1])))
    first, b.rng = b.rng, rng
    for _ in range(3):
        show, y, d, strong = rng.random() < 0.75 * b.difficulty, rng.uniform(9, 26), rng.uniform(-1, 1), rng.random()
        if show:
            b.canvas, b.fade = ON_GROUND, (road, (1 - b.difficulty) * 0.35 * strong)
            paint = _pick(rng, CAR_PAINTS)
            if b.free(y, d * (half - 1.2), 6.0):
                b.car(y, d * (half - 1.2), d < 0, paint)
    for _ in range(6):
        show, side, y, what = rng.random() < 0.9 * b.difficulty, rng.integers(2), rng.uniform(10, 40), rng.random()
        if show:
            d = (2 * side - 1) * (edge[side] - 0.1)
            wall = walls[rng.integers(len(walls))]
            b.canvas, b.fade = ON_FACADE, (wall, (1 - b.difficulty) * 0.3 * rng.random())
            x, z = b.road_x(y) + d, b.height(d)
            if what < 0.5:
                b.person(x, y, z + rng.uniform(0, 1.2), _pick(rng, CLOTHES), _pick(rng, CLOTHES[:5]))
            elif what < 0.7:
                b.tree(x, y, z, _pick(rng, FOLIAGE), False, rng.uniform(0.6, 1.0))
            elif what < 0.85:
                b.sign(x, y, z, b.heading(y), np.array((0.3, 0.31, 0.32)))
            else:
                b.pole(x, y, z, rng.uniform(5, 8), np.array((0.2, 0.21, 0.21)), 0.09)
    b.canvas, b.fade, b.rng = 0, None, first
