"""Recipes: what they leave open, what they refuse, what they tell, and the folders that follow from them."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from lixlib import data
from lixlib.distillers import METHODS
from lixlib.lab import inputs, record, results
from lixlib.lab.inputs import Inputs
from lixlib.lab.plan import folder_of, runs_folder
from lixlib.lab.recipe import Recipe
from lixlib.lab.record import result_header

pytestmark = pytest.mark.usefixtures("runs")


def test_a_recipe_takes_the_data_sets_defaults_where_it_says_nothing():
    recipe = Recipe("camvid", epochs=3)
    assert recipe.epochs == 3
    assert recipe.size == data.DATASETS["camvid"].size
    assert recipe.splits == data.DATASETS["camvid"].splits
    assert recipe.unlabelled == 0
    assert Recipe(unlabelled=0).unlabelled == 0
    toydrive = Recipe(dataset_options={"count": 3})
    assert toydrive.unlabelled == data.DATASETS["toydrive"].unlabelled > 0
    assert toydrive.dataset_options == {**data.DATASETS["toydrive"].options, "count": 3}


def test_hyper_goes_over_the_chosen_options_of_its_method():
    assert Recipe(method="dkd", method_options={"weight": 3.0}).options == {**METHODS["dkd"].tuned, "weight": 3.0}
    name, value = next(iter(METHODS["dkd"].tuned.items()))
    assert folder_of(Recipe(method="dkd", method_options={name: value})) == folder_of(Recipe(method="dkd")), (
        "the same run"
    )
    assert Recipe(method="student").options == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset": "ade20k"}, "unknown data set 'ade20k': choose one of toydrive"),
        ({"method": "none"}, "unknown method 'none': choose one of teacher, student"),
        ({"method_options": {"lamda_l": 1}}, "no option 'lamda_l': it takes lambda_l"),
        ({"method": "student", "method_options": {"weight": 1}}, "no option 'weight'"),
        (
            {"teacher": {"epoch": 1}},
            "no 'epoch' of its own: it may have its own network, network_options, dataset_options, seed, epochs",
        ),
        ({"network": "unet"}, "unknown network 'unet': choose one of mfnet, sne-roadseg, off-net"),
        (
            {"network_options": {"encoder": "resnet18"}},
            "network 'mfnet' has no option 'encoder': it takes activated_head",
        ),
        ({"teacher": {"splits": ("a", "b", "c")}}, "no 'splits' of its own"),
        ({"unlabelled": -1}, "unlabelled must be at least 0, found -1"),
        ({"method": "teacher", "auxiliary": 1.0}, "a teacher sees X: it has nothing to predict"),
        ({"method": "teacher", "pretrain": 2}, "a teacher sees X: it has nothing to predict"),
        ({"auxiliary": -1.0}, "auxiliary must be at least 0, found -1.0"),
        ({"pretrain": -1}, "pretrain must be at least 0, found -1"),
    ],
)
def test_a_wrong_recipe_is_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**options)


def test_a_runs_folder_changes_with_everything_but_the_place_of_the_data():
    recipe = Recipe(unlabelled=0)
    assert folder_of(replace(recipe, root="elsewhere")) == folder_of(recipe)
    changes = [{"seed": 1}, {"size": (32, 64)}, {"epochs": 7}, {"batch_size": 2}, {"lr": 0.1}, {"patience": 3}]
    changes += [
        {"precision": "bf16-mixed"},
        {"method_options": {"lambda_l": 2}},
        {"dataset_options": {"count": 3}},
        {"method": "kd"},
    ]
    changes += [
        {"splits": ("train", None, "val")},
        {"teacher": {"epochs": 9}},
        {"dataset": "camvid", "dataset_options": {}},
    ]
    changes += [{"unlabelled": 3}, {"network_options": {"activated_head": False}}, {"network": "off-net"}]
    changes += [{"auxiliary": 1.0}, {"auxiliary": 0.5}, {"pretrain": 2}, {"pretrain": 3}]
    folders = [folder_of(recipe), *(folder_of(replace(recipe, **change)) for change in changes)]
    assert len(set(folders)) == len(folders)
    assert folder_of(Recipe(size=[64, 208])) == folder_of(Recipe(size=(64, 208)))


def test_the_folders_of_committed_runs_keep_their_names():
    (*_, line) = results.read(Path(__file__).parents[2] / "results" / "history", "toydrive")
    recipe = Recipe.read({name: tuple(v) if isinstance(v, list) else v for name, v in line["recipe"].items()})
    assert str(folder_of(recipe.of_teacher())) == line["teacher"]


def test_a_result_line_tells_the_networks_options_and_no_folder_of_this_machine():
    options = {"encoder": "resnet18", "checkpointing": True}
    line = result_header(Inputs(Recipe(network="sne-roadseg", network_options=options)))
    assert line["hyper"]["net"] == line["recipe"]["net"] == options
    line = result_header(Inputs(Recipe()))
    assert "net" not in line["hyper"] and "net" not in line["recipe"]


def test_what_is_not_in_use_is_not_told():
    """So that the runs of before these options existed keep their folders and lines."""
    for recipe in (Recipe(), Recipe(auxiliary=0.0, pretrain=0)):
        assert not {"auxiliary", "pretrain", "net", "root"} & recipe.described.keys()
        assert not {"auxiliary", "pretrain"} & result_header(Inputs(recipe))["hyper"].keys()
    told = Recipe(auxiliary=0.5, pretrain=3)
    assert (told.described["auxiliary"], told.described["pretrain"]) == (0.5, 3)
    assert result_header(Inputs(told))["hyper"].items() >= {"auxiliary": 0.5, "pretrain": 3}.items()
    assert folder_of(told.of_teacher()) == folder_of(Recipe().of_teacher()), "one teacher for both"


def test_runs_that_start_from_one_pretraining_share_it():
    recipe = Recipe(method="kd", pretrain=3)
    for other in ({"method": "student"}, {"method": "lix"}, {"epochs": 9}, {"auxiliary": 1.0}, {"root": "elsewhere"}):
        assert folder_of(replace(recipe, **other), "pretraining") == folder_of(recipe, "pretraining"), other
    changes = [
        {"seed": 1},
        {"batch_size": 2},
        {"size": (32, 64)},
        {"pretrain": 2},
        {"precision": "bf16-mixed"},
        {"lr": 0.1},
    ]
    changes += [
        {"unlabelled": 8},
        {"dataset_options": {"count": 3}},
        {"network": "off-net"},
        {"splits": ("val", None, "val")},
    ]
    folders = [folder_of(each, "pretraining") for each in (recipe, *(replace(recipe, **change) for change in changes))]
    assert len(set(folders)) == len(folders)


def test_a_teacher_may_have_seen_other_frames_than_its_student():
    recipe = Recipe(method="kd", dataset_options={"count": 4}, teacher={"dataset_options": {"count": 8}, "epochs": 3})
    teacher = recipe.of_teacher()
    assert (
        teacher.dataset_options == {**data.DATASETS["toydrive"].options, "count": 8}
        and recipe.dataset_options["count"] == 4
    )
    assert folder_of(teacher) == folder_of(Recipe(method="teacher", dataset_options={"count": 8}, epochs=3))
    assert folder_of(recipe) != folder_of(replace(recipe, teacher={"epochs": 3}))
    small = {"size": (16, 32), "unlabelled": 2}
    recipe = replace(recipe, dataset_options={"count": 4, "eval_count": 2}, **small)
    recipe = replace(recipe, teacher={"dataset_options": {"count": 8, "eval_count": 2}})
    assert [len(inputs.load(each, "train", with_x=True)) for each in (recipe, recipe.of_teacher())] == [4, 8]


def test_a_teacher_of_another_network_has_none_of_the_students_options():
    student = Recipe(network="sne-roadseg", network_options={"encoder": "resnet18"})
    assert student.of_teacher().network_options == {"encoder": "resnet18"}
    assert replace(student, teacher={"network_options": {"encoder": "resnet50"}}).of_teacher().network_options == {
        "encoder": "resnet50"
    }
    assert replace(student, teacher={"network": "mfnet"}).of_teacher().network_options == {}


def test_a_teachers_recipe_has_its_own_schedule_and_nothing_of_the_method():
    recipe = Recipe(seed=3, method_options={"lambda_l": 2}, teacher={"epochs": 9})
    assert recipe.of_teacher() == replace(recipe, method="teacher", method_options={}, teacher={}, epochs=9)


@pytest.mark.parametrize("method", ["teacher", "student"])
def test_who_is_not_distilled_learns_from_labels_alone(method):
    assert Recipe(method=method).unlabelled == 0
    alone = replace(Recipe(unlabelled=4), method=method)
    assert (alone.unlabelled, alone.in_vain) == (0, 4) and alone == Recipe(method=method)
    assert Recipe(method=method).in_vain == Recipe(unlabelled=4).in_vain == replace(alone, seed=1).in_vain == 0
    assert folder_of(Recipe(unlabelled=4).of_teacher()) == folder_of(Recipe(unlabelled=8).of_teacher()), (
        "one teacher for both"
    )


def test_the_home_folder_may_be_a_tilde(monkeypatch, tmp_path, camvid_root):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LIX_RUNS", "~/runs")
    assert runs_folder() == tmp_path / "runs"
    shutil.copytree(camvid_root, tmp_path / "camvid")
    assert len(inputs.load(Recipe("camvid", root="~/camvid"), "val", with_x=False)) == 4


@pytest.mark.parametrize(
    ("changes", "reduced"),
    [
        ({}, False),
        ({"size": (400, 1300), "epochs": 600, "batch_size": 16}, False),
        ({"epochs": 499}, True),
        ({"size": (384, 1247)}, True),
        ({"size": (383, 1248)}, True),
        ({"batch_size": 7}, True),
        ({"network": "sne-roadseg", "batch_size": 3}, False),
        ({"network": "sne-roadseg", "batch_size": 2}, True),
        ({"patience": 20, "splits": ("train", "val", "val")}, False),
    ],
)
def test_reduced_is_measured_by_the_papers_schedule(changes, reduced):
    recipe = Recipe("kitti", **changes)
    line = {**recipe.described, "recipe": recipe.described}
    assert record.is_reduced(line) is reduced
    stopped_early = {**line, "epochs": 60}
    assert record.is_reduced(stopped_early) is reduced, "stopping early is no cut"


def test_every_default_of_a_small_data_set_is_reduced():
    for name in ("toydrive", "camvid", "potholes"):
        assert record.is_reduced(Recipe(name).described | {"recipe": {}}), name


def test_reading_a_strangers_recipe_runs_no_code_without_trust(tmp_path, monkeypatch):
    (tmp_path / "evil_recipe_nets.py").write_text("raise SystemExit('it ran')")
    monkeypatch.syspath_prepend(str(tmp_path))
    described = {**Recipe(method="kd").described, "network": "evil_recipe_nets:net"}
    with pytest.raises(ValueError, match="runs code of its module: trust it"):
        Recipe.read(described)
    with pytest.raises(ValueError, match="evil_recipe_nets cannot be imported: SystemExit: it ran"):
        Recipe.read(described, trust=True)


def test_one_field_under_two_names():
    with pytest.raises(ValueError, match="batch and batch_size are two names of one field: give it once"):
        Recipe(method="kd", teacher={"epochs": 2, "batch": 2, "batch_size": 4})
