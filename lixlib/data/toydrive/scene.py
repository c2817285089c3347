"""Random driving scenes of ToyDrive: camera, road, light and a list of simple solids, all drawn from one seed.

`street` places the `objects` along the road; `solids` defines what a scene consists of.
"""

import numpy as np

from lixlib.data.toydrive.objects import Builder
from lixlib.data.toydrive.palettes import AUTUMN, FACADES, FOLIAGE, pick
from lixlib.data.toydrive.solids import BUILDING, TREE, Scene
from lixlib.data.toydrive.street import buildings, decoys, furniture, people, plants, traffic

__all__ = ["WEATHERS", "Scene", "make_scene", "weather"]

WEATHERS = ("sunny", "overcast", "low sun", "fog")


def _light(rng: np.random.Generator, difficulty: float) -> dict:
    """Draw sun, sky, fog and the camera's colours: clear, fair, overcast or a low sun."""
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
    leaf = pick(rng, greens)
    scene = Scene(
        camera=(rng.uniform(1.5, 1.7), 0.0, rng.normal(0, 0.02), rng.normal(-0.012, 0.012), rng.normal(0, 0.008)),
        curve=curve, half_width=half, lines=lines, zebra=np.nan, curb=curb, walk=walk, slope=slope,
        top=rng.uniform(2.6, 4.5), road=road, walkway=concrete, ground=grass, ground2=dry,
        mark=np.array((0.62, 0.62, 0.60)) * rng.uniform(0.75, 1.1), paved=paved, backdrop=leaf,
        backdrop_label=BUILDING if city and rng.random() < 0.6 else TREE,
        offset=rng.uniform(0, 256, 4).tolist(), **light,
    )  # fmt: skip
    b = Builder(rng, scene, difficulty)
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
    walls = [b.blend(pick(rng, FACADES), (overcast, concrete, road)[rng.integers(3)]) for _ in range(4)]
    metal = (np.array((0.30, 0.31, 0.32)), np.array((0.06, 0.08, 0.07)), np.array((0.16, 0.17, 0.17)))[rng.integers(3)]

    edge = [half + walk[0], half + walk[1]]
    for side, sign in enumerate((-1, 1)):
        buildings(b, side, sign, edge[side], walls, kind)
        plants(b, side, sign, edge[side], leaf, greens, kind)
        furniture(b, side, sign, edge[side], walls, metal, kind)
    traffic(b, lanes, lane, parking, half, road, walls)
    people(b, half, edge, walls, road, kind)
    decoys(seed, index, b, half, lane, edge, road, walls)
    return scene


def weather(scene: Scene) -> str:
    """The weather of a scene, one of `WEATHERS`: a scene with fog is "fog", whatever its light is."""
    if scene.haze > 0.0031:
        return "fog"
    if scene.clouds > 1:
        return "overcast"
    return "low sun" if scene.sun[2] < 0.45 else "sunny"
