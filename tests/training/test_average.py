"""The moving average of the student: how it is formed, that it is what is scored and kept, and that a kill costs none.

That it is the same in two processes, and after a kill -9, is tested in test_parallel.py and test_kills.py.
"""

from dataclasses import replace

import pytest
import torch
from lightning_fabric import Fabric
from test_damage import forge
from test_train import SCHEDULE, Scenes, assert_same, distiller, without_seconds
from test_train import train as train_by
from torch import nn

import lixlib.training.loop
from lixlib.distillers import Distiller, Stage
from lixlib.nets import Output
from lixlib.training import MovingAverage, Schedule, fit, fit_stage

EMA = replace(SCHEDULE, ema=0.6)
SHORT = replace(EMA, epochs=1)


class Small(nn.Module):
    """Two convolutions with batch norm."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 3, 1))

    def forward(self, rgb):
        return Output(self.body(rgb), {})


def small(**options):
    torch.manual_seed(0)
    return Distiller(Small(), **options)


def train(folder, model=None, data=None, schedule=SCHEDULE, **options):
    return train_by(folder, model or small(), data, schedule, progress=False, **options)


def clones(net):
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


@pytest.fixture
def updates(monkeypatch):
    """The student's weights before the first update and after each."""
    found, update = [], lixlib.training.update

    def recorded(model, *others):
        found or found.append(clones(model.module.student))
        terms = update(model, *others)
        found.append(clones(model.module.student))
        return terms

    monkeypatch.setattr(lixlib.training.loop, "update", recorded)
    return found


def averaged(weights, decay):
    """The plain transcription, in float64."""
    mean = {name: tensor.double() for name, tensor in weights[0].items()}
    for n, state in enumerate(weights[1:], start=1):
        d = min(decay, (1 + n) / (10 + n))
        mean = {name: d * mean[name] + (1 - d) * state[name].double() for name in mean}
    return mean


def test_the_student_ends_as_the_average_over_all_updates(tmp_path, updates):
    _, model = train(tmp_path, schedule=EMA)
    expected, found = averaged(updates, EMA.ema), model.student.state_dict()
    assert len(updates) == 1 + 6
    for name, tensor in found.items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor.double(), expected[name], rtol=1e-5, atol=1e-6)
        else:
            assert torch.equal(tensor, updates[-1][name]), "whole numbers are copied"
    assert any(name.endswith("running_var") for name in found)
    assert any(not torch.allclose(found[name], updates[-1][name]) for name in found)


def test_the_weights_that_are_trained_are_those_without_an_average(tmp_path, updates):
    """The average watches: validation, observation and the average itself change no update and no loss."""
    log, _ = train(tmp_path / "a", schedule=EMA, validation=Scenes(4), observe=lambda *_: {})
    with_average = updates[:]
    updates.clear()
    plain, _ = train(tmp_path / "b", validation=Scenes(4))
    for one, other in zip(with_average, updates, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert [row["ce"] for row in log] == [row["ce"] for row in plain]
    assert [row["mIoU"] for row in log] != [row["mIoU"] for row in plain]


def test_the_average_is_validated_observed_and_chosen(tmp_path, monkeypatch, updates):
    seen, observed, means = [], [], []

    def scripted(student, *_, **__):
        seen.append(clones(student))
        means.append(averaged(updates, EMA.ema))
        return {"mIoU": [0.2, 0.5, 0.4, 0.1][len(seen) - 1]}

    def observe(_, model):
        observed.append(clones(model.student))
        return {}

    monkeypatch.setattr(lixlib.training.loop, "evaluate", scripted)
    schedule = replace(EMA, epochs=5, patience=2)
    log, model = train(tmp_path, schedule=schedule, validation=Scenes(4), observe=observe)
    assert len(log) == len(seen) == 4
    for found, other, mean in zip(seen, observed, means, strict=True):
        for name in found:
            assert torch.equal(found[name], other[name])
            if found[name].is_floating_point():
                torch.testing.assert_close(found[name].double(), mean[name], rtol=1e-5, atol=1e-6)
    assert all(torch.equal(tensor, seen[1][name]) for name, tensor in model.student.state_dict().items())
    again, reloaded = train(tmp_path, schedule=schedule, validation=Scenes(4))
    assert again == log and len(seen) == 4
    assert_same(model, reloaded)


def test_an_interrupted_run_ends_as_if_it_had_not_been(tmp_path):
    log, model = train(tmp_path / "whole", small(), schedule=EMA, validation=Scenes(4))
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", small(), Scenes(stops_at=1 + 2 * 8 + 6), EMA, validation=Scenes(4))
    resumed_log, resumed = train(tmp_path / "cut", small(), schedule=EMA, validation=Scenes(4))
    assert_same(model, resumed)
    assert without_seconds(resumed_log) == without_seconds(log)
    again, reloaded = train(tmp_path / "cut", small(), schedule=EMA, validation=Scenes(4))
    assert again == resumed_log
    assert_same(model, reloaded)


def test_the_checkpoint_holds_both_and_without_an_average_is_as_before(tmp_path):
    _, model = train(tmp_path / "with", schedule=SHORT)
    train(tmp_path / "without", schedule=replace(SHORT, ema=0.0))
    stored, plain = (torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("with", "without"))
    assert stored.keys() - plain.keys() == {"average"} and not plain.keys() - stored.keys()
    assert stored["about"].pop("ema") == 0.6 and stored["about"] == plain["about"]
    assert all(torch.equal(tensor, stored["weights"][name]) for name, tensor in plain["weights"].items())
    assert all(torch.equal(tensor, stored["average"][name]) for name, tensor in model.student.state_dict().items())


@pytest.mark.parametrize(("was", "now"), [(0.0, 0.6), (0.6, 0.0), (0.6, 0.9)])
def test_a_checkpoint_with_another_decay_is_refused(was, now, tmp_path):
    train(tmp_path, schedule=replace(SHORT, ema=was))
    with pytest.raises(ValueError, match=f"is of another training: ema was {was or None} and is {now or None}"):
        train(tmp_path, schedule=replace(SHORT, ema=now))


def change_average(change):
    return forge(lambda stored: {**stored, "average": {name: change(t) for name, t in stored["average"].items()}})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (forge(lambda s: {name: value for name, value in s.items() if name != "average"}), "has no moving average"),
        (forge(lambda s: {**s, "average": {}}), "has no moving average"),
        (forge(lambda s: {**s, "average": "a"}), "is no checkpoint"),
        (change_average(lambda tensor: tensor[None]), "or that of another network"),
        (change_average(lambda tensor: tensor.double()), "or that of another network"),
        (change_average(lambda t: t * torch.nan if t.is_floating_point() else t), "weights that are not finite"),
    ],
)
def test_a_damaged_average_is_noticed(damage, message, tmp_path):
    _, first = train(tmp_path, schedule=SHORT)
    damage(tmp_path / "checkpoint.pt")
    with pytest.warns(UserWarning, match=f"{message}.*: training starts again"):
        _, again = train(tmp_path, schedule=SHORT)
    assert_same(first, again)


def test_mixed_precision_averages_in_single_precision(tmp_path, updates):
    fabric = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
    _, model = train(tmp_path, schedule=SHORT, fabric=fabric)
    expected = averaged(updates, EMA.ema)
    for name, tensor in model.student.state_dict().items():
        assert tensor.dtype in (torch.float32, torch.int64)
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor.double(), expected[name], rtol=1e-5, atol=1e-6)


def test_a_stage_is_not_averaged(tmp_path):
    model = distiller("ft", stage_epochs=1)
    fit_stage(model, Scenes(), EMA, folder=tmp_path, progress=False)
    assert "average" not in torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    with pytest.raises(ValueError, match="ema averages the weights of a student, and Stage has none"):
        fit(Stage(model.teacher, model.method), Scenes(), EMA, folder=tmp_path / "other")


def test_a_network_gets_its_weights_back_whatever_happens():
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    average, before = MovingAverage(net, 0.5), clones(net)
    with torch.no_grad():
        net[0].weight.add_(1)
    average.update(10**6)
    after = clones(net)
    with pytest.raises(KeyError), average.in_network():
        torch.testing.assert_close(net[0].weight, before["0.weight"] + 0.5)
        raise KeyError
    assert all(torch.equal(tensor, after[name]) for name, tensor in net.state_dict().items())


@pytest.mark.parametrize(("ema", "expected"), [(1, "below 1"), (-0.1, "at least 0"), (float("nan"), "a finite number")])
def test_a_wrong_decay_is_refused(ema, expected):
    with pytest.raises(ValueError, match=f"^Schedule: ema must be {expected}.*, found "):
        Schedule(ema=ema)


# Class weights: what a checkpoint says of them


def test_a_checkpoint_of_other_class_weights_is_refused(tmp_path):
    schedule, weights = replace(SCHEDULE, epochs=1), torch.tensor([0.5, 1.0, 2.0])
    _, first = train(tmp_path, small(class_weights=weights), schedule=schedule)
    _, again = train(tmp_path, small(class_weights=weights), schedule=schedule)
    assert_same(first, again)
    for other in ({}, {"class_weights": weights.flip(0)}):
        with pytest.raises(ValueError, match=r"class_weights was \[0.5, 1.0, 2.0\] and is "):
            train(tmp_path, small(**other), schedule=schedule)
