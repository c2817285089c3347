"""Values of options: every option of everything refuses in one line what is not of its type and range."""

import json
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from annotated_types import Interval

from lixlib import checkpoints, data, nets
from lixlib.core import options
from lixlib.core.files import read_json_lines
from lixlib.core.options import OptionsOf, check, of, shown
from lixlib.distillers import METHODS, Distiller, DynamicWeightController, build
from lixlib.distillers.common import check_options
from lixlib.lab import experiments
from lixlib.lab.grid import grid
from lixlib.lab.recipe import TEACHER_OVERRIDES, Recipe, all_methods
from lixlib.nets import Output
from lixlib.training import Schedule

ROOT = Path(__file__).resolve().parents[2]
DEEP = []
for _ in range(100_000):
    DEEP = [DEEP]
HOSTILE = {
    "a string": "x",
    "an empty string": "",
    "null": None,
    "a list": [1, "x"],
    "an empty list": [],
    "an object": {"a": 1},
    "an empty object": {},
    "a boolean": True,
    "NaN": float("nan"),
    "1e400": json.loads("1e400"),
    "a huge whole number": 10**5000,
    "-1": -1,
    "0": 0,
    "1.5": 1.5,
    "brackets": DEEP,
    "a tensor": torch.zeros(2),
}
OF_METHODS = {name: of(method.make) for name, method in METHODS.items()}
OF_NETWORKS = {name: of(network) for name, network in nets.NETWORKS.items()}
OF_DATA = {
    name: [*of(reader, *data.ELSEWHERE), "split", "size", "root", "with_x"]
    for name in data.from_files()
    for reader in [data.DATASETS[name].read]
}
OF_DATA["toydrive"] = [*of(data.ToyDrive, "size"), "eval_count", "split", "size", "root", "with_x"]


def accepted(make, name, holds=None) -> list[str]:
    """Of the hostile values those that are taken; all others must give one line that names the option."""
    taken = []
    for what, value in HOSTILE.items():
        try:
            made = make(value)
        except ValueError as error:
            assert name in str(error) and len(str(error).splitlines()) == 1 and len(str(error)) < 700, what
        else:
            taken.append(what)
            assert holds is None or holds(made) is value, what
    return taken


def wrong(taken, annotation) -> set:
    """Of what was taken, what the annotation does not allow, by a second look that knows nothing of pydantic."""
    text = str(annotation)
    allowed = set()
    if "float" in text:
        allowed |= {"1.5"}
    if "float" in text or "int" in text:
        allowed |= {"0", "-1"}
    if "bool" in text:
        allowed |= {"a boolean"}
    if "str" in text and "tuple" not in text:
        allowed |= {"a string", "an empty string"}
    if "dict" in text:
        allowed |= {"an empty object"}
    if "None" in text or "Optional" in text:
        allowed |= {"null"}
    return set(taken) - allowed


@pytest.mark.parametrize("method", list(METHODS))
def test_options_of_a_method(method):
    for name, annotation in OF_METHODS[method].items():
        taken = accepted(
            lambda value, name=name: Recipe(method=method, method_options={name: value}),
            name,
            lambda recipe, name=name: recipe.method_options[name],
        )
        assert not wrong(taken, annotation), name
        assert "-1" not in taken, "no option of any method may be negative"
    for name, annotation in OF_METHODS[method].items():
        for marker in getattr(annotation, "__metadata__", ()):
            if isinstance(marker, OptionsOf):  # of lix
                for inner, kind in of(marker.owner).items():
                    taken = accepted(
                        lambda value, name=name, inner=inner: Recipe(
                            method=method, method_options={name: {inner: value}}
                        ),
                        inner,
                    )
                    assert not wrong(taken, kind), inner


@pytest.mark.parametrize("network", nets.NETWORKS)
def test_options_of_a_network(network):
    for name, annotation in OF_NETWORKS[network].items():
        assert not wrong(
            accepted(lambda value, name=name: Recipe(network=network, network_options={name: value}), name), annotation
        )
        for value in ("x", None, [1], float("nan")):
            with pytest.raises(ValueError, match=f"network '{network}': {name} must be .*, found "):
                nets.build(network, num_classes=2, **{name: value})
    for name in ("num_classes", "x_channels"):
        taken = accepted(lambda value, name=name: nets.build(network, **{"num_classes": 2, name: value}), name)
        assert set(taken) <= {"null"}


@pytest.mark.parametrize("dataset", data.DATASETS)
def test_options_of_a_data_set(dataset):
    for name in OF_DATA[dataset]:
        taken = accepted(
            lambda value, name=name: Recipe(dataset, method="student", dataset_options={name: value}), name
        )
        assert not set(taken) - {"a string", "an empty string", "null", "0", "1.5", "a boolean"}, name
        if name in data.ELSEWHERE:
            assert not taken, "it would be given twice"
    for name in ("split", "size", "root", "with_x"):
        with pytest.raises(ValueError, match=f"{name} is no option of its own, it is chosen by"):
            data.check_options(dataset, {name: 1})


@pytest.mark.parametrize("name", [field.name for field in fields(Recipe)])
def test_options_of_a_recipe(name):
    makes = [lambda value: Recipe(**{name: value})]
    if name in TEACHER_OVERRIDES:
        makes += [
            lambda value: Recipe(method="kd", teacher={name: value}),
            lambda v: Recipe("camvid", teacher={name: v}),
        ]
    (kind,) = (field.type for field in fields(Recipe) if field.name == name)
    for make in makes:
        taken = set(accepted(make, "" if name == "dataset" or name.endswith("_options") else name))
        if kind is dict:
            assert taken <= {"an empty object"}
        elif kind is str:
            assert not taken
        else:
            assert not wrong(taken, kind)


def test_options_of_a_schedule():
    for field in fields(Schedule):
        assert not wrong(accepted(lambda value, name=field.name: Schedule(**{name: value}), field.name), field.type)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epochs": 0}, "Recipe: epochs must be at least 1, found 0"),
        ({"epochs": 1.5}, "Recipe: epochs must be a valid integer, found 1.5"),
        ({"size": (0, 0)}, r"Recipe: size\[0\] must be at least 1, found 0"),
        ({"size": 3}, r"Recipe: size must be a list of two whole numbers, found 3"),
        ({"augmentation": {"scale": 2}}, "augmentation: Augment: scale must be a list of two numbers, found 2"),
        ({"size": (3, -5)}, r"Recipe: size\[1\] must be at least 1, found -5"),
        ({"size": (3, 4, 5)}, r"Recipe: size must have at most 2 items, found \(3, 4, 5\)"),
        ({"size": (8000, 8000)}, "size 8000 x 8000 is more than 8388608 pixels: choose a smaller one"),
        ({"seed": 2**63}, "Recipe: seed must be at most 4294967295"),
        ({"patience": -1}, "Recipe: patience must be at least 0"),
        ({"patience": 2, "splits": ("train", None, "test")}, r"patience 2.* needs a validation split"),
        ({"batch_size": 0}, "Recipe: batch_size must be at least 1"),
        ({"lr": float("inf")}, "Recipe: lr must be a finite number, found inf"),
        ({"precision": "64-true"}, "Recipe: precision must be '32-true', 'bf16-mixed' or '16-mixed', found '64-true'"),
        ({"method_options": {"lambda_l": True}}, "LIX: lambda_l must be a valid number, found True"),
        ({"method_options": {"lambda_l": -1}}, "LIX: lambda_l must be at least 0, found -1"),
        ({"method_options": {"logit": {"depth": 0}}}, "LIX: logit, DWLD: depth must be at least 1, found 0"),
        (
            {"method_options": {"logit": {"deep": 0}}},
            "LIX: logit, DWLD has no option 'deep': it takes weight, temperature",
        ),
        ({"method_options": {"feature": 3}}, "LIX: feature must be an? ?.*object of names and values, found 3"),
        ({"method_options": {1: 2}}, "LIX has no option 1: it takes lambda_l"),
        ({"method_options": {"lambda_l": 10**30}}, "LIX: lambda_l must be at most 10+, found 10+$"),
        ({"lr": 1e300}, r"Recipe: lr must be at most 10+, found 1e\+300"),
        (
            {"teacher": {"dataset_options": {"x": "depth"}}},
            "teacher: it would learn from x 'depth' and .* the student's, 'disparity'",
        ),
        (
            {"dataset_options": {"x": "depth"}, "teacher": {"dataset_options": {}}},
            "teacher: it would learn from x 'disparity'",
        ),
        ({"teacher": {"epochs": "x"}}, "teacher: Recipe: epochs must be a valid integer, found 'x'"),
        ({"teacher": {"network": "unet"}}, "teacher: unknown network 'unet': choose one of mfnet"),
        (
            {"teacher": {"dataset_options": {"size": 3}}},
            r"teacher: data set 'toydrive': size .* chosen by size \(--size H W\)",
        ),
        ({"network_options": {"width": 1e9}}, "network 'mfnet': width must be at most 16"),
        (
            {"dataset_options": {"fault": "fog"}},
            "data set 'toydrive': fault must be 'noise', 'holes', 'scale' or 'shift', found",
        ),
        ({"dataset_options": {"eval_count": 0}}, "data set 'toydrive': eval_count must be at least 1, found 0"),
    ],
)
def test_the_line_names_option_value_and_what_is_expected(wrong, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**wrong)


def test_what_json_writes_is_taken():
    recipe = Recipe(
        size=[32, 48],
        splits=["train", None, "test"],
        method_options={"lambda_l": 1, "feature": {"taps": ["conv2", "conv3"], "bandwidth": None}},
    )
    assert recipe.size == (32, 48) and recipe.splits == ("train", None, "test")
    assert recipe.method_options["lambda_l"] == 1 and isinstance(recipe.method_options["lambda_l"], int), (
        "as it was given"
    )
    with pytest.raises(ValueError, match="epochs must be a valid integer, found 1.0"):
        Recipe(epochs=1.0)


def test_a_program_gets_the_same_lines():
    tap = torch.zeros(1, 3, 4, 4)
    output = Output(torch.zeros(1, 2, 4, 4), {"tap": tap})
    with pytest.raises(ValueError, match="KD: weight must be at least 0, found -1"):
        build("kd", output, output, weight=-1)
    with pytest.raises(ValueError, match="^KD: temperature must be above 0, found 0"):
        METHODS["kd"].make(output, output, temperature=0)
    with pytest.raises(ValueError, match="^KD has no option 'taps': it takes weight, temperature"):
        METHODS["kd"].make(output, output, taps=())
    with pytest.raises(ValueError, match="unknown method 3"):
        build(3, output, output)
    with pytest.raises(ValueError, match="auxiliary must be a valid number, found 'x'"):
        Distiller(torch.nn.Identity(), auxiliary="x")
    with pytest.raises(ValueError, match="DynamicWeightController: depth must be at least 1"):
        DynamicWeightController(3, depth=0)
    with pytest.raises(ValueError, match=r"data set 'camvid': size\[0\] must be a valid integer, found 'x'"):
        data.load("camvid", "train", root="nowhere", size=("x", 3))
    with pytest.raises(ValueError, match="data set 'camvid': root must be .*, found 3"):
        data.load("camvid", "train", root=3, size=None)
    with pytest.raises(ValueError, match=r"unknown data set \[\]"):
        data.load([], "train", size=None)


def committed():
    """Every recipe of a committed result line."""
    for path in sorted((ROOT / "results").rglob("*.jsonl")):
        if path.parts[-3] == "search":  # tries whose code has left the library (docs/lix_ours.md)
            continue
        for number, line in enumerate(read_json_lines(path), start=1):
            if isinstance(line.get("recipe"), dict) and "dataset" in line["recipe"]:
                yield f"{path.relative_to(ROOT)}, line {number}", line["recipe"]
    for name, about in checkpoints.index().items():
        yield name, about["result"]["recipe"]


def test_recipes_of_committed_results_are_still_taken():
    count = 0
    for place, recipe in committed():
        try:
            made = Recipe.read(recipe)
        except (ValueError, TypeError) as error:
            pytest.fail(f"{place}: {error}")
        told = made.described
        assert json.loads(json.dumps(told)) == {**recipe, **{k: v for k, v in told.items() if k not in recipe}}, place
        count += 1
    assert count > 500


def test_recipes_of_experiments_and_comparisons_are_taken():
    for name in experiments.EXPERIMENTS:
        for quick in (False, True):
            experiments.recipes(name, quick=quick)
    assert len(grid(datasets=data.DATASETS, networks=nets.NETWORKS)) == 3 * 9 * len(all_methods())
    for method in METHODS.values():
        for tuned in (method.tuned, method.tuned_labelled_only, method.published or {}):
            check_options(method.make, tuned)


def test_annotations_may_be_strings_or_missing():
    def plain(*, known: "Interval | int", unknown=3):
        pass

    assert of(plain) == {"known": Interval | int, "unknown": options.Any}
    assert check("f", of(plain), {"unknown": [1, 2]}) == {"unknown": (1, 2)}


def test_a_long_value_is_cut():
    assert shown("x" * 1000) == "'" + "x" * 59 + "..."
    assert shown(10**5000) == "a huge int" and shown(DEEP) == "a huge list"
    assert "\n" not in shown(torch.zeros(3, 3))
