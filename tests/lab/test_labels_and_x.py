"""Recipes that take labels away, or X from the teacher: the same images for every method, recorded, and trained."""

import shutil

import pytest
from own_folder import COUNTS, own_folder

from lixlib.data.unlabelled import divide
from lixlib.lab.inputs import Inputs
from lixlib.lab.plan import folder_of
from lixlib.lab.recipe import Recipe
from lixlib.lab.record import result_header
from lixlib.lab.run import run
from lixlib.lab.workers import command_of

pytestmark = pytest.mark.usefixtures("runs")

SMALL = {"size": (16, 32), "epochs": 1, "batch_size": 2, "network_options": {"width": 0.25}}


def camvid(root, **options) -> Recipe:
    return Recipe("camvid", root=str(root), **{**SMALL, **options})


def test_the_draw():
    kept, left = divide(10, 4, seed=3)
    assert len(kept) == 4 and sorted(kept + left) == [*range(10)]
    assert divide(10, 4, seed=3) == (kept, left) != divide(10, 4, seed=4)
    with pytest.raises(ValueError, match="labelled is 11, and the training split has 10 images"):
        divide(10, 11, seed=0)


def test_labels_are_taken_away_alike_for_every_method(camvid_root):
    student, distilled = (camvid(camvid_root, method=m, labelled=5, unlabelled=8) for m in ("student", "kd"))
    kept = [sample.name for sample in Inputs(student).train]
    train = Inputs(distilled).train
    assert len(kept) == 5 and [sample.name for sample in train.labelled] == kept
    assert len(train.unlabelled) == 8 and not {sample.name for sample in train.unlabelled} & set(kept)
    assert all((sample.label == 255).all() for sample in train.unlabelled)
    with pytest.raises(ValueError, match="unlabelled is 12, and 11 of the split train are left"):
        len(Inputs(camvid(camvid_root, method="kd", labelled=5, unlabelled=12)).train)
    assert len(Inputs(camvid(camvid_root, method="kd", unlabelled=16)).train.unlabelled) == 16


def test_they_are_recorded_only_where_in_use(camvid_root):
    plain, fewer = (camvid(camvid_root, method="kd", **options) for options in ({}, {"labelled": 4, "unlabelled": 6}))
    assert not {"labelled", "x"} & plain.described.keys() and "labelled" not in result_header(Inputs(plain))["hyper"]
    line = result_header(Inputs(fewer))
    assert line["hyper"]["labelled"] == line["recipe"]["labelled"] == 4 and line["hyper"]["unlabelled"] == 6
    assert folder_of(plain) != folder_of(fewer) and "--labelled 4" in command_of(fewer)


def test_a_distilled_student_of_few_labels(camvid_root):
    finished = run(camvid(camvid_root, method="kd", labelled=4, unlabelled=6), device="cpu", progress=False)
    assert finished.line["updates"] == 2 and finished.teacher.line["updates"] == 2
    assert finished.line["metrics"]["mIoU"] is not None


def test_a_teacher_of_rgb_alone():
    data = {"count": 4, "eval_count": 2}
    common = {**SMALL, "dataset_options": data, "unlabelled": 2}
    control = run(Recipe(method="kd", teacher={"x": False}, **common), device="cpu", progress=False)
    assert control.teacher.net.x_channels is None and control.teacher.recipe.x is False
    assert control.line["hyper"]["teacher"] == {"x": False} and control.teacher.line["hyper"]["x"] is False
    assert "--no-x" in command_of(control.teacher.recipe)
    usual = Recipe(method="kd", **common)
    assert usual.of_teacher().x and folder_of(usual) != folder_of(control.recipe)
    assert not control.recipe.needs_x and usual.needs_x


def test_it_needs_no_files_of_x(camvid_root, tmp_path):
    root = tmp_path / "camvid"
    shutil.copytree(camvid_root, root)
    for split in ("train", "val"):
        shutil.rmtree(root / f"{split}disp")
    recipe = camvid(root, method="kd", teacher={"x": False})
    assert run(recipe, device="cpu", progress=False).line["teacher"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "kd", "x": False}, "a student never sees X; of its teacher say it by teacher"),
        ({"method": "kd", "labelled": 0}, "labelled must be at least 1"),
        ({"method": "kd", "teacher": {"x": "no"}}, "teacher: Recipe: x must be"),
    ],
)
def test_what_is_wrong_is_told(options, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**options)


@pytest.mark.parametrize("given", ["unlabelled/", "nothing"])
def test_images_without_labels_for_the_student_of_a_teacher_of_rgb_alone(tmp_path, given):
    counts = COUNTS | {"train": 10} if given == "unlabelled/" else {"train": 10, "test": 2}
    root = own_folder(tmp_path / "mine", counts)
    shared = {"root": str(root), "unlabelled": 3, "labelled": 6, "method": "kd", "teacher": {"x": False}}
    recipe = Recipe("folder", splits=("train", None, "test"), **{**SMALL, **shared})
    with_x = [sample.x.any() for sample in (Inputs(recipe).train[i] for i in (0, -1))]
    assert not any(with_x), "nobody looks at X"
    assert run(recipe, device="cpu", progress=False).line["hyper"]["teacher"] == {"x": False}
    shutil.rmtree(root / "train" / "x")
    shutil.rmtree(root / "unlabelled" / "x", ignore_errors=True)
    assert len(Inputs(recipe).train) == 2 * 6, "X need not be there"
    usual = Recipe("folder", splits=("train", None, "test"), **{**SMALL, **shared, "teacher": {}})
    with pytest.raises(FileNotFoundError, match="no folder .*/x"):
        len(Inputs(usual).train)
