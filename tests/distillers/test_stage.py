"""The stage before the student: trained on the teacher alone, frozen, kept, shared, resumed, and counted."""

import shutil
from dataclasses import replace

import pytest
import torch
from lightning_fabric import Fabric
from test_train import SCHEDULE, SIZE, Scenes, assert_same, distiller, without_seconds

from lixlib.data import Augment, collate
from lixlib.distillers import METHODS, Stage, TwoStage
from lixlib.lab.plan import folder_of, runs_folder
from lixlib.lab.recipe import Recipe
from lixlib.lab.run import run
from lixlib.training import fit, fit_stage

STAGED = [name for name, method in METHODS.items() if issubclass(method.make, TwoStage)]
methods = pytest.mark.parametrize("method", STAGED)


def make(method, **hyper):
    return distiller(method, stage_epochs=3, **hyper)


def stage(folder, model, data=None, **options):
    return fit_stage(model, data or Scenes(), SCHEDULE, folder=folder, augment=Augment(SIZE), **options)


def copies(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def test_ft_and_maskd_have_a_stage():
    assert STAGED == ["ft", "maskd"]


@methods
def test_the_stage_learns_and_nothing_else_changes(method, tmp_path):
    model = make(method, stage_lr=0.1)
    before = copies(model)
    log = stage(tmp_path, model)
    assert [row["epoch"] for row in log] == [1, 2, 3]
    terms = log[0].keys() - {"epoch", "seconds"}
    assert sum(log[-1][term] for term in terms) < sum(log[0][term] for term in terms)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]) != name.startswith("method.stage."), name
    stored = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["weights"]
    assert {name.split(".")[0] for name in stored} == {"stage"}


@methods
def test_a_trained_stage_is_frozen_while_the_student_learns(method, tmp_path):
    model = make(method)
    stage(tmp_path / "stage", model)
    before = copies(model.method.stage)
    model.train()
    assert model.method.training and not any(module.training for module in model.method.stage.modules())
    assert not any(parameter.requires_grad for parameter in model.method.stage.parameters())
    assert not any(parameter.requires_grad for parameter in model.teacher.parameters())
    fit(model, Scenes(), SCHEDULE, folder=tmp_path / "student")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.method.stage.state_dict().items())


@methods
def test_the_teacher_is_in_evaluation_mode_while_the_stage_learns(method):
    model = make(method)
    alone = Stage(model.teacher, model.method).train()
    assert not any(module.training for module in model.teacher.modules())
    assert all(module.training for module in model.method.stage.modules())
    sum(alone(collate([Scenes()[0]])).values()).backward()
    assert all(p.grad.isfinite().all() and p.grad.abs().max() > 0 for p in model.method.stage.parameters())


@methods
def test_an_untrained_stage_warns(method, tmp_path, recwarn):
    model, batch = make(method), collate([Scenes()[i] for i in range(2)])
    model.eval()(batch)
    assert not recwarn.list
    with pytest.warns(UserWarning, match="as it was initialised: train it, by lixlib.training.fit_stage"):
        model.train()(batch)
    stage(tmp_path, model)
    recwarn.clear()
    model.train()(batch)
    assert not [w for w in recwarn.list if "initialised" in str(w.message)]


@methods
def test_a_finished_stage_is_loaded(method, tmp_path, monkeypatch):
    log = stage(tmp_path, first := make(method))
    data = Scenes()
    again = stage(tmp_path, second := make(method), data)
    assert again == log and data.reads == 0
    assert_same(first, second)


@methods
def test_an_interrupted_stage_ends_as_if_it_had_not_been(method, tmp_path):
    log = stage(tmp_path / "whole", whole := make(method))
    with pytest.raises(KeyboardInterrupt):
        stage(tmp_path / "cut", make(method), Scenes(stops_at=8 + 6))
    data = Scenes()
    resumed_log = stage(tmp_path / "cut", resumed := make(method), data)
    assert data.reads == 2 * 8, "the finished epoch is not trained again"
    assert_same(whole, resumed)
    assert without_seconds(resumed_log) == without_seconds(log)


@methods
def test_a_stage_starts_the_same_whatever_the_other_options(method):
    other = {"ft": {"weight": 2.0, "p": 2}, "maskd": {"weight": 2.0}}[method]
    assert_same(make(method).method.stage, make(method, **other).method.stage)


@methods
def test_mixed_precision_and_images_without_labels(method, tmp_path):
    data = Scenes()
    data.label[::2] = 255
    data.label[1, :16] = 255
    log = stage(tmp_path, make(method), data, fabric=Fabric(accelerator="cpu", devices=1, precision="bf16-mixed"))
    assert all(value == value for value in log[-1].values())


# In a run


@pytest.fixture
def recipe(camvid_root, tmp_path, monkeypatch) -> Recipe:
    monkeypatch.setenv("LIX_RUNS", str(tmp_path / "runs"))
    options = {
        "root": str(camvid_root),
        "size": (32, 48),
        "epochs": 1,
        "batch_size": 4,
        "splits": ("train", "val", "val"),
    }
    return Recipe("camvid", method_options={"stage_epochs": 2}, method="maskd", **options)


def test_runs_that_differ_in_the_loss_share_the_stage(recipe, tmp_path):
    other_loss = replace(recipe, method_options={**recipe.method_options, "weight": 7.0})
    assert folder_of(other_loss) != folder_of(recipe) and folder_of(other_loss, "stage") == folder_of(recipe, "stage")
    assert folder_of(replace(recipe, epochs=9, lr=1.0, teacher={"epochs": 1, "lr": recipe.lr}), "stage") == folder_of(
        recipe,
        "stage",
    )
    elsewhere = shutil.copytree(recipe.root, tmp_path / "elsewhere")
    assert folder_of(replace(recipe, root=str(elsewhere)), "stage") == folder_of(recipe, "stage")
    assert folder_of(replace(recipe, method_options={**recipe.method_options, "tokens": 8}), "stage") == folder_of(
        recipe,
        "stage",
    ), "the default"
    changes = [
        {"seed": 1},
        {"batch_size": 2},
        {"size": (32, 64)},
        {"teacher": {"epochs": 3}},
        {"precision": "bf16-mixed"},
    ]
    changes += [{"method": "ft"}, {"splits": ("val", None, "val")}]
    changes += [
        {"method_options": {**recipe.method_options, **hyper}}
        for hyper in ({"stage_epochs": 3}, {"stage_lr": 1}, {"tokens": 4})
    ]
    folders = [folder_of(recipe, "stage"), *(folder_of(replace(recipe, **change), "stage") for change in changes)]
    assert len(set(folders)) == len(folders)


@methods
def test_a_run_trains_its_stage_once_and_counts_it(method, recipe, monkeypatch):
    recipe = replace(recipe, method=method)
    first = run(recipe, device="cpu", progress=False)
    folder = runs_folder() / folder_of(recipe, "stage")
    checkpoint = (folder / "checkpoint.pt").read_bytes()
    line = first.line
    assert len((folder / "log.jsonl").read_text().splitlines()) == 2
    assert 0 < line["stage_seconds"] < line["seconds"]
    assert line["seconds"] == pytest.approx(line["stage_seconds"] + sum(row["seconds"] for row in first.log), abs=0.11)
    assert line["hyper"]["stage_epochs"] == 2 and line["epochs"] == 1 and len(first.log) == 1

    second = run(replace(recipe, method_options={**recipe.method_options, "weight": 0.5}), device="cpu", progress=False)
    assert (folder / "checkpoint.pt").read_bytes() == checkpoint
    assert second.line["stage_seconds"] == line["stage_seconds"], "counted though it was there"
    assert "stage_seconds" not in run(recipe.of_teacher(), device="cpu").line


def test_a_run_is_the_same_whether_its_stage_was_there_or_not(recipe, monkeypatch, tmp_path):
    first = run(recipe, device="cpu", progress=False)
    monkeypatch.setenv("LIX_RUNS", str(tmp_path / "second"))
    run(replace(recipe, method_options={**recipe.method_options, "weight": 0.5}), device="cpu", progress=False)
    second = run(recipe, device="cpu", progress=False)  # with the stage of that other run
    assert_same(first.net, second.net)
