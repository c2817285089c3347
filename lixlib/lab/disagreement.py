"""Where answers are right and wrong: which pixels two students disagree on, and what these have in common."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from lixlib.core.sample import IGNORE


def flips(truth: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """How many pixels are wrong and right in two answers: [[both wrong, became right], [became wrong, both right]].

    **Shapes**: three times (...) integers of one shape -> (2, 2) int64; a pixel whose truth is 255 does not count.
    """
    known = truth != IGNORE
    index = 2 * (before == truth)[known].long() + (after == truth)[known].long()
    return torch.bincount(index, minlength=4).reshape(2, 2)


def net_gain(places: Tensor, bins: int, truth: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """Pixels that became right minus pixels that became wrong, per pixel of each bin; 0 in a bin without pixels.

    **Shapes**: places, truth, before and after (...) integers of one shape -> (bins,) float64 in [-1, 1]; a pixel whose
    truth is 255 does not count.

    Args:
        places: the bin of every pixel, from 0 to bins - 1.
    """
    known = truth != IGNORE
    change = ((after == truth).double() - (before == truth).double())[known]
    pixels = torch.bincount(places[known], minlength=bins)
    return torch.bincount(places[known], change, minlength=bins) / pixels.clamp(min=1)


def handed_on(truth: Tensor, teacher: Tensor, before: Tensor, after: Tensor) -> dict[str, float]:
    """What a student changed, apart for pixels where its teacher is right and where it is wrong: rates in [0, 1].

    "learnt": became right, of the pixels that were wrong and that the teacher has right; "alone": the same where the
    teacher has them wrong. "unlearnt": became wrong, of the pixels that were right and that the teacher has right;
    "misled": the same where the teacher has them wrong. "copied": of the misled pixels, those that carry the teacher's
    class. A rate of nothing is 0.

    **Shapes**: four times (...) integers of one shape; a pixel whose truth is 255 does not count.
    """
    known = truth != IGNORE
    knows, was, now = (known & (answer == truth) for answer in (teacher, before, after))
    doubts = known & ~knows

    def rate(among: Tensor, hit: Tensor) -> float:
        return float((among & hit).sum() / among.sum().clamp(min=1))

    return {
        "learnt": rate(knows & ~was, now),
        "alone": rate(doubts & ~was, now),
        "unlearnt": rate(knows & was, ~now),
        "misled": rate(doubts & was, ~now),
        "copied": rate(doubts & was & ~now, after == teacher),
    }


def objects(label: Tensor) -> Tensor:
    """Number the connected pieces of one class, neighbours being above, below, left and right.

    **Shapes**: (N, H, W) integers -> the same, int64, from 0 to the number of pieces in all N images - 1.
    """
    pieces, count = np.zeros(label.shape, dtype=np.int64), 0
    for frame, numbers in zip(label.numpy(), pieces, strict=True):
        for value in np.unique(frame):
            found, several = ndimage.label(frame == value)
            numbers[found > 0] = found[found > 0] - 1 + count
            count += several
    return torch.from_numpy(pieces)


def outline_distance(label: Tensor) -> Tensor:
    """Distance to the nearest outline, in pixels: 1 beside a pixel of another class (above, below, left or right).

    **Shapes**: (N, H, W) integers -> (N, H, W) float64; infinite in an image of one class.
    """
    outline = torch.zeros(label.shape, dtype=torch.bool)
    for axis in (1, 2):
        size = label.shape[axis]
        change = label.narrow(axis, 1, size - 1) != label.narrow(axis, 0, size - 1)
        outline.narrow(axis, 1, size - 1).logical_or_(change)
        outline.narrow(axis, 0, size - 1).logical_or_(change)
    maps = [
        ndimage.distance_transform_edt(~frame) + 1 if frame.any() else np.full(frame.shape, np.inf)
        for frame in outline.numpy()
    ]
    return torch.from_numpy(np.stack(maps))


def rim_distance(height: int, width: int) -> Tensor:
    """Distance to the rim of the image, in pixels, 0 on it. **Shapes**: -> (H, W) int64."""
    y, x = torch.arange(height), torch.arange(width)
    return torch.minimum(torch.minimum(y, height - 1 - y)[:, None], torch.minimum(x, width - 1 - x)[None])


def binned(values: Tensor, edges: Sequence[float], unit: str = "") -> tuple[Tensor, list[str]]:
    """The bin of every value, and the names of the bins: up to the first edge, between two edges, above the last.

    **Shapes**: (...) -> (...) int64, from 0 to len(edges); a value that equals an edge is below it.
    """
    between = [f"{low} to {high}{unit}" for low, high in pairwise(edges)]
    places = torch.bucketize(values.contiguous(), torch.tensor(edges, dtype=values.dtype))
    return places, [f"up to {edges[0]}{unit}", *between, f"above {edges[-1]}{unit}"]


def share_of_worst(counts: np.ndarray, values: np.ndarray, share: float = 0.1) -> float:
    """The part of a sum that the largest summands carry, from a histogram.

    **Shapes**: counts and values (bins,), values rising.

    Args:
        share: how many summands are the largest, in [0, 1].
    """
    counts, values = counts[::-1], values[::-1]
    left = share * counts.sum() - (counts.cumsum() - counts)  # to be taken when this bin's turn comes
    return float((left.clip(0, counts) * values).sum() / (counts * values).sum())
