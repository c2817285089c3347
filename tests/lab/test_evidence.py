"""The experiments of the protocol: valid, distinct, paired, and in the regime that was declared."""

from dataclasses import replace

import pytest

from lixlib.lab.evidence import CHOSEN, EQUAL_PULL, EVIDENCE, LONGER, SAME_COMPUTE
from lixlib.lab.experiments import EXPERIMENTS, recipes
from lixlib.lab.plan import folder_of
from lixlib.lab.regime import REGIME

ON_TOYDRIVE = [name for name, each in EVIDENCE.items() if each.setting.get("dataset", "toydrive") == "toydrive"]


@pytest.mark.parametrize("name", ON_TOYDRIVE)
def test_the_recipes_are_distinct_and_the_seeds_are_those_of_the_protocol(name):
    found = recipes(name, EVIDENCE[name].seeds)
    assert list(found) == list(EVIDENCE[name].variants)
    folders = {folder_of(recipe) for by_seed in found.values() for recipe in by_seed.values()}
    assert len(folders) == len(found) * len(EVIDENCE[name].seeds)


@pytest.mark.parametrize("name", EVIDENCE)
def test_teachers_and_students_have_the_same_length_and_cross_entropy(name):
    for variant, by_seed in recipes(name).items():
        recipe = by_seed[0]
        assert (recipe.class_weights, recipe.ema, recipe.precision) == ("sqrt", 0.99, "bf16-mixed"), variant
        if recipe.distils:
            teacher = recipe.of_teacher()
            same = ("epochs", "batch_size", "lr", "class_weights", "ema", "network_options", "labelled", "seed")
            assert [getattr(teacher, n) for n in same] == [getattr(recipe, n) for n in same], variant


def test_the_student_of_equal_computation_trains_four_times_as_long():
    main = recipes("main")
    assert main[SAME_COMPUTE][0].epochs == LONGER * main["student"][0].epochs == 4 * REGIME["epochs"]


def test_is_it_x_varies_the_teacher_alone():
    found = recipes("is-it-x")
    for name in found:
        if name.endswith(", RGB teacher"):
            with_x, without = found[name.removesuffix(", RGB teacher")][0], found[name][0]
            assert with_x.options == without.options and with_x.of_teacher().x and not without.of_teacher().x


def test_no_name_is_taken_twice_and_quick_recipes_are_small():
    assert not set(EVIDENCE) & set(EXPERIMENTS)
    assert {recipe[0].epochs for recipe in recipes("main", quick=True).values()} == {2}


def test_table_v_with_equal_pulls_varies_kernel_measure_and_weight_alone():
    found = {name: by_seed[0] for name, by_seed in recipes("table-v-equal").items()}
    assert folder_of(found.pop("student")) == folder_of(recipes("main")["student"][0])
    published = found["laplace, cka"]
    assert folder_of(published) == folder_of(recipes("main")["ARFD"][0]), "one run of both tables"
    assert list(found) == list(EQUAL_PULL) and EQUAL_PULL["laplace, cka"] == CHOSEN["arfd"]["weight"]
    for name, recipe in found.items():
        kernel, measure = name.split(", ")
        options = recipe.method_options | {"kernel": kernel, "measure": measure, "weight": EQUAL_PULL[name]}
        assert options == {**published.method_options, **options} and recipe.method_options.items() <= options.items()
        assert replace(recipe, method_options={}) == replace(published, method_options={})
