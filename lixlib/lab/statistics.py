"""What a few seeds can show: paired tests, many of them at once, and the smallest gain that would have been found."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # its parts are loaded at their first use, which takes most of a second
from numpy.typing import ArrayLike

from lixlib.lab.results import Runs, gains, scored


@dataclass(frozen=True)
class Paired:
    """A mean gain and how sure it is; all but n and mean are NaN where one seed says nothing about scatter.

    Args:
        n: seeds.
        mean: of the gains.
        deviation: standard deviation of one gain.
        p: two-sided p-value of the mean against 0.
        interval: 95 % confidence interval of the mean.
    """

    n: int
    mean: float
    deviation: float
    p: float
    interval: tuple[float, float]


def paired(gains: Sequence[float]) -> Paired:
    """The paired t-test (Student, 1908) over the gains of the seeds: `scipy.stats.ttest_rel` of the two scores.

    Raises:
        ValueError: no gain at all.
    """
    n = len(gains)
    if not n:
        raise ValueError("no gains: the two methods have no seed in common")
    deviation = float(np.std(gains, ddof=1)) if n > 1 else math.nan
    return _test(n, float(np.mean(gains)), deviation, n - 1)


def pooled(scores: Mapping[str, Sequence[float]], against: str) -> dict[str, Paired]:
    """Every method against one of them, all sharing one deviation: a two-way analysis of variance, method and seed.

    It assumes that a method and a seed add up, and that all methods scatter alike around that sum; then M methods
    and n seeds give (M - 1)(n - 1) degrees of freedom instead of n - 1. A method that fails now and then breaks it.

    Args:
        scores: one a seed, the seeds in the same order, of every method.

    Raises:
        ValueError: the methods have different numbers of scores.
    """
    if len({len(values) for values in scores.values()}) != 1:
        raise ValueError("every method needs a score of every seed")
    y = np.array(list(scores.values()), dtype=np.float64)
    variance, freedom = _residual(y)
    deviation = math.sqrt(2 * variance)  # of a difference of two
    means = dict(zip(scores, y.mean(1) - y[list(scores).index(against)].mean(), strict=True))
    return {name: _test(y.shape[1], float(mean), deviation, freedom) for name, mean in means.items() if name != against}


def contrast(scores: Mapping[str, Sequence[float]], coefficients: Mapping[str, float]) -> Paired:
    """A weighted sum of methods, e.g. the mean of some minus the mean of others, with the scatter that all share.

    It assumes what `pooled` assumes; `deviation` is that of the contrast of one seed.

    Args:
        scores: one a seed, the seeds in the same order, of every method.
        coefficients: of some of the methods; their sum is 0, so that what a seed adds cancels.

    Raises:
        ValueError: different numbers of scores, or coefficients whose sum is not 0.
    """
    if len({len(values) for values in scores.values()}) != 1:
        raise ValueError("every method needs a score of every seed")
    if abs(sum(coefficients.values())) > 1e-9:
        raise ValueError(f"the coefficients of a contrast add up to 0, these to {sum(coefficients.values()):g}")
    y = np.array(list(scores.values()), dtype=np.float64)
    variance, freedom = _residual(y)
    weights = np.array([coefficients.get(name, 0.0) for name in scores])
    deviation = math.sqrt(variance * float(weights @ weights))
    return _test(y.shape[1], float(weights @ y.mean(1)), deviation, freedom)


@dataclass(frozen=True)
class Differ:
    """Whether any of several methods differs from the others.

    Args:
        f: variance of the methods' means over what the scatter alone would give them; 1 is expected without an effect.
        p: how often scatter alone would give an f as large.
        deviation: standard deviation of one score, free of what its method and its seed add.
        freedom: degrees of freedom of that deviation.
    """

    f: float
    p: float
    deviation: float
    freedom: int


def differ(scores: ArrayLike) -> Differ:
    """The F-test of a two-way analysis of variance, method and seed (Fisher, 1925); of two methods it is `paired`.

    **Shapes**: scores (methods, seeds). It assumes what `pooled` assumes. With one method or one seed all but the
    degrees of freedom is NaN.
    """
    y = np.asarray(scores, dtype=np.float64)
    variance, freedom = _residual(y)
    if not freedom:
        return Differ(math.nan, math.nan, math.nan, 0)
    methods, n = y.shape
    between = n * float(y.mean(1).var(ddof=1))
    f = between / variance if variance else math.inf if between else math.nan
    return Differ(f, float(scipy.stats.f.sf(f, methods - 1, freedom)), math.sqrt(variance), freedom)


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """p-values corrected for their number (Holm, 1979): the chance of any false alarm among all stays below the level.

    The smallest is multiplied by their number m, the next by m - 1 and so on, none becoming smaller than the one
    before. NaN stays NaN and does not count.
    """
    tested = sorted((name for name in p if not math.isnan(p[name])), key=p.get)
    corrected, largest = dict.fromkeys(p, math.nan), 0.0
    for rank, name in enumerate(tested):
        largest = max(largest, min(1.0, (len(tested) - rank) * p[name]))
        corrected[name] = largest
    return corrected


@dataclass(frozen=True)
class Comparison:
    """One method against a rival.

    Args:
        own: the paired test of its own gains.
        shared: the pooled test; None where the method lacks a seed that the rival has.
        own_holm, shared_holm: their p-values, corrected for all methods that meet this rival; NaN where there is none.
    """

    own: Paired
    shared: Paired | None
    own_holm: float
    shared_holm: float

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the mean gain: with the pooled scatter where there is one, else the method's own."""
        return (self.shared or self.own).interval


def compare_with(runs: Runs, rival: str, metric: str = "mIoU") -> dict[str, Comparison]:
    """Every distilled student against a rival (the student alone, or another method), paired by seed, in points."""
    points = {
        m: list(gains(runs, m, against=rival, metric=metric).values()) for m in runs if m not in ("teacher", rival)
    }
    own = {m: paired(values) for m, values in points.items() if values and m != "student"}
    scores = {m: {seed: 100 * value for seed, value in scored(runs[m], metric).items()} for m in runs if m != "teacher"}
    seeds = list(scores.get(rival, {}))
    scores = {m: list(each.values()) for m, each in scores.items() if seeds and list(each) == seeds}
    shared = {m: test for m, test in pooled(scores, rival).items() if m in own} if scores else {}
    own_holm, shared_holm = (holm({m: test.p for m, test in tests.items()}) for tests in (own, shared))
    return {m: Comparison(own[m], shared.get(m), own_holm[m], shared_holm.get(m, math.nan)) for m in own}


def estimates(runs: Runs, rival: str, metric: str = "mIoU") -> dict[str, dict]:
    """The numbers of a forest plot (`lixlib.plots.Estimate`): every variant against one of them, in points.

    The interval is the pooled one, the wide one is the variant's own, and "sure" is what the corrected pooled test sees
    at 5 %. Variants without runs have none; nor have any where the rival has no runs.
    """
    there = {name: lines for name, lines in runs.items() if lines}
    found = compare_with(there, rival, metric) if rival in there else {}
    return {
        name: {
            "mean": test.own.mean,
            "interval": test.shared and test.shared.interval,
            "wide": test.own.interval,
            "values": list(gains(there, name, against=rival, metric=metric).values()),
            "sure": test.shared_holm < 0.05,
        }
        for name, test in found.items()
    }


def block(runs: Runs, metric: str = "mIoU") -> tuple[np.ndarray, list[str]]:
    """The scores of an unfinished grid that `differ` can take: its largest complete block, and the methods in it.

    Of all blocks of the first seeds with every method that has them it is the one with the most degrees of freedom. A
    method that diverged with one of these seeds is in none of them.

    **Shapes**: (methods, seeds), in %.
    """
    seeds = sorted({seed for by_seed in runs.values() for seed in by_seed})
    scores = {m: scored(by_seed, metric) for m, by_seed in runs.items()}
    found = [((0, 0, 1), [])]
    for n in range(1, len(seeds) + 1):
        whole = [m for m, each in scores.items() if all(seed in each for seed in seeds[:n])]
        found.append((((len(whole) - 1) * (n - 1), len(whole), n), whole))
    (*_, n), whole = max(found)
    chosen = [[100 * scores[m][seed] for seed in seeds[:n]] for m in whole]
    return np.array(chosen, dtype=np.float64).reshape(-1, n), whole


def verdict(test: Comparison | None) -> str:
    """ "better", "worse" or "not told apart" at 5 %, corrected, by the pooled test where there is one; else by its own.

    "not known yet" where fewer than two seeds have both scores.
    """
    if test is None or test.own.n < 2:
        return "not known yet"
    p = test.shared_holm if test.shared else test.own_holm
    return "not told apart" if not p < 0.05 else "better" if test.own.mean > 0 else "worse"


def detectable(n: int, deviation: float, *, comparisons: int = 1, alpha: float = 0.05, power: float = 0.8) -> float:
    """The true gain that a paired t-test over n seeds finds with probability `power`.

    Args:
        deviation: standard deviation of one gain.
        comparisons: tests at once; the smallest p-value must then fall below alpha / comparisons (Bonferroni, Holm).
    """
    freedom = n - 1
    critical = scipy.stats.t.isf(alpha / comparisons / 2, freedom)
    # gain / standard error is noncentral t; given the scatter that is found, it is normal
    shares = (np.arange(2000) + 0.5) / 2000
    scatter = np.sqrt(scipy.stats.chi2.ppf(shares, freedom) / freedom)

    def misses(shift: float) -> float:
        found = scipy.stats.norm.cdf(shift - critical * scatter) + scipy.stats.norm.cdf(-shift - critical * scatter)
        return power - float(found.mean())

    return scipy.optimize.brentq(misses, 0.0, 10 + 3 * critical) * deviation / math.sqrt(n)


def _residual(y: np.ndarray) -> tuple[float, int]:
    """Variance that neither method nor seed explains, and its degrees of freedom. **Shapes**: (methods, seeds)."""
    freedom = (y.shape[0] - 1) * (y.shape[1] - 1)
    if freedom < 1:
        return math.nan, 0
    residual = y - y.mean(0) - y.mean(1, keepdims=True) + y.mean()
    return float((residual**2).sum()) / freedom, freedom


def _test(n: int, mean: float, deviation: float, freedom: int) -> Paired:
    if math.isnan(deviation):
        return Paired(n, mean, deviation, math.nan, (math.nan, math.nan))
    error = deviation / math.sqrt(n)
    p = 2 * float(scipy.stats.t.sf(abs(mean) / error, freedom)) if error else float(mean == 0)
    reach = float(scipy.stats.t.ppf(0.975, freedom)) * error
    return Paired(n, mean, deviation, p, (mean - reach, mean + reach))
