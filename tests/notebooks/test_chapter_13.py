"""Chapter 13: the files it reads belong together, and the tool that writes them says what the networks say."""

import json

import numpy as np
import pytest
import torch

from lixlib import data
from lixlib.data.classes import TOYDRIVE
from lixlib.functional import confidence
from lixlib.lab import disagreement, experiments, main_table, results
from lixlib.lab.regime import RARE, REGIME
from lixlib.lab.run import run
from tools.dev.execute_notebooks import FOLDER
from tools.studies import look_inside
from tools.studies.look_inside import ARMS, PARTS, Options, main, recipe_of, test_frames

RESULTS = FOLDER.parent / "results"
INSIDE = RESULTS / "inside" / "toydrive" / "mfnet"
CLASSES = len(TOYDRIVE)
test_frames.__test__ = False  # a function of the tool


def arrays(path):
    with np.load(path) as file:
        return dict(file)


def told(part, folder=INSIDE):
    return json.loads((folder / f"{part}.json").read_text())


def test_the_files_are_small_and_complete():
    assert sum(path.stat().st_size for path in INSIDE.iterdir()) < 6e6
    for part in PARTS:
        about = told(part)
        assert {"command", "device", "versions", "commit", "reduced", "split", "size", "data"} <= set(about)
        assert about["command"].startswith("python tools/") and "look_inside.py" in about["command"]
    assert set(told("networks")["runs"]) == set(ARMS)


def test_looks_over_a_training_fit_their_frames():
    about, looks = told("training"), arrays(INSIDE / "training.npz")
    shape = (len(looks["epochs"]), len(about["frames"]), *about["size"])
    assert looks["confidence"].shape == looks["weight"].shape == shape
    assert looks["probability"].shape == (*shape[:2], CLASSES, *about["size"])
    assert np.abs(looks["probability"].sum(2, dtype=int) - 255).max() <= CLASSES  # of a softmax, rounded
    assert (looks["weight_range"][:, 0] <= looks["weight_range"][:, 1]).all()
    assert (looks["loss"].sum((1, 2)) == 300 * np.prod(about["size"])).all()


def test_answers_are_those_of_the_networks_of_the_main_table():
    about, lines = told("networks"), main_table.read("main", RESULTS / "evidence")
    for arm, by_seed in about["runs"].items():
        for seed, score in by_seed.items():
            line = lines[ARMS[arm]][int(seed)]
            assert score == pytest.approx(line["metrics"]["mIoU"], abs=1e-4)
        found = arrays(INSIDE / f"{arm}.npz")
        assert found["mistakes"].shape == (about["answers"], *about["size"], len(by_seed))
        assert found["mistakes"].max() <= CLASSES
        kept = found["hits"][: about["answers"]]
        assert ((found["mistakes"] == 0).sum((1, 2)) == kept).all()
        assert found["levels"].shape == (CLASSES, about["levels"] + 1, len(by_seed))
        pixels = 300 * np.prod(about["size"])
        assert (found["levels"].sum((0, 1)) == pixels).all() and (found["loss"].sum((0, 1)) == pixels).all()
        assert (found["loss"][0].sum(0) == found["hits"].sum(0)).all()


def test_ten_points_better_at_signs_and_no_more_of_them_found():
    lines, sign = main_table.read("main", RESULTS / "evidence"), TOYDRIVE.names.index("traffic sign")
    iou, found = {}, {}
    for arm in ("student", "LIX, ours"):
        whole = [results.confusions(lines[arm][seed], RESULTS / "evidence").sum(0) for seed in range(4)]
        hits = np.array([each[sign, sign] for each in whole])
        there, called = (np.array([each.sum(axis)[sign] for each in whole]) for axis in (1, 0))
        iou[arm], found[arm] = (100 * (hits / of).mean() for of in (there + called - hits, there))
    assert iou["LIX, ours"] - iou["student"] == pytest.approx(10, abs=1)
    assert found["LIX, ours"] < found["student"]


def test_watching_a_training_leaves_its_result_as_it_is():
    about = told("training")
    assert about["mIoU"] == pytest.approx(told("networks")["runs"][about["arm"]][str(about["seed"])], abs=1e-6)
    looks, finished = arrays(INSIDE / "training.npz"), arrays(INSIDE / f"{about['arm']}.npz")
    assert np.abs(looks["probability"][-1].astype(int) - finished["probability"]).max() <= 1
    assert looks["loss"][-1].sum() == finished["loss"][..., 0].sum()


def test_the_former_teachers_fall_is_that_of_their_answers():
    about, found = told("faults"), arrays(INSIDE / "faults.npz")
    assert set(found) == set(about["teacher"]) == {"clean", *about["follows"]}
    for name, by_seed in about["teacher"].items():
        assert found[name].shape == (150, *about["size"])
        assert set(by_seed) == {"0", "1", "2"} and by_seed["0"] <= about["teacher"]["clean"]["0"]
    lines = experiments.read("baselines", RESULTS / "experiments")["teacher"]
    for seed, score in about["teacher"]["clean"].items():
        assert score == pytest.approx(lines[int(seed)]["metrics"]["mIoU"], abs=1e-4), "the networks of those runs"


def test_the_tool_writes_what_the_networks_say(tmp_path, monkeypatch):
    monkeypatch.setenv("LIX_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(look_inside, "ARMS", {name: ARMS[name] for name in ("teacher", "student", "lix")})
    few = {name: experiments.EXPERIMENTS["faults"][name] for name in ("clean", "scale")}
    monkeypatch.setitem(experiments.EXPERIMENTS, "faults", few)
    for recipe in (recipe_of("lix", 0, quick=True), experiments.recipes("faults", quick=True)["scale"][0]):
        run(recipe, device="cpu", progress=False)  # and their teachers
    main(Options(seeds=(0,), frames=2, results=str(tmp_path), quick=True))

    folder = tmp_path / "inside" / "toydrive" / "mfnet"
    net = look_inside.net_of(recipe_of("lix", 0, quick=True))
    test, names = test_frames(recipe_of("teacher", 0, quick=True))
    about = told("networks", folder)
    assert set(about["runs"]) == {"teacher", "lix"}, "the student was never trained"
    assert about["command"] == "python tools/studies/look_inside.py --parts networks --seeds 0 --frames 2 --quick"
    assert all({"command", "device", "instructions", "versions", "commit"} <= set(told(p, folder)) for p in PARTS)
    with torch.no_grad():
        logits = net(test.rgb).logits
    answer, p, label = logits.argmax(1), logits.softmax(1), test.label
    found = arrays(folder / "lix.npz")
    back = torch.where((x := torch.from_numpy(found["mistakes"][..., 0]).long()) == 0, label, x - 1)
    assert (back == answer).all() and (found["hits"][:, 0] == (answer == label).sum((1, 2)).numpy()).all()
    right = answer == label
    assert found["sure"][:, 1, 0] == pytest.approx((p.amax(1) * right).sum((1, 2)).numpy(), rel=1e-4)
    of_truth = p.gather(1, label[:, None])[:, 0]
    sky = names.index("sky")
    assert found["truth"][:, sky, 0] == pytest.approx((of_truth * (label == sky)).sum((1, 2)).numpy(), rel=2e-3)
    watched = arrays(folder / "training.npz")
    assert told("training", folder)["mIoU"] == about["runs"]["lix"]["0"], "watching changed the training"
    low, high = watched["weight_range"][-1]
    assert 1 <= low <= high <= 10 and watched["epochs"].tolist() == [1, 2]
    sure = confidence(logits)[about["frames"]].numpy()
    assert watched["confidence"][-1] / 255 == pytest.approx(sure, abs=0.01)
    faults = told("faults", folder)["teacher"]
    assert set(faults) == {"clean", "scale"} and 0 <= faults["scale"]["0"] <= 1


def test_objects_are_measured_in_the_order_in_which_the_chapter_finds_them():
    test = data.collate(list(data.load("toydrive", "test", size=REGIME["size"], eval_count=3, difficulty=0.2)))
    p = torch.rand(test.label.shape, generator=torch.manual_seed(0))
    found = look_inside.in_objects(p, test.label, TOYDRIVE.names)
    pieces = disagreement.objects(test.label)
    rare = torch.isin(test.label, torch.tensor([TOYDRIVE.names.index(name) for name in RARE]))
    numbers = [n for n in pieces[rare].unique().tolist() if (pieces == n).sum() >= look_inside.ENOUGH]
    expected = [(p[pieces == n].mean(), p[pieces == n].std(correction=0)) for n in numbers]
    assert found.T == pytest.approx(np.array(expected), abs=2e-3)


def test_frames_with_the_most_small_things():
    label = torch.zeros(4, 2, 3, dtype=torch.long)
    label[2, 0] = TOYDRIVE.names.index("pole")
    label[1] = TOYDRIVE.names.index("pedestrian")
    assert look_inside.most_small_things(label, TOYDRIVE.names, 2) == [1, 2]


def test_the_mean_over_the_other_classes():
    weight, label = torch.rand(2, 5, 3, 4), torch.randint(5, (2, 3, 4))
    places = np.ndindex(2, 3, 4)
    expected = [float(weight[n, [c for c in range(5) if c != label[n, y, x]], y, x].mean()) for n, y, x in places]
    assert look_inside.non_target_mean(weight, label).flatten().tolist() == pytest.approx(expected, abs=1e-6)
