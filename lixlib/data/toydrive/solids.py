"""A scene of ToyDrive: camera, road, light, and a table of simple solids with their classes, shapes and materials.

World frame: x right, y forward, z up, metres; the road plane is z = 0 and the camera stands above x = 0, y = 0.
The road's centre line is x = c0 + c1 y + c2 y^2, so every ground surface is at most a quadratic along a ray.
"""

from dataclasses import dataclass, field

import numpy as np

ROAD, SIDEWALK, TERRAIN, MARK, BUILDING, POLE, SIGN, LIGHT, TREE, SKY, PERSON, CAR, TRUCK = range(13)
BOX, CONE, ELLIPSOID = range(3)
(PLAIN, FACADE, ROOF, LEAVES, BODY, GLASS, WHEEL, DISC, PLATE, SIGNAL, CARGO) = range(11)
ON_GROUND, ON_FACADE = 1, 2

# One row per solid. x, y: centre; z: bottom; hx, hy: half sizes (radius for a cone); h: height; kx, ky: how much
# the half size shrinks per metre of height; rough: share of a ragged outline; phase: where the texture starts; base:
# where a facade's floors start; canvas: 0, or the surface that a decoy is painted on; detail: depends on the material.
COLUMNS = ("kind", "label", "material", "x", "y", "z", "hx", "hy", "h", "cos", "sin", "kx", "ky", "r", "g", "b",
           "r2", "g2", "b2", "rough", "phase", "base", "canvas", "detail")  # fmt: skip
COL = {name: i for i, name in enumerate(COLUMNS)}


@dataclass
class Scene:
    """Everything that a picture depends on, apart from its size; colours are linear RGB reflectances."""

    camera: tuple[float, float, float, float, float]  # height, lateral position of c0, yaw, pitch, roll (radians)
    curve: tuple[float, float, float]  # c0, c1, c2
    half_width: float  # of the road
    lines: list[tuple[float, bool]]  # lateral position, dashed
    zebra: float  # where the crossing begins; nan for none
    curb: float  # height of the sidewalks
    walk: tuple[float, float]  # sidewalk widths, left and right
    slope: tuple[float, float]  # rise of the terrain per metre, left and right
    top: float  # highest rise of the terrain
    sun: np.ndarray
    sun_light: np.ndarray
    ambient: np.ndarray
    zenith: np.ndarray
    horizon: np.ndarray
    clouds: float  # cover; above 1 the sky is overcast
    haze: float  # extinction per metre
    noise: float
    cast: np.ndarray  # factors of the camera's R, G and B
    exposure: float
    road: np.ndarray
    walkway: np.ndarray
    ground: np.ndarray
    ground2: np.ndarray
    mark: np.ndarray
    paved: bool
    backdrop: np.ndarray  # colour of the last row of trees or houses
    backdrop_label: int
    offset: list[float]  # where the textures start
    rows: list[tuple] = field(default_factory=list)

    def solids(self) -> np.ndarray:
        """The solids as a (len(COLUMNS), n) float32 table."""
        return np.array(self.rows, dtype=np.float32).reshape(-1, len(COLUMNS)).T.copy()
