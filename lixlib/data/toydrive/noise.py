"""Two tileable tables of noise, smooth and white, from which ToyDrive draws its textures and ragged outlines."""

import numpy as np


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


NOISE = _value_noise()
WHITE = np.random.Generator(np.random.PCG64(11)).random((256, 256), dtype=np.float32)


def noise(u: np.ndarray, v: np.ndarray, table: np.ndarray = NOISE) -> np.ndarray:
    """Look up a tileable table at (u, v), in units of its cells."""
    return table.ravel()[((np.floor(v).astype(np.int32) & 255) << 8) | (np.floor(u).astype(np.int32) & 255)]
