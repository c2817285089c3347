"""Paired tests against scipy's own, a linear model and simulations."""

import math
from dataclasses import astuple

import numpy as np
import pytest
from scipy import stats

from lixlib.lab.results import gains
from lixlib.lab.statistics import block, compare_with, contrast, detectable, differ, holm, paired, pooled


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


def test_a_contrast_of_two_methods_is_the_pooled_test():
    rng = np.random.default_rng(1)
    scores = {name: rng.normal(50, 1, 3) for name in ("student", "kd", "at", "lix")}
    found, expected = contrast(scores, {"lix": 1, "student": -1}), pooled(scores, "student")["lix"]
    for ours, theirs in zip(astuple(found), astuple(expected), strict=True):
        assert ours == pytest.approx(theirs)


def test_a_contrast_of_means_has_the_error_of_the_linear_model():
    rng = np.random.default_rng(2)
    names, seeds = ["a", "b", "c", "d"], 3
    y = rng.normal(50, 1, (4, 1)) + rng.normal(0, 2, (1, seeds)) + rng.normal(0, 0.3, (4, seeds))
    design = np.array(
        [
            [*(float(m == k) for k in range(4)), *(float(s == k) for k in range(1, seeds))]
            for m in range(4)
            for s in range(seeds)
        ]
    )
    beta, (rss,), rank, _ = np.linalg.lstsq(design, y.ravel(), rcond=None)
    c = np.array([0.5, 0.5, -0.75, -0.25, 0, 0])
    error = math.sqrt(c @ np.linalg.inv(design.T @ design) @ c * rss / (y.size - rank))
    found = contrast(dict(zip(names, y, strict=True)), dict(zip(names, c, strict=False)))
    assert found.mean == pytest.approx(c @ beta)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(c @ beta / error), y.size - rank), rel=1e-6)
    with pytest.raises(ValueError, match="add up to 0, these to 1"):
        contrast(dict(zip(names, y, strict=True)), {"a": 1})
    with pytest.raises(ValueError, match="a score of every seed"):
        contrast({"a": [1.0], "b": [1.0, 2.0]}, {"a": 1, "b": -1})


def test_differ_of_two_methods_is_the_paired_test():
    student, lix = [50.0, 51.0, 49.5], [51.0, 51.5, 51.5]
    found, t = differ([student, lix]), stats.ttest_rel(lix, student)
    assert found.f == pytest.approx(t.statistic**2) and found.p == pytest.approx(t.pvalue)
    assert found.deviation == pytest.approx(np.std(np.subtract(lix, student), ddof=1) / 2**0.5)


def test_differ_is_the_linear_model_with_and_without_methods():
    rng = np.random.default_rng(0)
    y = rng.normal(50, 1, (5, 1)) + rng.normal(0, 2, (1, 3)) + rng.normal(0, 0.5, (5, 3))
    seeds = np.tile(np.eye(3), (5, 1))
    methods = np.repeat(np.eye(5)[:, 1:], 3, axis=0)
    full, reduced = (np.linalg.lstsq(x, y.ravel(), rcond=None)[1][0] for x in (np.hstack([seeds, methods]), seeds))
    found = differ(y)
    assert found.f == pytest.approx((reduced - full) / 4 / (full / 8))
    assert found.p == pytest.approx(stats.f.sf(found.f, 4, 8)) and found.freedom == 8
    assert found.deviation == pytest.approx((full / 8) ** 0.5)
    tests = pooled(dict(enumerate(y)), 0)
    assert tests[1].deviation == pytest.approx(2**0.5 * found.deviation)


def test_differ_of_one_seed_or_one_method_is_unknown():
    for y in ([[50.0], [51.0]], [[50.0, 51.0]], np.zeros((0, 1))):
        found = differ(y)
        assert math.isnan(found.f) and math.isnan(found.p) and found.freedom == 0


@pytest.mark.parametrize(
    ("done", "shape"),
    [
        ({"a": 3, "b": 3, "c": 3}, (3, 3)),
        ({"a": 3, "b": 2, "c": 2, "d": 2}, (4, 2)),
        ({"a": 3, "b": 3, "c": 3, "d": 1}, (3, 3)),
        ({"a": 1, "b": 1, "c": 0}, (2, 1)),
        ({"a": 2, "b": 0}, (1, 2)),
        ({"a": 0}, (0, 1)),
        ({}, (0, 1)),
    ],
)
def test_the_largest_block_of_an_unfinished_grid(done, shape):
    runs = {m: {s: {"metrics": {"mIoU": 0.5, "mFsc": 0.01 * s}} for s in range(n)} for m, n in done.items()}
    scores, methods = block(runs, "mFsc")
    assert scores.shape == shape and methods == [m for m in done if done[m] >= shape[1]]
    assert scores.tolist() == [list(map(float, range(shape[1])))] * shape[0]


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
    assert found["kd"].interval == found["kd"].shared.interval and found["at"].interval == found["at"].own.interval
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
