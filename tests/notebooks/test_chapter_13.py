"""Chapter 13: the files it reads belong together, and the tool that writes them says what the networks say."""

import json

import numpy as np
import pytest
import torch

from lixlib.data.classes import TOYDRIVE
from lixlib.functional import confidence
from lixlib.lab import experiments
from tools.dev.execute_notebooks import FOLDER
from tools.studies import look_inside
from tools.studies.look_inside import Options, main, recipe_of, test_frames

INSIDE = FOLDER.parent / "results" / "inside" / "toydrive" / "mfnet"
CLASSES = len(TOYDRIVE)
test_frames.__test__ = False  # a function of the tool


def arrays(path):
    with np.load(path) as file:
        return dict(file)


def test_the_files_are_small_and_complete():
    assert sum(path.stat().st_size for path in INSIDE.iterdir()) < 8e6
    for part in ("training", "networks", "faults"):
        about = json.loads((INSIDE / f"{part}.json").read_text())
        assert {"command", "device", "versions", "commit", "reduced", "split", "size", "data"} <= set(about)
        assert about["command"].startswith("python tools/look_inside.py")


def test_looks_over_a_training_fit_their_frames():
    about = json.loads((INSIDE / "training.json").read_text())
    frames, size, bins = len(about["frames"]), tuple(about["size"]), len(about["edges"])
    methods = {path.stem.removeprefix("training-") for path in INSIDE.glob("training-*.npz")}
    assert methods == {"teacher", *about["runs"]} and "student" in methods
    for method in methods:
        looks = arrays(INSIDE / f"training-{method}.npz")
        shape = (len(looks["epochs"]), frames, *size)
        assert looks["answer"].shape == looks["confidence"].shape == shape and looks["answer"].max() < CLASSES
        assert looks["probability"].shape == (*shape[:2], CLASSES, *size)
        assert np.abs(looks["probability"].sum(2, dtype=int) - 255).max() <= CLASSES  # of a softmax, rounded
        if "weight" in looks:
            assert looks["weight"].shape == shape and (looks["weight_range"][:, 0] <= looks["weight_range"][:, 1]).all()
        if method != "teacher":
            pixels = looks["kd_right"].sum(1) + looks["kd_wrong"].sum(1)
            assert looks["kd_right"].shape[1] == bins and (pixels == about["validation"] * size[0] * size[1]).all()


def test_answers_of_finished_networks_belong_to_their_scores():
    about = json.loads((INSIDE / "networks.json").read_text())
    for method, by_seed in about["runs"].items():
        for seed in by_seed:
            found = arrays(INSIDE / f"{method}-seed{seed}.npz")
            assert found["answer"].shape[1:] == tuple(about["size"]) and found["answer"].max() < CLASSES
            assert found["truth"].shape == found["largest"].shape == (CLASSES, 2, about["levels"] + 1)
            assert found["truth"].sum() == found["largest"].sum() == found["answer"].size
            assert (found["truth"].sum(2) == found["largest"].sum(2)).all()


def test_watching_a_training_leaves_its_result_as_it_is():
    watched = json.loads((INSIDE / "training.json").read_text())["runs"]
    finished = json.loads((INSIDE / "networks.json").read_text())["runs"]
    pairs = [
        (line["mIoU"], finished[method]["0"]) for method, line in watched.items() if "0" in finished.get(method, {})
    ]
    assert pairs and all(one == pytest.approx(other, abs=1e-6) for one, other in pairs)


def test_the_tool_writes_what_the_networks_say(tmp_path, monkeypatch):
    monkeypatch.setenv("LIX_RUNS", str(tmp_path / "runs"))
    some = {name: look_inside.METHODS[name] for name in ("teacher", "student", "closed-form")}
    monkeypatch.setattr(look_inside, "METHODS", some)
    few = {name: experiments.EXPERIMENTS["faults"][name] for name in ("clean", "scale")}
    monkeypatch.setitem(experiments.EXPERIMENTS, "faults", few)
    main(Options(seeds=(0,), frames=2, results=str(tmp_path), quick=True))

    folder = tmp_path / "inside" / "toydrive" / "mfnet"
    net = look_inside.net_of(recipe_of("closed-form", 0, quick=True))
    test, names = test_frames(recipe_of("teacher", 0, quick=True))
    about = json.loads((folder / "training.json").read_text())
    assert set(about["runs"]) == {"student", "closed-form"} and len(about["frames"]) == 2
    with torch.no_grad():
        logits = net(test.rgb).logits
    looks = arrays(folder / "training-closed-form.npz")
    assert (looks["answer"][-1] == logits.argmax(1)[about["frames"]].numpy()).all()
    low, high = looks["weight_range"][-1]
    weight = low + (high - low) * looks["weight"][-1] / 255
    assert weight == pytest.approx((1 + 9 * (1 - confidence(logits)))[about["frames"]].numpy(), abs=0.05)
    finished = arrays(folder / "closed-form-seed0.npz")
    assert (finished["answer"] == logits.argmax(1).numpy()).all()
    right = finished["truth"].sum((0, 2))[1]
    assert right == (logits.argmax(1) == test.label).sum()
    lines = json.loads((folder / "faults.json").read_text())["teacher"]
    assert lines["clean"]["0"]["mIoU"] == json.loads((folder / "networks.json").read_text())["runs"]["teacher"]["0"]
    assert set(lines) == {"clean", "scale"} and set(lines["scale"]["0"]["IoU"]) == set(names)


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
