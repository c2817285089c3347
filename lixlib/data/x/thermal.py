"""An X for ToyDrive that resembles a thermal image, made from labels and depth."""

import numpy as np
import scipy  # loads its parts when they are first used

UNIT = "(temperature - air + 20 K) / 40 K"
# Temperature above that of the air on a mild day in Kelvin, and its standard deviation from object to object
WARMTH = {
    "road": (4.0, 0.5),
    "sidewalk": (3.0, 0.5),
    "terrain": (1.0, 0.5),
    "lane mark": (3.5, 0.3),
    "building": (3.0, 2.0),
    "pole": (1.0, 0.7),
    "traffic sign": (1.0, 1.0),
    "traffic light": (6.0, 1.0),
    "tree": (0.0, 0.5),
    "sky": (-20.0, 0.0),
    "pedestrian": (11.0, 1.5),
    "car": (6.0, 4.0),
    "truck": (7.0, 4.0),
}
REACH = 150.0  # distance in metres at which a difference in temperature has fallen to 1 / e
BLUR, NOISE = 0.6, 0.3  # of the sensor, in pixels and in Kelvin


def thermal(label: np.ndarray, depth: np.ndarray, names: tuple[str, ...], rng: np.random.Generator) -> np.ndarray:
    """Return an image of temperatures, scaled to [0, 1] by clip((temperature - air + 20 K) / 40 K, 0, 1).

    Every connected piece of a class has one temperature, drawn around that of its class (`WARMTH`: plausible numbers,
    not measurements), so that two cars differ. Differences decrease with distance; the sensor adds blur and noise.
    There is no shading, no sun and no reflection, so the image only resembles a thermal one.

    **Shapes**: label (H, W) class numbers, depth (H, W) in metres, inf for sky -> (H, W) float32.

    Args:
        names: the names of the classes, in the order of their numbers.
    """
    kelvin = np.zeros(label.shape)
    for number, name in enumerate(names):
        mean, spread = WARMTH[name]
        pieces, count = scipy.ndimage.label(label == number)
        kelvin += np.concatenate([[0.0], mean + spread * rng.standard_normal(count)])[pieces]
    far = np.where(label == names.index("sky"), 1.0, np.exp(-np.minimum(depth, 1e4) / REACH))
    kelvin = scipy.ndimage.gaussian_filter(kelvin * far, BLUR) + NOISE * rng.standard_normal(label.shape)
    return ((kelvin + 20) / 40).clip(0, 1).astype(np.float32)
