"""The experiment "reversal": its contrasts and slopes on runs whose answer is known."""

import math

import numpy as np
import pytest

from lixlib.lab import reversal
from lixlib.lab.evidence import EVIDENCE
from lixlib.lab.reversal import CELLS, HEAVIER, LENGTHS, at, conclusion, minus, slope, written
from lixlib.lab.statistics import paired


def runs(seeds=3, start=0.0, step=0.0, noise=0.3, teacher=3.0):
    """Lines of all arms: what is heavier than DKD 1 is `start` ahead after 400 updates, and `step` more per doubling.

    Seeds of a length differ by what their teacher adds, which is another amount at each length.
    """
    random = np.random.default_rng(0)
    found = {}
    for doublings, updates in enumerate(LENGTHS):
        shared = random.normal(0, teacher, seeds)
        for arm, by_length in CELLS.items():
            ahead = 0.0 if arm in ("student", "DKD 1", "as published") else start + step * doublings
            iou = (50 + ahead + shared + random.normal(0, noise, seeds)) / 100
            found[by_length[updates]] = {
                seed: {"metrics": {"mIoU": v}, "per_class": {"road": [v + 0.1, v], "pole": [v - 0.1, v]}}
                for seed, v in enumerate(iou)
            }
    return found


def test_every_variant_has_its_place_and_the_lengths_double():
    assert {name for by in CELLS.values() for name in by.values()} == set(EVIDENCE["reversal"].variants)
    assert np.allclose(np.diff(np.log2(LENGTHS)), 1) and all(tuple(by) == LENGTHS for by in CELLS.values())
    assert sum(HEAVIER.values()) == 0 and set(HEAVIER) <= set(CELLS)


def test_a_slope_that_is_there_is_found_whatever_the_teachers_add():
    found = runs(start=-1.0, step=1.0, teacher=20.0)
    trend, ends = slope(found, HEAVIER), [at(found, HEAVIER, updates) for updates in (LENGTHS[0], LENGTHS[-1])]
    assert trend.mean == pytest.approx((ends[1].mean - ends[0].mean) / 2) == pytest.approx(1, abs=0.3)
    assert trend.interval[0] > 0 and ends[0].interval[1] < 0 < ends[1].interval[0]
    assert ends[0].deviation == pytest.approx(0.3 * 1.5**0.5, rel=0.3), "of 1, 1/2 and 1/2; no teacher's luck"
    assert "**the sign turns**" in conclusion(found)


def test_intervals_hold_the_truth_as_often_as_they_say():
    random, inside = np.random.default_rng(1), 0
    for _ in range(150):
        found = runs(seeds=2)
        for lines in found.values():
            for line in lines.values():
                line["metrics"] = {"mIoU": 0.5 + random.normal(0, 0.005)}
        low, high = slope(found, HEAVIER).interval
        inside += low < 0 < high
    assert 0.88 < inside / 150 < 0.99


def test_with_two_arms_at_one_length_it_is_the_paired_test():
    name, other = CELLS["DKD 10"][400], CELLS["DKD 1"][400]
    two = {n: lines for n, lines in runs(seeds=4).items() if n in (name, other)}
    gain = [100 * (two[name][s]["metrics"]["mIoU"] - two[other][s]["metrics"]["mIoU"]) for s in range(4)]
    ours, theirs = at(two, minus("DKD 10", "DKD 1"), 400), paired(gain)
    assert (ours.mean, ours.p, ours.deviation) == pytest.approx((theirs.mean, theirs.p, theirs.deviation))
    assert ours.interval == pytest.approx(theirs.interval)


def test_classes_are_told_apart():
    found = runs(start=1.0, noise=0.0)
    for updates in LENGTHS:
        for line in found[CELLS["DKD 10"][updates]].values():
            line["per_class"]["pole"][0] += 0.04
    ten = minus("DKD 10", "DKD 1")
    assert at(found, ten, 800, ["pole"]).mean == pytest.approx(5) and at(found, ten, 800, ["road"]).mean == (
        pytest.approx(1)
    )
    assert reversal.score({"per_class": {"road": [None, None], "pole": [0.2, 0.3]}}, ["road", "pole"]) == 20


def test_what_has_not_been_run_is_said_and_not_guessed(tmp_path):
    assert not any(reversal.read(tmp_path / "nothing").values())
    assert written(slope({}, HEAVIER)) == "not run yet" and "run yet" in conclusion({})
    found = runs() | {CELLS["DKD 10"][1600]: {}}
    assert slope(found, HEAVIER) is None and at(found, HEAVIER, 400) and "run yet" in conclusion(found)
    one = runs(seeds=1, start=2.0)
    assert math.isnan(slope(one, HEAVIER).p) and "(one seed)" in written(at(one, HEAVIER, 400))
    assert "nothing is concluded" in conclusion(one)


def test_seeds_that_have_begun_take_nothing_away_and_lend_their_scatter():
    found, more = runs(seeds=1), runs(seeds=3)
    for by in CELLS.values():
        found[by[400]] = more[by[400]]  # the first length has three seeds, the others have one
    trend, first, last = slope(found, HEAVIER), at(found, HEAVIER, 400), at(found, HEAVIER, 1600)
    assert (trend.n, first.n, last.n) == (1, 3, 1)
    assert np.ptp(last.interval) == pytest.approx(3**0.5 * np.ptp(first.interval))


def test_a_run_that_diverged_lends_nothing():
    found, lost = runs(), runs()
    line = lost[CELLS["DKD 10"][400]][2]
    line["metrics"], line["per_class"] = {"mIoU": None}, {name: [None, None] for name in line["per_class"]}
    assert math.isnan(reversal.score(line)) and math.isnan(reversal.score(line, ["pole"]))
    assert (at(lost, HEAVIER, 400).n, at(lost, HEAVIER, 1600).n) == (2, 3)
    for classes in ((), ("pole",)):
        two = {name: {s: each for s, each in lines.items() if s < 2} for name, lines in found.items()}
        assert at(lost, HEAVIER, 400, classes).mean == pytest.approx(at(two, HEAVIER, 400, classes).mean)
        assert np.isfinite(slope(lost, HEAVIER, classes).interval).all()


@pytest.mark.parametrize(
    ("start", "step", "sentence"),
    [
        (2.0, 1.0, "gains on less weight as training gets longer**; the sign is not shown to turn"),
        (0.0, -1.0, "loses ground as training gets longer"),
        (1.0, 0.0, "no change with the length is shown"),
    ],
)
def test_a_conclusion_says_what_its_intervals_allow(start, step, sentence):
    assert sentence in conclusion(runs(seeds=4, start=start, step=step))


def test_coefficients_of_a_length_add_up_to_nothing():
    with pytest.raises(ValueError, match="those of 400 updates to 1$"):
        reversal.contrast(runs(), {CELLS["DKD 1"][400]: 1.0, CELLS["DKD 1"][800]: -1.0})
