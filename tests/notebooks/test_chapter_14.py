"""Chapter 14: what its prose says of the results is so, and the lines that it reads belong together."""

import numpy as np
import pytest
import torch
from notebook_code import definitions

from lixlib.core.files import read_json_lines
from lixlib.lab import beyond, experiments, growth, main_table
from lixlib.lab.main_table import OF_RGB, OURS, SAME_COMPUTE
from lixlib.lab.results import class_gains, gains
from lixlib.lab.statistics import compare_with, verdict
from lixlib.metrics import scores
from tools.dev.execute_notebooks import FOLDER
from tools.studies.transfer import COMMON

RESULTS = FOLDER.parent / "results"
TRANSFER = RESULTS / "transfer"


def test_a_traffic_lights_x_arrives_and_a_poles_does_not():
    taught = main_table.read("is-it-x", RESULTS / "evidence")
    known, arrives = (
        class_gains(taught, "teacher", against="RGB teacher"),
        class_gains(taught, OURS, against=OURS + OF_RGB),
    )
    share = {name: arrives[name] / known[name] for name in arrives}
    assert max(share, key=share.get) == "traffic light" and share["traffic light"] > 0.5
    assert min(share, key=share.get) == "pole" and share["pole"] < 0.2
    parts = beyond.parts_of_gain(taught, OURS)
    assert parts[beyond.OF_X] > 0.5 * sum(parts.values()) > 0, "nearly all of the bar is X"


def test_the_first_page_and_its_answer():
    folder = RESULTS / "evidence"
    runs = main_table.complete(main_table.read("main", folder))
    rival = main_table.against(runs, SAME_COMPUTE)[OURS]
    assert rival.interval[0] < 0 < rival.interval[1], "our best student cannot be told from one four times as long"
    cost = main_table.costs(read_json_lines(RESULTS / "cost/regime/toydrive/mfnet.jsonl"))
    spent = beyond.lengths(main_table.read("length", folder), cost)
    short, long = spent[OURS][0], spent["student"][-1]
    assert long.updates == 4 * short.updates and short.computation == pytest.approx(long.computation, rel=0.1)


def test_the_rgb_teacher_of_rooms_is_the_student():
    rooms = beyond.read_without_data("nyuv2-150", RESULTS / "evidence")
    assert set(gains(rooms, "RGB teacher").values()) == {0.0}


def test_what_the_former_regime_is_said_to_show():
    former = {name: experiments.read(name, RESULTS / "experiments") for name in ("auxiliary", "x", "faults", "methods")}
    ways = compare_with(former["auxiliary"], "KD")
    assert {verdict(ways[name]) for name in ("predicts X", "pretrained on X")} == {"worse"}
    taught = compare_with({name: former["x"][name] for name in former["x"] if name.startswith("KD")}, "KD, disparity")
    assert {verdict(test) for test in taught.values()} == {"not told apart"}
    teachers = [main_table.score(former["x"], name) for name in former["x"] if name.startswith("teacher")]
    students = [main_table.score(former["x"], name) for name in former["x"] if name.startswith("KD")]
    assert np.ptp(teachers) > 5 * np.ptp(students), "the teachers differ, their students hardly do"
    assert min(students) > main_table.score(former["methods"], "student")


def test_the_rival_of_every_family_is_a_student():
    lines = {
        name: experiments.read(name, RESULTS / "experiments") for name in ("auxiliary", "unlabelled", "x", "faults")
    }
    rivals = {"auxiliary": "KD", "unlabelled": "KD, 0", "x": "KD, disparity", "faults": "clean"}
    assert all(line["method"] == "kd" for name, rival in rivals.items() for line in lines[name][rival].values())


def test_images_and_pixels_are_what_one_pays_for():
    lines = read_json_lines(RESULTS / "benchmark" / "growth.jsonl")
    found = growth.slopes(lines)
    time = {name: found[words]["time"] for name, words in growth.OF_STEP.items()}
    assert min(time["batch"], time["pixels"]) > 0.7 > 0.4 > time["classes"]
    assert max(abs(time["taps"]), abs(time["unlabelled"])) < 0.1
    own = growth.by_series(lines)
    steeper = definitions("14_beyond_the_paper")["steeper"]
    local = [steeper(*pair) for pair in zip(own["pixels"], own["pixels"][1:], strict=False)]
    assert local == sorted(local) and local[0] < 1 < local[-1], "the line bends upwards"
    assert own["batch"][2]["x"] == 8, "what the bill starts from"


@pytest.mark.parametrize("steepness", [0.5, 1.0, 2.0])
def test_the_slope_between_two_points(steepness):
    a, b = ({"x": x, "seconds": 3 * x**steepness} for x in (2, 7))
    assert definitions("14_beyond_the_paper")["steeper"](a, b) == pytest.approx(steepness)


def test_streets_are_scored_as_the_results_say():
    lines = {(line["variant"], line["seed"]): line for line in read_json_lines(TRANSFER / "toydrive.jsonl")}
    for line in lines.values():
        pixels = sum(torch.tensor(matrix) for matrix in line["confusion"].values())
        count, confidence, right = torch.tensor(line["bins"], dtype=torch.float64)
        assert sum(line["frames"].values()) == line["tested_on"]["frames"]
        assert count.sum() == pixels.sum() == line["tested_on"]["frames"] * np.prod(line["tested_on"]["size"])
        assert right.sum() == pixels.trace() and (confidence <= count + 1e-6).all()


def test_every_shipped_network_keeps_less_than_half_of_its_score_away_from_home():
    miou = {}
    for line in read_json_lines(TRANSFER / "datasets.jsonl"):
        assert tuple(line["classes"]) == COMMON
        found = np.mean(scores(torch.tensor(line["confusion"]))["IoU"][: len(COMMON)])
        miou[line["network"], line["trained_on"]["dataset"] == line["tested_on"]["dataset"]] = found
    assert len(miou) == 8 and all(miou[name, False] < 0.5 * miou[name, True] for name, _ in miou)
