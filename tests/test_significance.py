"""Paired tests against scipy's own, a linear model and simulations."""

import math
from dataclasses import astuple

import numpy as np
import pytest
from scipy import stats

from lixlib.results import gains
from lixlib.significance import compare_with, detectable, holm, paired, pooled


@pytest.mark.parametrize("n", [2, 3, 8])
def test_paired_is_scipys(n):
    rng = np.random.default_rng(n)
    student = rng.normal(50, 1, n)
    distilled = student + rng.normal(0.5, 1, n)
    found, expected = paired(distilled - student), stats.ttest_rel(distilled, student)
    assert found.n == n and found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.interval == pytest.approx(tuple(expected.confidence_interval()), rel=1e-9)
    assert found.deviation == pytest.approx((distilled - student).std(ddof=1))


def test_what_one_seed_or_equal_gains_say():
    alone = paired([1.5])
    assert (alone.n, alone.mean) == (1, 1.5)
    assert all(map(math.isnan, (alone.deviation, alone.p, *alone.interval)))
    assert paired([0.5, 0.5, 0.5]).p == 0 and paired([0.0, 0.0]).p == 1
    with pytest.raises(ValueError, match="no seed in common"):
        paired([])


def test_pooled_is_the_linear_model_of_method_and_seed():
    rng = np.random.default_rng(0)
    names, seeds = ["student", "kd", "at", "lix"], 3
    y = rng.normal(50, 1, (4, 1)) + rng.normal(0, 2, (1, seeds)) + rng.normal(0, 0.3, (4, seeds))
    design = [
        [1, *(float(m == k) for k in range(1, 4)), *(float(s == k) for k in range(1, seeds))]
        for m in range(4)
        for s in range(seeds)
    ]
    design = np.array(design)
    beta, (rss,), rank, _ = np.linalg.lstsq(design, y.ravel(), rcond=None)
    freedom = y.size - rank
    errors = np.sqrt(np.diag(np.linalg.inv(design.T @ design)) * rss / freedom)
    found = pooled(dict(zip(names, y, strict=True)), "student")
    assert list(found) == names[1:]
    for k, test in enumerate(found.values(), start=1):
        assert test.mean == pytest.approx(beta[k])
        assert test.p == pytest.approx(2 * stats.t.sf(abs(beta[k] / errors[k]), freedom), rel=1e-6)


def test_pooled_of_two_methods_is_the_paired_test():
    student, lix = [50.0, 51.0, 49.5], [51.0, 51.5, 51.5]
    (found,) = pooled({"student": student, "lix": lix}, "student").values()
    for ours, theirs in zip(astuple(found), astuple(paired(np.subtract(lix, student))), strict=True):
        assert ours == pytest.approx(theirs)
    with pytest.raises(ValueError, match="every seed"):
        pooled({"student": student, "lix": lix[:2]}, "student")
    (alone,) = pooled({"student": [50.0], "lix": [51.0]}, "student").values()
    assert alone.mean == 1 and math.isnan(alone.p)


def test_holm_by_hand():
    p = {"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005, "one seed": math.nan}
    assert holm(p) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02, "one seed": math.nan}, nan_ok=True)
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


def test_methods_are_compared_with_a_rival_by_seed():
    rng = np.random.default_rng(0)
    seeds = {"teacher": 3, "student": 3, "kd": 3, "at": 2, "sp": 1, "lix": 3}
    runs = {m: {s: {"metrics": {"mIoU": rng.normal(0.5, 0.01)}} for s in range(n)} for m, n in seeds.items()}
    found = compare_with(runs, "student")
    assert list(found) == ["kd", "at", "sp", "lix"]
    assert found["kd"].own == paired(list(gains(runs, "kd").values()))
    assert found["kd"].shared.n == 3 and found["at"].shared is None and math.isnan(found["sp"].own.p)
    raw = {m: each.own.p for m, each in found.items()}
    assert {m: each.own_holm for m, each in found.items()} == pytest.approx(holm(raw), nan_ok=True)
    raw = {m: found[m].shared.p for m in ("kd", "lix")}
    assert {m: found[m].shared_holm for m in raw} == holm(raw)
    whole = {m: [100 * line["metrics"]["mIoU"] for line in runs[m].values()] for m in ("student", "kd", "lix")}
    assert found["lix"].shared == pooled(whole, "student")["lix"]
    assert list(compare_with(runs, "lix")) == ["kd", "at", "sp"]
    assert compare_with(runs, "rkd") == compare_with({}, "student") == {}


@pytest.mark.parametrize(("n", "comparisons"), [(3, 1), (5, 1), (5, 18)])
def test_what_is_detectable_is_detected_four_times_in_five(n, comparisons):
    gain = detectable(n, 0.7, comparisons=comparisons)
    samples = np.random.default_rng(1).normal(gain, 0.7, (20_000, n))
    found = stats.ttest_1samp(samples, 0, axis=1).pvalue < 0.05 / comparisons
    assert found.mean() == pytest.approx(0.8, abs=0.01)
