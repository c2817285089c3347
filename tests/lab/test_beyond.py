"""What chapter 14 computes, on runs whose answer is known, and on lines whose data nobody has here."""

import math

import numpy as np
import pytest

from lixlib.core.files import write_json_lines
from lixlib.lab import beyond, confusions, experiments
from lixlib.lab.inputs import Inputs
from lixlib.lab.main_table import OF_RGB, complete
from lixlib.lab.record import result_header


def line(miou, seed=0, method="kd", updates=1600, seconds=60.0, pole=None):
    by_class = {"road": [miou, miou], "pole": [miou if pole is None else pole, miou]}
    about = {"dataset": "toydrive", "network": "mfnet", "method": method, "seed": seed, "hyper": {}}
    return about | {"metrics": {"mIoU": miou}, "per_class": by_class, "updates": updates, "seconds": seconds}


def arms(**means):
    scatter = (0.0, 0.002, -0.002, 0.001)
    return {
        name: {s: line(m + (-1) ** n * e, s) for s, e in enumerate(scatter)}
        for n, (name, m) in enumerate(means.items())
    }


def cells(table):
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()[2:]]
    return {row[0]: row[1:] for row in rows}


class Read(Inputs):
    digest = "read elsewhere"


def test_lines_are_found_without_the_data(tmp_path):
    recipes = experiments.recipes("nyuv2-150", (0, 1))
    kept = [recipes["KD"][0], recipes["KD"][1], recipes["RGB teacher"][0]]
    scored = {"metrics": dict.fromkeys(("mIoU", "fwIoU", "mFsc", "fwFsc"), 0.2), "updates": 1110}
    lines = [{**result_header(Read(recipe)), **scored} for recipe in kept]
    write_json_lines(tmp_path / "nyuv2" / "mfnet.jsonl", lines)
    found = beyond.read_without_data("nyuv2-150", tmp_path)
    there = {name: sorted(by_seed) for name, by_seed in found.items() if by_seed}
    assert there == {"KD": [0, 1], "RGB teacher": [0]} and len(found) == 9
    assert found["KD"][1]["seed"] == 1
    assert not any(beyond.read_without_data("nyuv2-150", tmp_path / "nowhere").values())


def test_the_same_lines_as_with_the_data():
    ours = beyond.read_without_data("is-it-x", "results/evidence")
    theirs = experiments.read("is-it-x", "results/evidence", (0, 1, 2, 3, 4, 5))
    assert ours == theirs and any(ours.values())


def test_the_table_has_both_intervals_and_a_dash_for_what_is_not_known(tmp_path):
    runs = arms(teacher=0.3, student=0.2, KD=0.25) | {"DIST": {}}
    random = np.random.default_rng(0)
    for name, by_seed in runs.items():
        for seed, each in by_seed.items():
            right = int(1000 * each["metrics"]["mIoU"]) + random.integers(0, 20, 8)
            matrices = [[[r, 1000 - r], [1000 - r, r]] for r in right]
            confusions.write(tmp_path / "c" / f"{name}{seed}.npz", list("abcdefgh"), np.array(matrices))
            each["confusion"] = f"c/{name}{seed}.npz"
    rows = cells(beyond.gain_table(complete(runs), "student", tmp_path, 200))
    assert list(rows) == ["teacher", "student", "KD"]
    assert rows["KD"][:3] == ["25.0 ± 0.2", "4", "**+5.0**"] and rows["KD"][5] == "50 %"
    low, high = map(float, rows["KD"][3].split(" to "))
    assert low < 5 < high and " to " in rows["KD"][4]
    assert rows["student"][2:] == ["–"] * 4
    del runs["KD"][0]["confusion"]
    assert cells(beyond.gain_table(complete(runs), "student", tmp_path, 200))["KD"][4] == "–"


def test_x_gains_name_what_is_missing(tmp_path):
    taught = arms(KD=0.25, **{"KD" + OF_RGB: 0.22, "DIST": 0.3}) | {"DIST" + OF_RGB: {}}
    rows = cells(beyond.x_table(taught, tmp_path, 200))
    assert list(rows) == ["KD", "DIST"]
    assert rows["KD"][2:4] == ["4", "**+3.0**"] and rows["KD"][5] == "–" and rows["KD"][6] == "< 0.001"
    assert rows["DIST"] == ["30.0 ± 0.2", *["–"] * 6]


def diverged(runs, arm, seed):
    """The runs, but with one that diverged."""
    lost = {"metrics": {"mIoU": None}, "per_class": {name: [None, None] for name in ("road", "pole")}}
    return runs | {arm: runs[arm] | {seed: runs[arm][seed] | lost}}


def test_a_run_that_diverged_is_counted_and_has_no_score(tmp_path):
    runs = diverged(arms(teacher=0.3, student=0.2, KD=0.25, DIST=0.3), "teacher", 1)
    for seed in range(4):
        runs = diverged(runs, "DIST", seed)
    rows = cells(beyond.gain_table(complete(runs), "student", tmp_path, 200))
    assert rows["teacher"][:2] == ["30.0 ± 0.2", "4, 1 diverged"]
    assert list(rows)[-1] == "DIST" and rows["DIST"][:3] == ["diverged", "4, 4 diverged", "–"]
    taught = arms(KD=0.25, **{"KD" + OF_RGB: 0.22})
    rows = cells(beyond.x_table(diverged(taught, "KD", 1), tmp_path, 200))
    assert rows["KD"][0] == "25.0 ± 0.2" and rows["KD"][2:] == ["1", "+3.0", "–", "–", "–"], "no test"
    lengths = diverged(arms(**{"student, 1600 updates": 0.5, "KD, 1600 updates": 0.5}), "student, 1600 updates", 0)
    assert len(beyond.lengths(lengths, {})["student"][0].scores) == 3


def test_a_part_of_a_gain_that_was_not_run_is_nan():
    runs = {"student": {0: line(0.5)}, "KD": {0: line(0.6)}, "KD" + OF_RGB: {}}
    assert all(math.isnan(part) for part in beyond.parts_of_gain(runs, "KD").values())
    assert all(math.isnan(part) for part in beyond.parts_of_gain({}, "KD").values())


def test_the_parts_of_a_gain_add_up():
    taught = {
        "student": {0: line(0.5, pole=0.1)},
        "KD" + OF_RGB: {0: line(0.52, pole=0.2)},
        "KD": {0: line(0.6, pole=0.2)},
    }
    parts = beyond.parts_of_gain(taught, "KD")
    assert parts == pytest.approx({beyond.SECOND: (2 + 10) / 2, beyond.OF_X: (8 + 0) / 2})
    assert beyond.parts_of_gain(taught, "KD", classes=["pole"]) == pytest.approx({beyond.SECOND: 10, beyond.OF_X: 0})


def test_computation_counts_the_teacher():
    runs = {
        "student, 1600 updates": {0: line(0.5), 1: line(0.52, 1, seconds=70.0)},
        "student, 6400 updates": {0: line(0.55, updates=6400)},
        "teacher, 1600 updates": {0: line(0.7, seconds=90.0), 1: line(0.7, 1, seconds=105.0)},
        "KD, 1600 updates": {0: line(0.54)},
        "DIST, 1600 updates": {0: line(0.56)},
        "KD, 6400 updates": {},
    }
    found = beyond.lengths(runs, {"KD": 2.5})
    assert [(each.updates, each.computation) for each in found["student"]] == [(1600, 1600), (6400, 6400)]
    assert found["student"][0].scores == [50, 52]
    assert found["KD"] == [(1600, (2.5 + 1.5) * 1600, [54])] and math.isnan(found["DIST"][0].computation)
    del runs["teacher, 1600 updates"]
    assert math.isnan(beyond.lengths(runs, {"KD": 2.5})["KD"][0].computation)
