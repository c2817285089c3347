"""The networks of notebook 14 where they were not trained: what results/transfer says is what `evaluate` says."""

import json
from dataclasses import replace

import pytest
import torch

from lixlib import checkpoints, data
from lixlib.core.files import read_json_lines
from lixlib.data.classes import CAMVID, TOYDRIVE
from lixlib.data.toydrive import ToyDrive
from lixlib.data.toydrive.scene import WEATHERS
from lixlib.lab import experiments
from lixlib.lab.plan import folder_of
from lixlib.lab.recipe import Recipe
from lixlib.lab.run import run
from lixlib.metrics import confusion_matrix, scores
from lixlib.training import evaluate
from tools.studies.transfer import COMMON, DIFFICULTIES, Options, main, on_common, on_toydrive, to_common


def test_the_sum_over_weathers_is_the_evaluation():
    net, recipe = checkpoints.load(checkpoints.shipped("toydrive-mfnet-student"))
    frames = ToyDrive("test", size=(32, 48), count=6, difficulty=0.2)
    found = on_toydrive(net, frames)
    assert tuple(found["frames"]) == WEATHERS and sum(found["frames"].values()) == 6
    matrix = sum(torch.tensor(m) for m in found["confusion"].values())
    assert scores(matrix)["mIoU"] == pytest.approx(evaluate(net, frames)["mIoU"], abs=1e-3)
    count, confidence, right = torch.tensor(found["bins"], dtype=torch.float64)
    assert count.sum() == matrix.sum() == 6 * 32 * 48 and right.sum() == matrix.trace()
    assert ((confidence >= 0) & (confidence <= count)).all()


def test_common_classes_are_those_that_both_have():
    for table in (TOYDRIVE, CAMVID):
        partners = to_common(table.names)
        assert set(partners.tolist()) == set(range(len(COMMON) + 1))
        for i, name in enumerate(COMMON):
            assert (name == "sign" or name in table.names) and i in partners
    assert [TOYDRIVE.names[i] for i in (to_common(TOYDRIVE.names) == len(COMMON)).nonzero()] == ["terrain"]
    assert [CAMVID.names[i] for i in (to_common(CAMVID.names) == len(COMMON)).nonzero()] == ["fence", "bicyclist"]


def test_a_prediction_without_partner_is_wrong_and_such_truth_is_not_tested(camvid_root):
    net, recipe = checkpoints.load(checkpoints.shipped("toydrive-mfnet-student"))
    photos = data.load("camvid", "val", root=camvid_root, size=(32, 48), with_x=False)
    matrix = on_common(net, recipe["classes"], list(photos), photos.classes.names)
    batch = data.collate(list(photos))
    label = batch.label.clone()
    for name in ("fence", "bicyclist"):
        label[batch.label == CAMVID.names.index(name)] = 255
    assert matrix[-1].sum() == 0 and matrix.sum() == (label != 255).sum()
    car, pair = COMMON.index("car"), [TOYDRIVE.names.index(name) for name in ("car", "truck")]
    with torch.no_grad():
        prediction = net(batch.rgb).logits.argmax(1)
    whole = confusion_matrix(prediction, torch.where(label == CAMVID.names.index("car"), 0, 255), 13)
    assert matrix[car, car] == whole[0, pair].sum() and matrix[car].sum() == whole.sum()


def test_runs_are_tested_at_every_difficulty_and_what_is_there_stays(tmp_path, monkeypatch, capsys, camvid_root):
    monkeypatch.setenv("LIX_RUNS", str(tmp_path / "runs"))
    recipe = Recipe(
        method="student", size=(32, 48), epochs=1, batch_size=2, dataset_options={"count": 2, "eval_count": 3}
    )
    recipes = {"student": {0: recipe, 1: replace(recipe, seed=1)}}
    monkeypatch.setattr(experiments, "recipes", lambda name, seeds: recipes)
    line = run(recipe, device="cpu", progress=False).line
    options = Options(("methods",), camvid=str(camvid_root), frames=3, results=str(tmp_path / "results"))
    main(options)
    assert "student, seed 1: its run is not in" in capsys.readouterr().err
    lines = read_json_lines(tmp_path / "results" / "transfer" / "toydrive.jsonl")
    assert [each["tested_on"]["difficulty"] for each in lines] == list(DIFFICULTIES)
    (home,) = (each for each in lines if each["tested_on"]["difficulty"] == each["trained_on"]["difficulty"])
    score = scores(sum(torch.tensor(m) for m in home["confusion"].values()))["mIoU"]
    assert score == pytest.approx(line["metrics"]["mIoU"], abs=1e-3) and home["network"] == str(folder_of(recipe))
    other = read_json_lines(tmp_path / "results" / "transfer" / "datasets.jsonl")
    assert len(other) == 8 and {each["tested_on"]["dataset"] for each in other} == {"toydrive", "camvid"}
    assert str(camvid_root) not in json.dumps(other)

    monkeypatch.setenv("LIX_RUNS", str(tmp_path / "nowhere"))
    main(Options(("methods",), frames=3, results=str(tmp_path / "results")))
    assert "no --camvid FOLDER" in capsys.readouterr().err
    assert read_json_lines(tmp_path / "results" / "transfer" / "toydrive.jsonl") == lines
