"""The main table: which arms it has, who is told apart, and what is recommended, on runs whose answer is known."""

import math

import numpy as np
import pytest

from lixlib.lab import confusions, main_table
from lixlib.lab.advice import NOTHING, recommendation
from lixlib.lab.contrasts import dunnett
from lixlib.lab.evidence import SAME_COMPUTE
from lixlib.lab.main_table import OURS

WEIGHTS = {"OURS": 60.0, "DIST": 57.0, "KD": 54.0}
METHOD = {"LIX, ours": "lix-ours", "LIX, as published": "lix"}


def centred(values):
    return values - values.mean()


def runs(seeds=6, rare=0.0, **means):
    """Lines by arm and seed: means in % with a scatter of 0.3; the pole's IoU is `rare` points above that of road."""
    random = np.random.default_rng(0)
    shared = centred(random.normal(0, 2, seeds))
    found = {}
    for name, mean in means.items():
        name = {"OURS": OURS, "LONG": SAME_COMPUTE, "RGB": "RGB teacher"}.get(name, name)
        count = mean[1] if isinstance(mean, tuple) else seeds
        middle = mean[0] if isinstance(mean, tuple) else mean
        values = (middle + shared + centred(random.normal(0, 0.3, seeds))) / 100
        by_class = [{"road": [v - rare / 200, v], "pole": [v + rare / 200, v]} for v in values]
        method = METHOD.get(name, name.lower())
        found[name] = {
            seed: {
                "dataset": "toydrive",
                "network": "mfnet",
                "method": method,
                "seed": seed,
                "hyper": {},
                "metrics": {"mIoU": values[seed]},
                "per_class": by_class[seed],
            }
            for seed in range(count)
        }
    return found


ALL = {"teacher": 72.0, "RGB": 53.0, "student": 51.0, "LONG": 55.0, **WEIGHTS}


def cells(table):
    rows = [[cell.strip(" *") for cell in row.split("|")[1:-1]] for row in table.splitlines()[2:]]
    return {row[0]: row[1:] for row in rows}


def test_the_family_decides_who_is_compared_and_all_say_how_scores_scatter():
    y = {name: [100 * line["metrics"]["mIoU"] for line in lines.values()] for name, lines in runs(**ALL).items()}
    some, all_of_them = dunnett(y, OURS, ["KD", "DIST"]), dunnett(y, OURS)
    assert list(some) == ["DIST", "KD"] and len(all_of_them) == len(y) - 1
    assert some["KD"].deviation == all_of_them["KD"].deviation and some["KD"].mean == all_of_them["KD"].mean
    assert np.ptp(some["KD"].interval) < np.ptp(all_of_them["KD"].interval), "two tests pay less than six"


def test_the_table_has_baselines_first_and_then_the_methods_by_score():
    found = main_table.table(runs(rare=4.0, **ALL), cost={"KD": 2.9, OURS: 3.31})
    assert found.startswith("| | mIoU, % | seeds | gain over student, four times |")
    rows = cells(found)
    assert list(rows) == ["teacher", "RGB teacher", "student", SAME_COMPUTE, OURS, "DIST", "KD"]
    assert f"| **{OURS}** |" in found and rows[OURS][1:3] == ["6", "+5.0"]
    low, high = map(float, rows[OURS][3].split(" to "))
    assert 4 < low < 5.0 < high < 6 and rows["teacher"][3] == rows[SAME_COMPUTE][2] == "–"
    assert rows[OURS][6] == "43 %" and rows["student"][6] == rows["teacher"][6] == "–"
    assert [rows[name][7] for name in ("KD", OURS, "DIST")] == ["2.9", "3.3", "–"]
    assert {row[8] for row in rows.values()} == {"–"}, "E1 has not been run"


def test_common_and_rare_classes_are_told_apart():
    both = runs(**ALL)
    for line in both["KD"].values():
        line["per_class"]["pole"][0] += 0.06
        line["per_class"]["road"][0] -= 0.02
    common, rare = main_table.split(both, "KD", "student")
    gain = np.mean([100 * (both["KD"][s]["metrics"]["mIoU"] - both["student"][s]["metrics"]["mIoU"]) for s in range(6)])
    assert (common, rare) == (pytest.approx(gain - 2), pytest.approx(gain + 6))
    assert math.isnan(main_table.split(both, "KD", "student", rare=["lamp"])[1])


def test_who_is_first_is_claimed_by_the_declared_test_alone():
    first = main_table.first
    assert first(runs(**ALL)) == (
        "**LIX, ours** has the highest mean: 60.0 %, and *DIST* 57.0 %. By Dunnett's test, *LIX, ours* is better than "
        "*DIST*, *KD*."
    )
    told = first(runs(**{**ALL, "OURS": 57.1}))
    assert told.endswith("*LIX, ours* is better than *KD*; not told apart from *DIST*.")
    told = first(runs(**{**ALL, "OURS": 55.0}))
    assert "*LIX, ours* has place 2 of 3." in told
    assert told.endswith("*LIX, ours* is better than *KD*; worse than *DIST*.")
    assert first(runs(seeds=1, **ALL)).endswith("With one seed, nothing can be said about luck.")
    assert first(runs(teacher=70.0)) == "No method has been run yet."
    assert first(runs(student=50.0, KD=51.0)) == "*KD* is the only method that has been run yet."
    assert first(runs(student=50.0, KD=51.0, DIST=52.0)).endswith("*LIX, ours* has not been run yet.")


def test_an_unfinished_experiment_is_shown_as_far_as_it_is():
    asked = runs(**{**ALL, "DIST": (57.0, 5), "OURS": (60.0, 6)}, NST=(55.0, 1)) | {"SP": {}}
    assert main_table.missing(asked) == ["SP"]
    found = main_table.complete(asked)
    assert {name: len(lines) for name, lines in found.items() if len(lines) < 6} == {"NST": 1, "DIST": 5}
    rows = cells(main_table.table(found))
    assert rows["NST"][3] == rows["DIST"][3] == "–" and rows["KD"][3] != "–"
    few = main_table.complete(runs(student=(51.0, 6), LONG=(55.0, 5), KD=(56.0, 5), OURS=(57.0, 5)))
    assert {len(lines) for lines in few.values()} == {5}, "a sixth seed of one arm is not in its mean"
    assert main_table.complete({"KD": {}}) == {}
    alone = runs(student=51.0, KD=54.0)
    assert main_table.control_of(alone) == "student" and "gain over student |" in main_table.table(alone)


def test_a_run_that_diverged_is_a_row_that_says_so():
    asked = runs(**ALL, SP=55.0, NST=53.0)
    lost = [asked["NST"][2], *asked["SP"].values()]
    for line in lost:
        line["metrics"]["mIoU"] = None
    found = main_table.complete(asked)
    assert list(main_table.against(found, SAME_COMPUTE)) == [OURS, "DIST", "KD"]
    text = main_table.table(found)
    rows = cells(text)
    assert list(rows)[-2:] == ["NST", "SP"], "what has no score is last"
    assert rows["SP"] == ["diverged", "6, 6 diverged", *["–"] * 7]
    assert rows["NST"][1] == "6, 1 diverged" and rows["NST"][3] == "–"
    whole = {name: lines for name, lines in found.items() if name not in ("NST", "SP")}
    assert cells(main_table.table(whole)) == {name: row for name, row in rows.items() if name not in ("NST", "SP")}
    assert "*SP*" not in main_table.first(found) and "*SP*" not in recommendation(found)
    for line in asked[SAME_COMPUTE].values():
        line["metrics"]["mIoU"] = None
    assert main_table.control_of(main_table.complete(asked)) == "student"


def test_a_method_that_scatters_more_than_twice_as_much_is_named_with_its_own_interval():
    both = runs(**ALL, SP=55.0, AT=55.5)
    for seed, line in both["AT"].items():
        line["metrics"]["mIoU"] += 0.03 * (-1) ** seed
    found = main_table.unlike(both, SAME_COMPUTE)
    assert list(found) == ["AT"] and found["AT"].deviation > 3
    assert main_table.unlike({}, "student") == {}


def test_the_gain_over_seeds_and_images_needs_two_seeds_and_their_matrices(tmp_path):
    both = runs(seeds=2, KD=54.0, student=51.0, NST=(50.0, 1))
    assert main_table.over_images(both, "NST", "student", tmp_path) is None
    assert main_table.over_images(both, "KD", "student", tmp_path) is None, "its lines name no matrices"
    for name, hits in (("KD", 8), ("student", 6)):
        for seed, line in both[name].items():
            line["confusion"] = f"{name}{seed}.npz"
            matrices = np.tile([[10, 0], [10 - hits, hits]], (4, 1, 1))
            confusions.write(tmp_path / line["confusion"], ["a", "b", "c", "d"], matrices)
    found = main_table.over_images(both, "KD", "student", tmp_path, draws=200)
    assert (found.seeds, found.images) == (2, 4)
    assert found.mean == pytest.approx(50 * (10 / 12 + 0.8 - 10 / 14 - 0.6)) == pytest.approx(found.interval[0])


def test_an_experiment_without_a_folder_has_arms_without_lines(tmp_path):
    found = main_table.read("main", tmp_path / "none")
    assert {"teacher", SAME_COMPUTE, OURS} < set(found) and not any(found.values())
    assert main_table.read("main", tmp_path) == found, "and a folder without a line"


def test_runs_by_title():
    both = runs(student=50.0, KD=52.0, LIX=53.0) | {"SP": {}}
    both = {name.lower(): lines for name, lines in both.items()}
    for line in both["lix"].values():
        line["hyper"] = {"feature": {"samples": "channels"}}
    assert list(main_table.by_title(both)) == ["student", "KD", "LIX, former"]


def test_x_gains_are_corrected_for_their_number():
    both = runs(teacher=72.0, KD=57.0, DIST=58.0, SP=55.0, **{f"{n}, RGB teacher": 54.0 for n in ("KD", "DIST")})
    found = main_table.x_gains({**both, "SP, RGB teacher": {}})
    assert list(found) == ["KD", "DIST"]
    assert found["KD"].test.mean == pytest.approx(3, abs=0.3) and found["KD"].p >= found["KD"].test.p
    assert [row.count("**+") for row in main_table.table(both, found).splitlines()[2:]][1:3] == [1, 1]
    assert main_table.x_gains({"KD": {}}) == {}


def test_the_box_says_what_was_measured():
    former = runs(student=40.0, KD=42.0)
    for line in former["student"].values():
        line["per_class"]["pole"][0] = 0.01
    both = runs(rare=4.0, **ALL)
    box = cells(recommendation(both, former=former, cost={"KD": 2.9}))
    assert list(box) == [
        "labels alone",
        "recordings of RGB and X, too",
        "rare classes that matter",
        "little time: leave",
    ]
    assert box["labels alone"][0].startswith(
        "Train longer first: four times the updates change mIoU by +4.0 points (+3."
    )
    told = box["recordings of RGB and X, too"][0]
    assert told.startswith("LIX, ours**: +5.0 points over *student, four times* (+4.")
    assert "Not told apart" not in told and told.endswith("comes from X has not been measured yet.")
    assert "53 % on them, and had 1 % in the former regime" in box["rare classes that matter"][0]
    assert box["little time: leave"][0] == "Worse than *student, four times*: *KD*."


def test_lines_without_their_classes_have_a_gain_all_the_same():
    both = runs(**ALL)
    for line in both["KD"].values():
        del line["per_class"]
    for line in both["DIST"].values():
        del line["per_class"]["pole"]
    rows = cells(main_table.table(both))
    assert rows["KD"][2] == "-1.0" and rows["KD"][4:6] == ["–", "–"]
    assert rows["DIST"][4] != "–" and rows["DIST"][5] == "–"
    assert "**LIX, ours**" in recommendation(both, former={"student": both["KD"]})


def test_the_box_follows_another_outcome():
    level = runs(teacher=72.0, student=51.0, LONG=50.0, OURS=57.0, DIST=57.1, KD=50.1)
    names = ("DIST", "LIX, ours")
    x_gain = main_table.x_gains(level | {f"{name}, RGB teacher": runs(KD=53.0)["KD"] for name in names})
    box = cells(recommendation(level, x_gain=x_gain, cost={"DIST": 3.2, OURS: 3.0}))
    assert box["labels alone"][0].startswith("Longer is not better here")
    told = box["recordings of RGB and X, too"][0]
    assert told.startswith("DIST**: +7.") and "Not told apart from it: *LIX, ours*." in told
    assert "cheapest step of these is that of *LIX, ours*: 3.0 of a student's" in told
    assert "The X of its teacher is worth +" in told
    assert box["little time: leave"][0].endswith("who needs no teacher: *KD*.")
    nobody = cells(recommendation(runs(student=51.0, LONG=55.0, KD=55.1, DIST=50.0)))
    assert nobody["recordings of RGB and X, too"][0].startswith("Train longer first: no method is better")


def test_the_box_of_too_little_says_so():
    assert recommendation({}) == recommendation(runs(teacher=70.0, student=50.0)) == NOTHING
    box = cells(recommendation(runs(seeds=1, student=51.0, KD=54.0)))
    assert "has not been run yet" in box["labels alone"][0] and "Not known yet" in box["little time: leave"][0]
    assert "one seed says nothing about luck" in box["recordings of RGB and X, too"][0]
