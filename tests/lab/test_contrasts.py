"""Dunnett's test against tables, other programs and simulations; the bootstrap over seeds and images against truth."""

import math

import numpy as np
import pytest
import scipy
import torch

from lixlib.lab import confusions, contrasts, results
from lixlib.lab.contrasts import bootstrap_gain, bootstrap_rates, dunnett, miou_of
from lixlib.lab.statistics import paired, pooled
from lixlib.metrics import scores

# Dunnett (1964), two-sided, 5 %, by degrees of freedom: the critical |t| of 1, 2, ... methods against a control
TABLE = {
    5: (2.57, 3.03, 3.29, 3.48, 3.62, 3.73, 3.82, 3.90, 3.97),
    10: (2.23, 2.57, 2.76, 2.89, 2.99, 3.07, 3.14, 3.19, 3.24),
    20: (2.09, 2.38, 2.54, 2.65, 2.73, 2.80, 2.86, 2.90, 2.95),
}


@pytest.mark.parametrize("freedom", TABLE)
def test_critical_values_are_those_of_the_published_table(freedom):
    found = [contrasts._critical(0.05, methods, freedom) for methods in range(1, 10)]
    assert found == pytest.approx(TABLE[freedom], abs=0.0051)


def test_p_values_are_those_of_other_programs():
    random = np.random.default_rng(0)
    groups = [random.normal(mean, 1, 6) for mean in (0, 0.5, 1.0, 1.4)]
    other = scipy.stats.dunnett(*groups[1:], control=groups[0], random_state=0)  # for groups: n - 1 more freedom
    ours = [contrasts._beyond(abs(t), 3, 20) for t in other.statistic]
    assert ours == pytest.approx(other.pvalue, abs=2e-4)
    both = scipy.stats.multivariate_t(shape=[[1, 0.5], [0.5, 1]], df=7, seed=0)
    inside = both.cdf([1.7, 1.7], lower_limit=[-1.7, -1.7])
    assert contrasts._beyond(1.7, 2, 7) == pytest.approx(1 - inside, abs=1e-4)
    for t, freedom in ((0.0, 4), (2.0, 1), (20.0, 5), (8.0, 95)):
        assert contrasts._beyond(t, 1, freedom) == pytest.approx(2 * scipy.stats.t.sf(t, freedom), rel=1e-6)


def test_one_method_against_the_control_is_the_paired_test():
    y = {"student": [50.0, 51.5, 49.0, 52.0], "KD": [51.0, 53.0, 49.5, 52.2]}
    (found,) = dunnett(y, "student").values()
    alone = paired(np.subtract(y["KD"], y["student"]))
    assert (found.n, found.mean, found.p) == (4, pytest.approx(alone.mean), pytest.approx(alone.p))
    assert found.interval == pytest.approx(alone.interval) and found.deviation == pytest.approx(alone.deviation)


def test_many_methods_pay_for_their_number_but_less_than_bonferroni():
    random = np.random.default_rng(1)
    y = {f"m{i}": random.normal(50 + i / 2, 0.5, 6) + [0, 3, -2, 5, 1, 4] for i in range(5)}
    found, plain = dunnett(y, "m0"), pooled(y, "m0")
    assert list(found) == ["m1", "m2", "m3", "m4"]
    for name, test in found.items():
        assert plain[name].p < test.p < 4 * plain[name].p
        (low, high), (inner, _) = test.interval, plain[name].interval
        assert low < inner and low + high == pytest.approx(2 * test.mean)
        assert (test.p < 0.05) == (not low <= 0 <= high), "test and interval say the same"


def test_a_false_alarm_among_all_methods_is_as_rare_as_is_said():
    alarms, random = 0, np.random.default_rng(2)
    reach = contrasts._critical(0.05, 5, 20)
    for _ in range(2000):
        y = random.normal(size=(6, 5)) + 10 * random.normal(size=5)  # seeds differ much more than methods
        tests = pooled(dict(enumerate(y)), 0).values()
        alarms += any(abs(test.mean) / test.deviation * math.sqrt(5) > reach for test in tests)
    assert 0.037 < alarms / 2000 < 0.064  # 0.05, and three of its standard errors


def test_what_dunnett_cannot_test():
    with pytest.raises(ValueError, match="control is 'x': give one of a, b"):
        dunnett({"a": [1.0], "b": [2.0]}, "x")
    with pytest.raises(ValueError, match="every method needs a score of every seed"):
        dunnett({"a": [1.0], "b": [2.0, 3.0]}, "a")
    assert math.isnan(dunnett({"a": [1.0], "b": [2.0]}, "a")["b"].p) and dunnett({"a": [1.0, 2.0]}, "a") == {}
    exact = dunnett({"a": [1.0, 2.0], "b": [2.0, 3.0]}, "a")["b"]
    assert (exact.p, exact.interval) == (0.0, (1.0, 1.0))


def test_the_miou_of_some_classes():
    confusion = torch.randint(0, 50, (4, 5, 5), generator=torch.Generator().manual_seed(0))
    confusion[0, 2] = confusion[0, :, 2] = 0
    assert miou_of(confusion).tolist() == pytest.approx([scores(each)["mIoU"] for each in confusion])
    iou = scores(confusion[1])["IoU"]
    assert miou_of(confusion[1], [0, 3]) == pytest.approx((iou[0] + iou[3]) / 2)
    assert miou_of(confusion[0], [1, 2]) == pytest.approx(scores(confusion[0])["IoU"][1]), "class 2 does not occur"
    assert math.isnan(miou_of(confusion[0], [2]))
    by_hand = [[3, 1], [0, 4]]
    assert miou_of(by_hand) == pytest.approx((3 / 4 + 4 / 5) / 2)
    with pytest.raises(ValueError, match=r"confusion must be \(..., C, C\), found \(2, 3\)"):
        miou_of(np.ones((2, 3)))
    for wrong in ([], [5], [-1]):
        with pytest.raises(ValueError, match=r"classes is \[.*\]: give some of 0..4"):
            miou_of(confusion, wrong)


def recalls(values):
    """Matrices whose IoU of class 1 is the mean of the values over the images. **Shapes**: (n, N) -> (n, N, 2, 2)."""
    hits = np.rint(10_000 * np.clip(values, 0, 1)).astype(int)
    found = np.zeros((*hits.shape, 2, 2), dtype=int)
    found[..., 1, 1], found[..., 1, 0], found[..., 0, 0] = hits, 10_000 - hits, 5_000
    return found


def test_a_gain_by_hand():
    theirs, ours = recalls([[0.5, 0.3], [0.6, 0.4]]), recalls([[0.6, 0.4], [0.7, 0.5]])
    found = bootstrap_gain(ours, theirs, [1])
    assert (found.seeds, found.images, found.mean) == (2, 2, pytest.approx(10))
    assert found.interval == pytest.approx((10, 10)), "every seed and image gains the same"
    both = bootstrap_gain(ours, theirs)
    assert both.mean == pytest.approx(100 * float((miou_of(ours.sum(1)) - miou_of(theirs.sum(1))).mean()))
    assert bootstrap_gain(theirs, theirs).interval == (0, 0)


def test_seeds_that_differ_give_the_t_interval():
    gains = np.array([0.01, 0.05, 0.02, 0.08, 0.04, 0.03])
    same = np.ones((1, 50))
    found = bootstrap_gain(recalls(0.5 + gains[:, None] * same), recalls(0.5 * np.ones((6, 50))), [1], draws=20_000)
    assert found.interval == pytest.approx(paired(100 * gains).interval, abs=0.35)


def test_images_that_differ_give_the_normal_interval():
    gains = np.random.default_rng(0).normal(0.05, 0.04, 100)
    found = bootstrap_gain(recalls(0.5 + gains + np.zeros((6, 1))), recalls(0.5 * np.ones((6, 100))), [1], draws=20_000)
    reach = 196 * gains.std() / 10
    assert found.interval == pytest.approx((found.mean - reach, found.mean + reach), abs=0.03)
    assert found == bootstrap_gain(
        recalls(0.5 + gains + np.zeros((6, 1))), recalls(0.5 * np.ones((6, 100))), [1], draws=20_000
    )


def test_the_interval_covers_the_true_gain():
    covered = {"both": 0, "seeds alone": 0}
    for repetition in range(200):
        random = np.random.default_rng(repetition)
        shared = random.normal(0, 0.1, 60)
        ours, theirs = (
            recalls(
                mean
                + shared
                + random.normal(0, 0.02, (6, 1))  # of a seed
                + random.normal(0, 0.05, 60)  # of an image, whatever the seed
                + random.normal(0, 0.03, (6, 60))
            )
            for mean in (0.6, 0.5)
        )
        low, high = bootstrap_gain(ours, theirs, [1], draws=200).interval
        covered["both"] += low <= 10 <= high
        seeds = paired(100 * (miou_of(ours.sum(1), [1]) - miou_of(theirs.sum(1), [1]))).interval
        covered["seeds alone"] += seeds[0] <= 10 <= seeds[1]
    assert 0.93 <= covered["both"] / 200
    assert covered["seeds alone"] / 200 < 0.93, "what seeds alone say is too sure"


def test_what_no_gain_can_be_made_of():
    matrices = recalls(0.5 * np.ones((3, 4)))
    for ours, theirs, options, match in (
        (matrices[0], matrices, {}, r"ours must be \(seeds, images, C, C\), found \(4, 2, 2\)"),
        (matrices[:1], matrices[:1], {}, "1 seeds and 4 images: an interval over both needs at least two"),
        (matrices, matrices[:, :, ::-1], {}, "true pixels differ"),
        (matrices, matrices[:2], {}, r"\(3, 4, 2, 2\) .* \(2, 4, 2, 2\)"),
        (matrices, matrices, {"draws": 5}, "draws is 5"),
        (matrices, matrices, {"classes": [2]}, r"classes is \[2\]"),
    ):
        with pytest.raises(ValueError, match=match):
            bootstrap_gain(ours, theirs, **options)


def test_rates_have_the_interval_of_seeds_or_of_images():
    ones = np.ones((1, 4, 50))
    seeds = np.array([0.2, 0.5, 0.1, 0.4])
    (found,) = bootstrap_rates((seeds[None, :, None] * ones, ones), (0 * ones, ones), draws=20_000)
    alone = paired(seeds)
    assert found.mean == pytest.approx(alone.mean) and found.interval == pytest.approx(alone.interval, abs=0.03)
    images = np.random.default_rng(0).normal(1, 1, 50)
    (found,) = bootstrap_rates((images * ones, ones), (0 * ones, ones), draws=20_000)
    reach = 1.96 * images.std() / 50**0.5
    assert found.interval == pytest.approx((images.mean() - reach, images.mean() + reach), abs=0.02)
    assert (found.seeds, found.images) == (4, 50)


def test_a_rate_is_a_sum_over_a_sum_and_many_at_once_are_wider():
    random = np.random.default_rng(2)
    of = random.integers(1, 9, (3, 2, 30)).astype(float)
    of[2] = 0
    hits = random.random(of.shape) * of
    found = bootstrap_rates((hits, of), (0.5 * of, of))
    assert found[0].mean == pytest.approx((hits[0].sum(1) / of[0].sum(1)).mean() - 0.5)
    assert (found[2].mean, found[2].interval) == (0, (0, 0)), "a rate of nothing"
    wide = bootstrap_rates((hits, of), (0.5 * of, of), at_once=5)
    assert wide[0].mean == found[0].mean
    assert wide[0].interval[0] < found[0].interval[0] and found[0].interval[1] < wide[0].interval[1]


def test_what_no_rates_can_be_made_of():
    ones = np.ones((1, 3, 9))
    for ours, theirs, options, words in (
        ((ones, ones), (ones, ones[:, :2]), {}, r"all alike, found .*\(1, 2, 9\)"),
        ((ones[:, :1], ones[:, :1]), (ones[:, :1], ones[:, :1]), {}, "1 seeds and 9 images"),
        ((ones, ones), (ones, ones), {"at_once": 11}, "2000: give at least 200 for each of 11"),
    ):
        with pytest.raises(ValueError, match=words):
            bootstrap_rates(ours, theirs, **options)


def test_the_matrices_of_a_methods_seeds(tmp_path):
    line = {"dataset": "toydrive", "network": "mfnet", "method": "kd", "seed": 0, "confusion": "a.npz"}
    matrices = recalls(np.array([[0.5, 0.25]]))[0]
    confusions.write(tmp_path / "a.npz", ["one", "two"], matrices)
    confusions.write(tmp_path / "b.npz", ["two", "one"], matrices)
    assert np.array_equal(contrasts.stacked([line, line], tmp_path), [matrices, matrices])
    assert results.images(line, tmp_path) == ["one", "two"]
    for lines in ([], [line, line | {"confusion": "b.npz"}]):
        with pytest.raises(ValueError, match=f"{len(lines)} runs, and not all of the same images"):
            contrasts.stacked(lines, tmp_path)
