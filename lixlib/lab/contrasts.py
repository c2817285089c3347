"""What the tables of evidence need: many methods against one control, and differences over seeds and images at once."""

import functools
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy  # its parts are loaded at their first use, which takes most of a second
from numpy.typing import ArrayLike

from lixlib.core.checks import shape
from lixlib.lab import results
from lixlib.lab.record import Record
from lixlib.lab.statistics import Paired, pooled


def dunnett(
    scores: Mapping[str, Sequence[float]], control: str, family: Collection[str] | None = None
) -> dict[str, Paired]:
    """Every method against one control, paired by seed (Dunnett, 1955): p-values and intervals that hold all at once.

    It assumes what `lixlib.lab.statistics.pooled` assumes: a method and a seed add up, and what is left is normal and
    scatters alike for all methods. Then the differences, over their shared scatter, are a multivariate t with
    correlation 1/2 and (M - 1)(n - 1) degrees of freedom; the largest of them is integrated, not drawn.
    `scipy.stats.dunnett` assumes independent groups, which seeds are not.

    Args:
        scores: one a seed, the seeds in the same order, of every method.
        family: the methods that are compared; the others only say how scores scatter. None: all.

    Raises:
        ValueError: the methods have different numbers of scores, or the control is none of them.
    """
    if control not in scores:
        raise ValueError(f"control is {control!r}: give one of {', '.join(scores)}")
    freedom = (len(scores) - 1) * (len(scores[control]) - 1)
    tests = {name: test for name, test in pooled(scores, control).items() if family is None or name in family}
    if not tests or freedom < 1:
        return tests
    reach = _critical(0.05, len(tests), freedom)
    return {name: _at_once(test, len(tests), freedom, reach) for name, test in tests.items()}


@dataclass(frozen=True)
class Gain:
    """A gain in mIoU, in points, or a difference of rates, over seeds and images.

    Args:
        seeds, images: how many of them.
        mean: over the seeds; a seed's mIoU, or rate, is that of all its images.
        interval: 95 % interval, where new seeds and new images may differ.
    """

    seeds: int
    images: int
    mean: float
    interval: tuple[float, float]


def stacked(lines: Iterable[Record], root: Path | str = "results") -> np.ndarray:
    """The matrices of several runs, e.g. of a method's seeds, that were scored on the same images.

    **Shapes**: (runs, images, C, C) int64, as `bootstrap_gain` takes them.

    Raises:
        FileNotFoundError, ValueError: as `lixlib.lab.results.confusions`.
        ValueError: no line, or runs that were scored on other images.
    """
    lines = list(lines)
    if len({tuple(results.images(line, root)) for line in lines}) != 1:
        raise ValueError(f"{len(lines)} runs, and not all of the same images: give at least one, and of one split")
    return np.stack([results.confusions(line, root) for line in lines])


def bootstrap_gain(
    ours: ArrayLike, theirs: ArrayLike, classes: Sequence[int] | None = None, *, draws: int = 2000, seed: int = 0
) -> Gain:
    """The gain in mIoU of a method over another, with the bootstrap over seeds and images (Owen, 2007).

    A draw takes seeds and images with replacement. All seeds are scored on the same images: so a draw takes the same
    images for all its seeds and for both methods. What one seed has on one image by chance counts up to three times, so
    that the interval is rather too wide than too narrow.

    The interval lies between the percentiles 2.5 and 97.5 of the draws. Of n seeds these are too narrow, as the normal
    distribution is in place of t, and n in place of n - 1: so what a draw's seeds differ from all seeds is stretched by
    as much (after Hesterberg, "What Teachers Should Know About the Bootstrap", 2015). Images are many and need it not.

    **Shapes**: both (seeds, images, C, C), rows are the truth; seeds and images in the same order.

    Args:
        classes: the classes whose mean it is (`miou_of`); None: all.
        draws: at least 200, of which an interval's ends are made by five each.
        seed: of the draws.

    Raises:
        ValueError: shapes that do not fit, fewer than two seeds or images, images that differ in their truth, too few
            draws.
    """
    ours, theirs = _checked(ours, "ours"), _checked(theirs, "theirs")
    if ours.shape != theirs.shape:
        raise ValueError(f"ours is {shape(ours)} and theirs {shape(theirs)}: give the same seeds, images and classes")
    pair = np.stack([ours, theirs])
    _, n, images, *_ = pair.shape
    if n < 2 or images < 2:
        raise ValueError(f"{n} seeds and {images} images: an interval over both needs at least two of each")
    if (pair.sum(-1) != pair[0, 0].sum(-1)).any():
        raise ValueError("the true pixels differ between seeds or methods: give the same images in the same order")
    if draws < 200:
        raise ValueError(f"draws is {draws}: give at least 200")
    random = np.random.default_rng(seed)
    counts = np.stack(_counts(pair, _chosen(classes, pair.shape[-1])))  # (2, methods, seeds, images, classes)
    ratio = np.moveaxis(_drawn(counts, draws, random, axis=3), 1, 0)  # (2, draws, methods, seeds, classes)
    low, high = _interval(100 * np.subtract(*np.moveaxis(_mean_iou(*ratio), 1, 0)), random)
    mean = float(100 * np.subtract(*_mean_iou(*counts.sum(3))).mean())
    return Gain(n, images, mean, (float(low), float(high)))


def bootstrap_rates(
    ours: Sequence[ArrayLike],
    theirs: Sequence[ArrayLike],
    *,
    at_once: int = 1,
    draws: int = 2000,
    seed: int = 0,
) -> list[Gain]:
    """Differences of rates with the bootstrap of `bootstrap_gain`, e.g. of the right pixels in each of several bins.

    A seed's rate is what it has in all images, over what there is; without anything it is 0.

    **Shapes**: both are two of (rates, seeds, images): the summands of a rate, and what they are a part of.

    Args:
        at_once: of how many intervals all shall hold together with 95 % (Bonferroni's correction).
        draws: at least 200 for each of these, of which an interval's ends are made by five each.
        seed: of the draws.

    Raises:
        ValueError: shapes that do not fit, fewer than two seeds or images, too few draws.
    """
    pair = [np.asarray(each, dtype=np.float64) for each in (*ours, *theirs)]
    shapes = {each.shape for each in pair}
    if len(pair) != 4 or len(shapes) != 1 or pair[0].ndim != 3:
        found = ", ".join(str(shape(each)) for each in pair)
        raise ValueError(f"ours and theirs must be two of (rates, seeds, images) each, all alike, found {found}")
    _, n, images = pair[0].shape
    if n < 2 or images < 2:
        raise ValueError(f"{n} seeds and {images} images: an interval over both needs at least two of each")
    if at_once < 1 or draws < 200 * at_once:
        raise ValueError(f"draws is {draws}: give at least 200 for each of {at_once} intervals")
    random = np.random.default_rng(seed)
    counts = np.stack(pair)
    drawn = _drawn(counts, draws, random, axis=3)  # (draws, 4, rates, seeds)
    ends = _interval(np.moveaxis(_difference(*np.moveaxis(drawn, 1, 0)), 1, 2), random, 0.025 / at_once)
    means = _difference(*counts.sum(3)).mean(1)
    return [
        Gain(n, images, float(mean), (float(low), float(high))) for mean, low, high in zip(means, *ends, strict=True)
    ]


def miou_of(confusion: ArrayLike, classes: Sequence[int] | None = None) -> np.ndarray:
    """The mean IoU of some classes, over those of them that occur in the truth or in the prediction.

    **Shapes**: (..., C, C), rows are the truth -> (...) in [0, 1]; NaN where none of the classes occurs. Of all classes
    it is the mIoU of `lixlib.metrics.scores`.

    Raises:
        ValueError: no square matrices, or a class that they do not have.
    """
    confusion = np.asarray(confusion)
    if confusion.ndim < 2 or confusion.shape[-1] != confusion.shape[-2]:
        raise ValueError(f"confusion must be (..., C, C), found {shape(confusion)}")
    return _mean_iou(*_counts(confusion, _chosen(classes, confusion.shape[-1])))


def _at_once(test: Paired, methods: int, freedom: int, reach: float) -> Paired:
    error = test.deviation / math.sqrt(test.n)
    p = _beyond(abs(test.mean) / error, methods, freedom) if error else float(test.mean == 0)
    interval = (test.mean - reach * error, test.mean + reach * error)
    return Paired(test.n, test.mean, test.deviation, p, interval)


@functools.cache
def _critical(alpha: float, methods: int, freedom: int) -> float:
    """What the largest |t| of the methods exceeds with probability alpha; Bonferroni's is an upper bound."""
    single, bonferroni = (float(scipy.stats.t.isf(alpha / m / 2, freedom)) for m in (1, methods + 1))
    return float(scipy.optimize.brentq(lambda t: _beyond(t, methods, freedom) - alpha, 0.99 * single, bonferroni))


def _beyond(t: float, methods: int, freedom: int) -> float:
    """The probability that the largest of the methods' |t| is beyond t, if none differs from the control.

    A method's t is (z_method - z_control) / sqrt(2) / s, so that given z_control and s they are independent; both
    are integrated by Gauss and Legendre's rule.
    """
    nodes, weights = np.polynomial.legendre.leggauss(200)
    low, high = scipy.stats.chi.ppf(1e-15, freedom), scipy.stats.chi.isf(1e-15, freedom)
    root = low + (high - low) * (nodes + 1) / 2  # of chi squared
    control = 9 * nodes
    of_root = weights * (high - low) / 2 * scipy.stats.chi.pdf(root, freedom)
    of_control = weights * 9 * scipy.stats.norm.pdf(control)
    reach = math.sqrt(2 / freedom) * t * root[:, None]
    outside = scipy.special.ndtr(control - reach) + scipy.special.ndtr(-control - reach)
    with np.errstate(divide="ignore"):  # of t = 0 all is outside
        any_outside = -np.expm1(methods * np.log1p(-np.minimum(outside, 1.0)))
    return float(min(1.0, of_root @ any_outside @ of_control))


def _drawn(counts: np.ndarray, draws: int, random: np.random.Generator, axis: int) -> np.ndarray:
    """Sums over images that are drawn with replacement; draws become the first axis, in place of that of images."""
    images = counts.shape[axis]
    weights = random.multinomial(images, np.full(images, 1 / images), size=draws)
    return np.tensordot(weights.astype(np.float64), counts, (1, axis))


def _interval(of_seeds: np.ndarray, random: np.random.Generator, tail: float = 0.025) -> np.ndarray:
    """The ends of the interval, from what each draw of images gives to each seed.

    **Shapes**: (draws, seeds, ...) -> (2, ...).
    """
    draws, n = of_seeds.shape[:2]
    stretch = scipy.stats.t.ppf(1 - tail, n - 1) / scipy.stats.norm.ppf(1 - tail) * math.sqrt(n / (n - 1))
    times = 1 + stretch * (random.multinomial(n, np.full(n, 1 / n), size=draws) - 1)
    times = times.reshape(draws, n, *[1] * (of_seeds.ndim - 2))
    return np.quantile((times * of_seeds).sum(1) / n, (tail, 1 - tail), axis=0)


def _difference(hits: np.ndarray, of: np.ndarray, other_hits: np.ndarray, other_of: np.ndarray) -> np.ndarray:
    ours, theirs = (np.divide(h, o, out=np.zeros_like(h), where=o > 0) for h, o in ((hits, of), (other_hits, other_of)))
    return ours - theirs


def _checked(confusions: ArrayLike, which: str) -> np.ndarray:
    found = np.asarray(confusions)
    if found.ndim != 4 or found.shape[-1] != found.shape[-2]:
        raise ValueError(f"{which} must be (seeds, images, C, C), found {shape(found)}")
    return found


def _chosen(classes: Sequence[int] | None, number: int) -> list[int]:
    chosen = list(range(number) if classes is None else classes)
    if not chosen or not all(0 <= each < number for each in chosen):
        raise ValueError(f"classes is {chosen}: give some of 0..{number - 1}")
    return chosen


def _counts(confusion: np.ndarray, classes: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """True positives and union of each class. **Shapes**: (..., C, C) -> (..., classes) each."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)[..., classes]
    return hits, confusion.sum(-1)[..., classes] + confusion.sum(-2)[..., classes] - hits


def _mean_iou(hits: np.ndarray, union: np.ndarray) -> np.ndarray:
    occurs = union > 0
    with np.errstate(invalid="ignore"):
        return np.where(occurs, hits / np.maximum(union, 1), 0.0).sum(-1) / occurs.sum(-1)
