"""How a recipe trains, field by field: told, paired, and part of the run's identity."""

from dataclasses import replace

import pytest
import torch

from lixlib.lab.grid import grid
from lixlib.lab.inputs import Inputs
from lixlib.lab.plan import folder_of
from lixlib.lab.prepare import schedule_of
from lixlib.lab.recipe import Recipe
from lixlib.lab.record import result_header
from lixlib.lab.run import run

pytestmark = pytest.mark.usefixtures("runs")

SMALL = {"size": (16, 32), "epochs": 2, "batch_size": 2, "dataset_options": {"count": 4, "eval_count": 2}}
SMALL |= {"unlabelled": 0, "network_options": {"width": 0.25}}


def test_they_are_told_where_they_are_in_use_and_hold_for_the_teacher():
    plain = Recipe(method="kd")
    assert not {"class_weights", "ema"} & {*plain.described, *result_header(Inputs(plain))["hyper"]}
    told = Recipe(method="kd", class_weights="sqrt", ema=0.99)
    assert result_header(Inputs(told))["hyper"].items() >= {"class_weights": "sqrt", "ema": 0.99}.items()
    assert (told.of_teacher().class_weights, told.of_teacher().ema) == ("sqrt", 0.99)
    alone = Recipe(method="kd", class_weights="sqrt", ema=0.99, teacher={"class_weights": "none", "ema": 0.0})
    assert folder_of(alone.of_teacher()) == folder_of(plain.of_teacher()), "one teacher for both"
    assert len({folder_of(each) for each in (plain, told, alone)}) == 3
    assert Recipe.read(told.described) == told


def test_optimiser_and_augmentation_are_told_where_they_are_not_the_usual_ones():
    usual = {"momentum": 0.9, "weight_decay": 5e-4, "augmentation": {}}
    plain, same = Recipe(method="kd"), Recipe(method="kd", **usual)
    assert same == plain and not usual.keys() & {*plain.described, *result_header(Inputs(plain))["hyper"]}
    changes = {"momentum": 0.5, "weight_decay": 0.0, "augmentation": {"jitter": 0.3}}
    told = Recipe(method="kd", **changes)
    assert result_header(Inputs(told))["hyper"].items() >= changes.items()
    assert Recipe.read(told.described) == told and folder_of(told) != folder_of(plain)
    for kind in ("stage", "pretraining"):
        assert folder_of(replace(told, method="ft"), kind) != folder_of(replace(plain, method="ft"), kind)
    assert folder_of(replace(told, teacher=usual).of_teacher()) == folder_of(plain.of_teacher())
    assert (schedule_of(told).momentum, schedule_of(told).weight_decay) == (0.5, 0.0)


@pytest.mark.parametrize(
    "change",
    [
        {"class_weights": "median"},
        {"ema": 0.9},
        {"momentum": 0.5},
        {"weight_decay": 0.1},
        {"augmentation": {"flip": 0}},
    ],
)
def test_a_student_starts_the_same_and_ends_elsewhere(change):
    plain, other = (run(Recipe(method="student", **SMALL, **each), progress=False) for each in ({}, change))
    assert plain.log[0].keys() == other.log[0].keys()
    weights, others = plain.net.state_dict(), other.net.state_dict()
    assert weights.keys() == others.keys(), "nothing of them is left in the weights"
    assert any(not torch.equal(weights[name], others[name]) for name in weights)
    if "ema" in change:
        assert plain.log[0]["ce"] == other.log[0]["ce"], "the updates are the same"


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="class_weights must be 'none', 'sqrt', 'median' or 'enet', found 'squares'"):
        Recipe(class_weights="squares")
    for given, problem in (
        ({"flips": 1}, "Augment has no option 'flips'"),
        ({"scale": [0, 1]}, r"Augment: scale\[0\] must be above 0"),
        ({"scale": [1, 0.5]}, "give the lower bound first"),
    ):
        with pytest.raises(ValueError, match=problem):
            Recipe(augmentation=given)
    with pytest.raises(ValueError, match="ema must be less than 1|ema must be below 1"):
        Recipe(ema=1.0)


def test_a_grid_takes_options_by_the_name_of_a_method():
    options = {"kd": {"weight": 0.5}, "lix": {"lambda_f": 2.0}}
    found = {
        recipe.method: recipe.options
        for recipe in grid(methods=("student", "kd", "dkd", "lix"), method_options=options)
    }
    assert (
        found["kd"] == {"weight": 0.5}
        and found["lix"]["lambda_f"] == 2.0
        and found["dkd"] == Recipe(method="dkd").options
    )
    for wrong, problem in (
        ({"student": {"weight": 1}}, "method_options has student, and is for kd here"),
        ({"at": {"weight": 1}}, "method_options has at, and is for kd here"),
        ({"kd": 3}, "method_options of kd is 3: write"),
        ({"kd": {"alpha": 3}}, "no option 'alpha'"),
    ):
        with pytest.raises(ValueError, match=problem):
            grid(methods=("student", "kd"), method_options=wrong)
