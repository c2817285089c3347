"""The training loop: it learns, it repeats itself, it survives a kill, and it says what went wrong."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from lightning_fabric import Fabric
from torch.utils.data import Dataset, Subset

import lixlib.core.files
import lixlib.training.loop
from lixlib import nets
from lixlib.data import Augment, Classes, Sample, collate
from lixlib.distillers import Distiller
from lixlib.metrics import confusion_matrix, scores
from lixlib.training import Schedule, TrainingFailed, check_split, evaluate, fit

SIZE = (32, 48)
SCHEDULE = Schedule(epochs=3, batch=4)
CLASSES = Classes(("low", "high", "sky"), None)


class Scenes(Dataset):
    """Images whose brightness and X tell the class."""

    classes, x_channels = CLASSES, 1

    def __init__(self, count=8, stops_at=None):
        generator = torch.Generator().manual_seed(count)
        blocks = torch.randint(3, (count, 4, 6), generator=generator)
        self.label = blocks.repeat_interleave(8, 1).repeat_interleave(8, 2)
        noise = torch.rand(count, 3, *SIZE, generator=generator)
        self.rgb = self.label[:, None] * 0.3 + noise * 0.3
        self.x = self.label[:, None] / 2
        self.reads, self.stops_at = 0, stops_at

    def __len__(self):
        return len(self.label)

    def __getitem__(self, i):
        self.reads += 1
        if self.reads == self.stops_at:
            raise KeyboardInterrupt
        x = self.x[i]
        return Sample(self.rgb[i], x, torch.ones_like(x, dtype=torch.bool), self.label[i], f"scene{i}")


def distiller(method="none", **hyper):
    """The same initial weights at every call."""
    torch.manual_seed(0)
    teacher = nets.build("mfnet", num_classes=3, x_channels=1)
    student = nets.build("mfnet", num_classes=3)
    return Distiller(student, teacher, method, example=collate([Scenes()[0]]), **hyper)


def train(folder, model=None, data=None, schedule=SCHEDULE, **options):
    model = distiller() if model is None else model
    options = {"augment": Augment(SIZE), **options}
    return fit(model, Scenes() if data is None else data, schedule, folder=folder, **options), model


def without_seconds(log):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in log]


def assert_same(first, second):
    first, second = first.state_dict(), second.state_dict()
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


def test_loss_falls_and_the_log_is_on_disk(tmp_path):
    schedule = replace(SCHEDULE, epochs=8, lr=0.05)
    log, _ = train(tmp_path, distiller("lix"), schedule=schedule, validation=Scenes(4), augment=None)
    assert [row["epoch"] for row in log] == list(range(1, 9))
    assert set(log[0]) == {"epoch", "ce", "dwld", "arfd", "mIoU", "seconds"}
    assert log[-1]["ce"] < 0.8 * log[0]["ce"]
    assert log[-1]["arfd"] < log[0]["arfd"]
    assert [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()] == log
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.pt", "log.jsonl"]


def test_an_observer_sees_every_epoch_and_changes_nothing(tmp_path):
    seen = []

    def observe(epoch, observed):
        seen.append((epoch, observed.training, torch.is_grad_enabled()))
        return {"first weight": next(observed.student.parameters()).flatten()[0].item()}

    log, model = train(tmp_path / "seen", distiller("lix"), observe=observe)
    plain_log, plain = train(tmp_path / "plain", distiller("lix"))
    assert seen == [(epoch, False, False) for epoch in range(1, SCHEDULE.epochs + 1)]
    assert log[-1].pop("first weight") == next(model.student.parameters()).flatten()[0].item()
    assert_same(model, plain)
    assert without_seconds(log)[-1] == without_seconds(plain_log)[-1]


def test_a_data_set_that_does_not_say_its_classes_is_told():
    with pytest.raises(TypeError, match="list does not say its classes, .* give it an attribute classes"):
        evaluate(nets.build("mfnet", num_classes=2), [Scenes()[0]])


def test_training_repeats_itself(tmp_path):
    (log, model), (log_again, again) = (train(tmp_path / name, distiller("lix")) for name in "ab")
    assert_same(model, again)
    assert without_seconds(log) == without_seconds(log_again)
    (log_other, _) = train(tmp_path / "c", distiller("lix"), schedule=replace(SCHEDULE, seed=1))
    assert without_seconds(log_other) != without_seconds(log)


def test_an_interrupted_run_ends_as_if_it_had_not_been(tmp_path):
    log, model = train(tmp_path / "whole", distiller("lix"), validation=Scenes(4))
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", distiller("lix"), Scenes(stops_at=1 + 2 * 8 + 6), validation=Scenes(4))
    assert len((tmp_path / "cut" / "log.jsonl").read_text().splitlines()) == 2
    resumed_data = Scenes()
    resumed_log, resumed = train(tmp_path / "cut", distiller("lix"), resumed_data, validation=Scenes(4))
    assert resumed_data.reads == 8 + 1, "the two finished epochs are not trained again; one image shows its labels"
    assert_same(model, resumed)
    assert without_seconds(resumed_log) == without_seconds(log)


def test_what_a_killed_write_left_is_cleared(tmp_path):
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    leftover = tmp_path / f".checkpoint.pt.{lixlib.core.files._host()}.{int(dead.stdout)}.tmp"
    of_another_machine = tmp_path / ".checkpoint.pt.elsewhere.123.tmp"
    for file in (leftover, of_another_machine):
        file.write_bytes(b"half a checkpo")
    schedule = replace(SCHEDULE, epochs=1)
    train(tmp_path, schedule=schedule)
    assert not leftover.exists() and of_another_machine.exists()
    leftover.write_bytes(b"half a checkpo")
    train(tmp_path, schedule=schedule)
    assert not leftover.exists(), "also where nothing is left to write"


def test_early_stopping_goes_back_to_the_best_epoch(tmp_path, monkeypatch):
    seen = []

    def scripted(student, *_, **__):
        seen.append({name: tensor.clone() for name, tensor in student.state_dict().items()})
        return {"mIoU": [0.2, 0.5, 0.4, 0.5, 0.9][len(seen) - 1]}

    monkeypatch.setattr(lixlib.training.loop, "evaluate", scripted)
    schedule = replace(SCHEDULE, epochs=5, patience=2)
    log, model = train(tmp_path, schedule=schedule, validation=Scenes(4))
    assert [row["mIoU"] for row in log] == [0.2, 0.5, 0.4, 0.5]
    assert all(torch.equal(tensor, seen[1][name]) for name, tensor in model.student.state_dict().items())
    again, reloaded = train(tmp_path, schedule=schedule, validation=Scenes(4))
    assert again == log and len(seen) == 4, "a stopped run is not trained on"
    assert_same(model, reloaded)


def test_without_patience_the_last_weights_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(lixlib.training.loop, "evaluate", lambda *_, **__: {"mIoU": 0.0})
    _, plain = train(tmp_path / "a")
    _, validated = train(tmp_path / "b", validation=Scenes(4))
    assert_same(plain, validated)


def test_the_bar_says_what_it_waits_for(tmp_path, capsys):
    train(tmp_path, progress=True)
    shown = [line for line in capsys.readouterr().err.split("\r") if "/6 " in line]
    assert "0/6" in shown[1] and lixlib.training.loop.STARTING in shown[1]
    assert not any(lixlib.training.loop.STARTING in line for line in shown if "0/6" not in line and "1/6" not in line)
    train(tmp_path, progress=True)
    assert lixlib.training.loop.STARTING not in capsys.readouterr().err, "nothing is left to train"


@pytest.mark.parametrize("silent", [False, True])
def test_a_loss_that_is_not_finite_names_step_term_and_images(tmp_path, silent):
    data, log = Scenes(4), []

    def spoil(epoch, _):
        log.append(epoch)
        data.rgb[3] = torch.nan
        return {}

    with pytest.raises(TrainingFailed, match=r"step 2: ce = nan is not finite; images of the batch: .*scene3"):
        train(tmp_path, data=data, progress=not silent, observe=spoil)
    rows = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["log"]
    assert [row["epoch"] for row in rows] == log == [1]


@pytest.mark.parametrize("field", ["rgb", "x"])
def test_the_image_that_is_not_finite_is_named_alone(tmp_path, field):
    data = Scenes(4)
    getattr(data, field)[2, 0, 5, 5] = torch.inf
    with pytest.raises(TrainingFailed, match=f"images of the batch: scene2, of which {field} is not finite. Mend"):
        train(tmp_path, distiller("kd"), data=data, augment=None)


def test_the_image_for_which_the_teacher_fails_is_named_alone(tmp_path):
    model, data = distiller("kd"), Scenes(4)
    forward = model.teacher.forward

    def overflows(rgb, x):
        output = forward(rgb, x)
        output.logits[(rgb == data.rgb[1]).flatten(1).all(1)] = torch.inf
        return output

    model.teacher.forward = overflows
    with pytest.raises(TrainingFailed, match="step 1: kd = nan .* scene1, of which the teacher's logits are not"):
        train(tmp_path, model, data=data, augment=None)
    assert not model.teacher._forward_hooks and not model.student._forward_hooks


@pytest.mark.parametrize("field", ["rgb", "x"])
def test_evaluation_refuses_what_is_not_finite(field):
    data = Scenes(4)
    getattr(data, field)[2, 0, 5, 6] = torch.nan
    with pytest.raises(ValueError, match=f"scene2: {field} is nan at channel 0, row 5, column 6"):
        evaluate(distiller().student, data, batch=2)


def test_a_learning_rate_that_explodes_is_noticed(tmp_path):
    with pytest.raises(TrainingFailed, match="Lower the learning rate"):
        train(tmp_path, schedule=replace(SCHEDULE, lr=1e17))


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ({"batch": 9}, "8 training images do not fill a batch of 9: lower the batch size"),
        ({"patience": 2}, "needs a validation set"),
    ],
)
def test_schedules_that_do_not_fit_the_data(tmp_path, schedule, message):
    with pytest.raises(ValueError, match=message):
        train(tmp_path, schedule=replace(SCHEDULE, **schedule))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("epochs", 0, "at least 1"),
        ("epochs", 1.5, "a valid integer"),
        ("batch", 0, "at least 1"),
        ("lr", 0, "above 0"),
        ("lr", float("nan"), "a finite number"),
        ("momentum", 1, "below 1"),
        ("weight_decay", -1, "at least 0"),
        ("patience", -1, "at least 0"),
        ("seed", 2**63, "at most"),
    ],
)
def test_a_wrong_schedule_is_refused(name, value, expected):
    with pytest.raises(ValueError, match=f"^Schedule: {name} must be {expected}.*, found "):
        Schedule(**{name: value})


def void(count=8):
    """Images without any label."""
    data = Scenes(count)
    data.label[:] = 255
    return data


@pytest.mark.parametrize(
    ("train_on", "validation", "message"),
    [
        (void(), None, "split training has no labelled pixel in any of its 8 images, all are 255"),
        (Scenes(), void(4), "split validation has no labelled pixel in any of its 4 images"),
        (Scenes(), Subset(Scenes(), []), "split validation has no image"),
        (Subset(Scenes(), []), None, "0 training images do not fill a batch of 4"),
    ],
)
@pytest.mark.parametrize("patience", [0, 2])
def test_a_split_without_labels_is_found_before_training(tmp_path, train_on, validation, message, patience):
    with pytest.raises(ValueError, match=message):
        train(tmp_path, data=train_on, validation=validation, schedule=replace(SCHEDULE, patience=patience))
    assert not list(tmp_path.iterdir())


def test_of_a_split_only_as_many_images_are_read_as_it_takes_to_see_a_label():
    data = Scenes()
    check_split(data, "training")
    assert data.reads == 1
    data.label[:3] = 255
    check_split(data, "training")
    assert data.reads == 1 + 4


def test_nothing_is_scored_by_no_label():
    net = distiller().student
    with pytest.raises(ValueError, match="split test has no labelled pixel in any of its 5 images"):
        evaluate(net, void(5))
    with pytest.raises(ValueError, match="split test has no image"):
        evaluate(net, Subset(Scenes(), []))


def test_a_batch_that_lost_its_labels_adds_nothing(tmp_path):
    def hide(batch):
        return replace(batch, label=torch.full_like(batch.label, 255))

    log, _ = train(tmp_path, augment=hide, schedule=replace(SCHEDULE, epochs=1))
    assert log[0]["ce"] == 0


def test_the_incomplete_batch_is_dropped_and_the_rate_falls_to_zero(tmp_path):
    model = distiller()
    data = Scenes(7)
    train(tmp_path, model, data, replace(SCHEDULE, epochs=2))
    stored = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert stored["decay"]["last_epoch"] == 2, "one update an epoch"
    assert stored["optimizer"]["param_groups"][0]["lr"] == 0


def test_the_teacher_stays_and_is_not_stored(tmp_path):
    model = distiller("kd")
    before = {name: tensor.clone() for name, tensor in model.teacher.state_dict().items()}
    train(tmp_path, model, schedule=replace(SCHEDULE, epochs=1))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.teacher.state_dict().items())
    stored = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["weights"]
    assert stored and not any(name.startswith("teacher.") for name in stored)


def test_mixed_precision_trains(tmp_path):
    fabric = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
    log, model = train(tmp_path, distiller("lix"), schedule=replace(SCHEDULE, epochs=1), fabric=fabric)
    assert log[0]["ce"] > 0 and all(p.dtype == torch.float32 for p in model.student.parameters())


def test_evaluate_is_the_confusion_of_all_images():
    data, net = Scenes(5), distiller().student.train()
    found = evaluate(net, data, batch=2)
    assert net.training
    net.eval()
    with torch.no_grad():
        prediction = torch.stack([net(data[i].rgb[None]).logits[0].argmax(0) for i in range(5)])
    expected = scores(confusion_matrix(prediction, data.label, 3))
    assert found["mIoU"] == pytest.approx(expected["mIoU"])
    assert found["F1"] == pytest.approx(expected["F1"], nan_ok=True)
