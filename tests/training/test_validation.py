"""How often a training is validated, and what its progress bar tells."""

from dataclasses import replace

import pytest
import torch
from test_train import SCHEDULE, Scenes, assert_same, train

import lixlib.training.loop
from lixlib.training import Schedule


def test_validation_every_second_epoch_and_after_the_last_changes_no_weight(tmp_path, monkeypatch):
    validated = []
    evaluate = lixlib.training.loop.evaluate
    monkeypatch.setattr(lixlib.training.loop, "evaluate", lambda *a, **k: validated.append(1) or evaluate(*a, **k))
    log, model = train(tmp_path / "some", schedule=replace(SCHEDULE, validate_every=2), validation=Scenes(4))
    assert ["mIoU" in row for row in log] == [False, True, True] and len(validated) == 2
    every, plain = train(tmp_path / "all", validation=Scenes(4))
    assert_same(model, plain)
    assert log[-1]["mIoU"] == every[-1]["mIoU"]
    again, _ = train(tmp_path / "some", validation=Scenes(4))
    assert again == log, "a finished training is not another one because it was validated less often"


def test_the_best_epoch_is_one_of_those_validated(tmp_path, monkeypatch):
    scores = iter([0.5, 0.4, 0.3])
    seen = []

    def scripted(student, *_, **__):
        seen.append({name: tensor.clone() for name, tensor in student.state_dict().items()})
        return {"mIoU": next(scores)}

    monkeypatch.setattr(lixlib.training.loop, "evaluate", scripted)
    schedule = replace(SCHEDULE, epochs=9, patience=3, validate_every=2)
    log, model = train(tmp_path, schedule=schedule, validation=Scenes(4))
    assert [row.get("mIoU") for row in log] == [None, 0.5, None, 0.4, None], "the best epoch is 2, and 5 is 3 later"
    assert all(torch.equal(tensor, seen[0][name]) for name, tensor in model.student.state_dict().items())


def test_patience_that_ends_before_a_validation_is_refused():
    with pytest.raises(ValueError, match="patience is 2 and validate_every is 3: validate at least once"):
        Schedule(patience=2, validate_every=3)
    assert Schedule(validate_every=3).patience == 0


def test_the_bar_of_a_continued_training_counts_its_own_steps():
    with lixlib.training.loop._bar("run", 600, 1000, silent=False) as bar:
        bar._time = lambda: bar.start_t + 20  # 20 seconds after the start
        bar.n = 700
        told = str(bar)
    assert "5.00step/s" in told and "00:20<01:00" in told and "700/1000" in told
