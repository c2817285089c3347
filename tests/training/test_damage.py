"""What lies on the disk is not trusted, and nothing there stops a run for ever: files lost, cut, mixed up or forged."""

import math
import pickle
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_train import SCHEDULE, Scenes, distiller, train

import lixlib.lab.run
import lixlib.training.loop
from lixlib import nets
from lixlib.core.files import read_json_lines
from lixlib.distillers import Distiller
from lixlib.lab.plan import folder_of
from lixlib.lab.recipe import Recipe
from lixlib.lab.run import run
from lixlib.training import Schedule, fit
from lixlib.training.checkpoint import finite

LOOK = 1  # image that every call of `fit` reads, to see that there are labels
ONE = Schedule(epochs=1, batch=4)
SMALL = {
    "size": (16, 32),
    "batch_size": 2,
    "dataset_options": {"count": 4, "eval_count": 2},
    "splits": ("train", None, "test"),
}
RECIPE = Recipe(method="student", epochs=2, network_options={"width": 0.25}, **SMALL)
FILES = ("result.jsonl", "log.jsonl", "weights.safetensors")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run, and where its runs folder is."""
    root = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIX_RUNS", str(root / "runs"))
        patch.setenv("LIX_CACHE", str(root / "cache"))
        yield run(RECIPE, device="cpu", progress=False), root


@pytest.fixture
def folder(whole, tmp_path, monkeypatch) -> Path:
    """A copy of the run's folder, which the next run finds."""
    _, root = whole
    shutil.copytree(root / "runs", tmp_path / "runs")
    monkeypatch.setenv("LIX_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("LIX_CACHE", str(root / "cache"))
    return tmp_path / "runs" / folder_of(RECIPE)


@pytest.fixture
def trainings(monkeypatch) -> list[int]:
    """How many epochs each call of `fit` trains."""
    found, update = [], lixlib.training.update
    monkeypatch.setattr(lixlib.training.loop, "update", lambda *args: found.append(1) or update(*args))
    return found


def lose(path):
    path.unlink()


def empty(path):
    path.write_bytes(b"")


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def double(path):
    path.write_bytes(2 * path.read_bytes())


def blur(path):
    path.write_bytes(bytes(range(256)))


def number(path):
    path.write_text("3\n")


def null(path):
    path.write_text("null\n")


def array(path):
    path.write_text("[1]\n")


def other_types(path):
    path.write_text(path.read_text().replace('"recipe": {', '"recipe": 3, "was": {'))


def folder_instead(path):
    path.unlink()
    path.mkdir()


DAMAGES = [(name, damage) for name in FILES for damage in (lose, empty, cut, double, blur, number, null, array)]
DAMAGES += [("result.jsonl", other_types), ("log.jsonl", folder_instead), ("result.jsonl", folder_instead)]


@pytest.mark.parametrize(("name", "damage"), DAMAGES)
def test_a_damaged_file_of_a_run_is_made_again_from_its_checkpoint(name, damage, whole, folder, trainings):
    first, _ = whole
    damage(folder / name)
    if (name, damage) == ("result.jsonl", lose):  # nobody can tell it from a run that was killed
        again = run(RECIPE, device="cpu", progress=False)
    else:
        with pytest.warns(UserWarning, match=rf"{name} .*: it is made again"):
            again = run(RECIPE, device="cpu", progress=False)
    assert trainings == [] and again.trained
    assert (again.line, again.log) == (first.line, first.log)
    assert all(torch.equal(v, again.net.state_dict()[k]) for k, v in first.net.state_dict().items())
    assert damage is lose or (folder / f"{name}.damaged").exists(), "nothing is lost"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not run(RECIPE, device="cpu", progress=False).trained


@pytest.mark.parametrize("name", FILES)
def test_without_a_checkpoint_it_is_trained_again_with_a_word(name, whole, folder, trainings):
    first, _ = whole
    (folder / "checkpoint.pt").unlink()
    blur(folder / name)
    with pytest.warns(UserWarning, match="it is made again, from the checkpoint or by training"):
        again = run(RECIPE, device="cpu", progress=False)
    assert len(trainings) == again.line["updates"]
    assert {**again.line, "seconds": 0} == {**first.line, "seconds": 0}


def test_weights_of_another_run_are_noticed(whole, folder):
    first, _ = whole
    other = run(replace(RECIPE, seed=1, epochs=1), device="cpu", progress=False)
    shutil.copy(other.folder / "weights.safetensors", folder)
    with pytest.warns(UserWarning, match="holds the weights of another run"):
        again = run(RECIPE, device="cpu", progress=False)
    assert all(torch.equal(v, again.net.state_dict()[k]) for k, v in first.net.state_dict().items())


@pytest.mark.parametrize("epochs", [1, 3])
def test_a_kill_between_checkpoint_and_log_leaves_no_gap(epochs, tmp_path):
    schedule = replace(SCHEDULE, epochs=epochs)
    log, _ = train(tmp_path, schedule=schedule)
    path = tmp_path / "log.jsonl"
    kept = path.read_text().splitlines(keepends=True)[:-1]
    path.write_text("".join(kept)) if kept else path.unlink()
    data = Scenes()
    assert train(tmp_path, data=data, schedule=schedule)[0] == log and data.reads == LOOK
    assert read_json_lines(path) == log


# Checkpoints


class Code:
    """Would leave a trace if it were unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def forge(change):
    """A checkpoint of which `change` alters what is stored."""

    def write(path):
        stored = torch.load(path, weights_only=True)
        torch.save(change(stored), path)

    return write


def without(key):
    return forge(lambda stored: {name: value for name, value in stored.items() if name != key})


def with_(**changes):
    return forge(lambda stored: {**stored, **changes})


def spoil(stored):
    """The state of a network whose training failed."""
    return {name: tensor * math.nan if tensor.is_floating_point() else tensor for name, tensor in stored.items()}


def run_code(path):
    path.write_bytes(pickle.dumps({"weights": Code(path.with_name("trace"))}))


def optimizer(change):
    def alter(stored):
        change(stored["optimizer"])
        return stored

    return forge(alter)


CHECKPOINTS = {
    **{name: damage for name, damage in (("cut", cut), ("empty", empty), ("blurred", blur), ("text", number))},
    "code": run_code,
    "a list": forge(lambda _: [1]),
    "a number": forge(lambda _: 3),
    **{f"no {key}": without(key) for key in ("weights", "optimizer", "decay", "log", "best")},
    "weights are a list": with_(weights=[1]),
    "a weight is a number": forge(lambda s: {**s, "weights": {**dict.fromkeys(s["weights"], 1)}}),
    "weights in half": forge(lambda s: {**s, "weights": {n: t.double() for n, t in s["weights"].items()}}),
    "weights are NaN": forge(lambda s: {**s, "weights": spoil(s["weights"])}),
    "log is text": with_(log="log"),
    "a loss is NaN": forge(lambda s: {**s, "log": [{**s["log"][0], "ce": math.nan}]}),
    "a row is a number": with_(log=[1]),
    "a row without an epoch": with_(log=[{"ce": 1.0}]),
    "a wrong epoch": with_(log=[{"epoch": 2, "seconds": 0.1}]),
    "an epoch too many": with_(log=[{"epoch": 1, "seconds": 0.1}, {"epoch": 2, "seconds": 0.1}]),
    "no updates": with_(decay={"last_epoch": 0}),
    "updates are text": with_(decay={"last_epoch": "2"}),
    "best is null": with_(best=None),
    "best student is text": with_(best={"mIoU": 0.5, "epoch": 1, "student": "s"}),
    "best epoch is to come": with_(best={"mIoU": 0.5, "epoch": 9, "student": None}),
    "optimiser is empty": with_(optimizer={}),
    "momentum is text": optimizer(lambda o: o["state"][0].update(momentum_buffer="m")),
    "momentum of another shape": optimizer(lambda o: o["state"][0].update(momentum_buffer=torch.ones(1))),
    "momentum of no parameter": optimizer(lambda o: o["state"].update({10**6: {"momentum_buffer": None}})),
    "rate is text": optimizer(lambda o: o["param_groups"][0].update(lr="0.1")),
    "another momentum": optimizer(lambda o: o["param_groups"][0].update(momentum=0.1)),
    "two groups": optimizer(lambda o: o["param_groups"].append(o["param_groups"][0])),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_damaged_checkpoint_is_set_aside_and_training_starts_again(name, tmp_path, one_epoch):
    log, first, source = one_epoch
    folder = shutil.copytree(source, tmp_path / "run")
    CHECKPOINTS[name](folder / "checkpoint.pt")
    damaged = (folder / "checkpoint.pt").read_bytes()
    data = Scenes()
    with pytest.warns(UserWarning, match=r"checkpoint.pt .*: training starts again \(the file is kept as"):
        again, model = train(folder, data=data, schedule=ONE)
    assert data.reads == LOOK + len(data) and len(again) == 1 and again[0]["ce"] == log[0]["ce"]
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in first.state_dict().items())
    assert (folder / "checkpoint.pt.damaged").read_bytes() == damaged
    assert not (folder / "trace").exists(), "no code of the file ran"


def test_a_folder_in_the_place_of_a_checkpoint_is_set_aside(tmp_path):
    (tmp_path / "checkpoint.pt").mkdir()
    with pytest.warns(UserWarning, match="checkpoint.pt is a folder: training starts again"):
        train(tmp_path, schedule=ONE)
    assert (tmp_path / "checkpoint.pt").is_file() and (tmp_path / "checkpoint.pt.damaged").is_dir()


@pytest.fixture(scope="module")
def one_epoch(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one epoch")
    return *train(folder, schedule=ONE), folder


def narrow():
    torch.manual_seed(0)
    return Distiller(nets.build("mfnet", num_classes=3, width=0.5))


def with_a_renamed_layer():
    model = distiller()
    model.student.renamed = model.student.decoder
    del model.student.decoder
    return model


def tuned(weight):
    return distiller("kd", weight=weight)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (lambda: distiller("kd"), lambda: distiller("dkd"), "method was 'KD' and is 'DKD'"),
        (distiller, lambda: distiller("kd"), "method was 'NoDistillation' and is 'KD'"),
        (lambda: tuned(1.0), lambda: tuned(2.0), "method.weight was 1.0 and is 2.0"),
        (distiller, narrow, r"has in another shape student\..* \(\d+ such names\)"),
        (distiller, with_a_renamed_layer, r"lacks student\.renamed.*has besides student\.decoder"),
        (lambda: distiller("fitnet"), lambda: distiller("vid"), "method was 'FitNet' and is 'VID'"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(first, second, message, tmp_path):
    log, _ = train(tmp_path, first(), schedule=ONE)
    model = second()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    content = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(ValueError, match=f"checkpoint.pt is of another training: .*{message}.*Choose another folder"):
        train(tmp_path, model, schedule=ONE)
    assert (tmp_path / "checkpoint.pt").read_bytes() == content
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items()), "nothing half loaded"
    assert train(tmp_path, first(), schedule=ONE)[0] == log


@pytest.mark.parametrize("change", [{"epochs": 2}, {"lr": 0.5}, {"seed": 1}, {"batch": 2}, {"weight_decay": 0.0}])
def test_a_checkpoint_of_another_schedule_is_refused(change, tmp_path, one_epoch):
    *_, source = one_epoch
    folder = shutil.copytree(source, tmp_path / "run")
    ((name, value),) = change.items()
    with pytest.raises(ValueError, match=rf"{name} was {getattr(ONE, name)} and is {value}"):
        train(folder, schedule=replace(ONE, **change))


def test_a_checkpoint_of_other_images_is_refused(tmp_path, one_epoch):
    *_, source = one_epoch
    folder = shutil.copytree(source, tmp_path / "run")
    with pytest.raises(ValueError, match="number of images was 8 and is 4"):
        train(folder, data=Scenes(4), schedule=ONE)
    data = Scenes()
    data.digest = "abc"
    with pytest.raises(ValueError, match="data was None and is 'abc'"):
        train(folder, data=data, schedule=ONE)


def test_a_checkpoint_of_an_earlier_version_goes_on_where_its_tensors_fit(tmp_path, one_epoch):
    log, _, source = one_epoch
    folder = shutil.copytree(source, tmp_path / "run")
    parts = ("weights", "optimizer", "decay", "log", "best")
    forge(lambda stored: {name: stored[name] for name in parts})(folder / "checkpoint.pt")
    data = Scenes()
    assert train(folder, data=data, schedule=ONE)[0] == log and data.reads == LOOK
    with pytest.raises(ValueError, match="it lacks method"):
        train(folder, distiller("fitnet"), schedule=ONE)


def test_a_student_of_another_teacher_starts_again(tmp_path):
    train(tmp_path, distiller("kd"), schedule=ONE)
    model = distiller("kd")
    with torch.no_grad():
        next(model.teacher.parameters()).add_(0.1)
    data = Scenes()
    with pytest.warns(UserWarning, match="is of a student of another teacher: training starts again"):
        train(tmp_path, model, data=data, schedule=ONE)
    assert data.reads == LOOK + len(data)


def test_a_run_refuses_the_checkpoint_of_another_network(whole, folder):
    for name in FILES:
        (folder / name).unlink()
    other = run(replace(RECIPE, network_options={"width": 0.5}, epochs=1), device="cpu", progress=False)
    shutil.copy(other.folder / "checkpoint.pt", folder)
    with pytest.raises(ValueError, match=r"of another training: .*epochs was 1 and is 2.*has in another shape student"):
        run(RECIPE, device="cpu", progress=False)


# No JSON holds NaN


def test_what_is_not_finite_is_null_in_the_log(tmp_path, monkeypatch):
    nan, inf = float("nan"), float("inf")
    monkeypatch.setattr(lixlib.training.loop, "evaluate", lambda *_, **__: {"mIoU": nan})
    seen = {"norm": nan, "parts": [1.0, inf, {"deep": -inf}], "name": "x", "count": 3}
    log, model = train(tmp_path, schedule=replace(ONE, patience=1), validation=Scenes(4), observe=lambda *_: seen)
    assert log[0]["mIoU"] is None and log[0]["norm"] is None
    assert log[0]["parts"] == [1.0, None, {"deep": None}] and (log[0]["name"], log[0]["count"]) == ("x", 3)
    text = (tmp_path / "log.jsonl").read_text()
    assert "NaN" not in text and "Infinity" not in text and read_json_lines(tmp_path / "log.jsonl") == log
    assert finite((nan, 1)) == [None, 1]


def test_a_plain_module_of_ones_own_is_resumed(tmp_path):
    """Not only `Distiller`: anything that returns loss terms."""

    class Own(torch.nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.student, self.scale = nets.build("mfnet", num_classes=3), 2.0

        def forward(self, batch):
            logits = self.student(batch.rgb).logits
            return {"ce": self.scale * torch.nn.functional.cross_entropy(logits, batch.label)}

    log = fit(Own(), Scenes(), ONE, folder=tmp_path)
    assert fit(Own(), Scenes(), ONE, folder=tmp_path) == log
