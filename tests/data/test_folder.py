"""A data set of one's own: what its folders and two JSON files may say, and what is told where they are wrong."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from own_folder import NAMES, own_folder, say, write
from PIL import Image

from lixlib import checkpoints, data
from lixlib.cli.photographs import class_table
from lixlib.data.image_files import open_measured
from lixlib.data.readers import folder
from lixlib.lab.plan import folder_of
from lixlib.lab.recipe import Recipe
from lixlib.lab.run import run


@pytest.fixture
def root(tmp_path) -> Path:
    """A folder of six, two and two images of 24 x 32, with depth in millimetres, and four without labels."""
    return own_folder(tmp_path)


def load(root: Path, split: str = "train", **options):
    return data.load("folder", split, root=root, size=None, **options)


def test_files_that_belong_together(root):
    train = load(root, x="depth")
    sample = train[0]
    label = np.array(Image.open(root / "train" / "label" / "train0.png"))
    assert len(train) == 6 and train.classes.names == tuple(NAMES) and train.x_channels == 1
    assert torch.equal(sample.label, torch.from_numpy(label).long()) and sample.unit == "depth / 10 m"
    expected = (1 + 0.5 * torch.from_numpy(label).float().clamp(0, 3)) / 10
    torch.testing.assert_close(sample.x[0], expected, rtol=1e-3, atol=1e-3)
    assert load(root)[0].unit == "2 m / depth"


def test_images_without_labels(root):
    samples = load(root, "unlabelled")
    assert len(samples) == 4 and (samples[0].label == 255).all() and samples[0].valid.all()


def test_a_student_needs_no_x(root):
    for split in ("train", "test"):
        shutil.rmtree(root / split / "x")
    (root / "x.json").unlink()
    assert not load(root, with_x=False)[0].valid.any()
    with pytest.raises(FileNotFoundError, match="no folder .*x"):
        load(root)


def test_values_and_colours_of_label_files(root):
    say(root, "classes.json", names=NAMES, values={"0": 2, "1": 1, "2": 0}, ignore=[255])
    mapped, label = load(root)[0].label, np.array(Image.open(root / "train" / "label" / "train0.png"))
    assert torch.equal(mapped, torch.from_numpy(np.where(label == 255, 255, 2 - label.astype(int))))
    colours = np.array([[10, 0, 0], [0, 20, 0], [0, 0, 30], [0, 0, 0]], np.uint8)
    for path in (root / "train" / "label").iterdir():
        write(path, colours[np.array(Image.open(path)).clip(max=3)])
    say(root, "classes.json", names=NAMES, colours=colours[:3].tolist(), ignore=[[0, 0, 0]])
    train = load(root)
    assert torch.equal(train[0].label, torch.from_numpy(label).long())
    assert train.classes.colours.tolist() == colours[:3].tolist()
    say(root, "classes.json", names=NAMES)
    with pytest.raises(ValueError, match="train0.png: this is a colour image: say in .*classes.json"):
        load(root)[0]


def test_other_x_is_scaled_alike_in_every_split(root):
    say(root, "x.json", kind="other")
    train, test = load(root)[0], load(root, "test")[0]
    assert train.unit == test.unit == "from 1000 to 2500" and train.valid.all()
    assert 0 <= train.x.min() <= train.x.max() <= 1
    say(root, "x.json", kind="other", scale=4000)
    assert load(root)[0].x.max() == 2500 / 4000
    for path in [*root.glob("*/x/*.png")]:
        write(path, np.dstack([np.array(Image.open(path)) // 16] * 3).astype(np.uint8))
    assert load(root).x_channels == 3 and load(root)[0].x.shape == (3, 24, 32)


def test_percentiles_are_computed_once_for_the_same_files(root, monkeypatch):
    say(root, "x.json", kind="other")
    opened = []
    monkeypatch.setattr(folder, "open_measured", lambda path, channels: opened.append(path) or open_measured(path, 1))
    assert load(root).measured == load(root, "test").measured == load(root).measured and len(opened) == 6
    write(root / "train" / "x" / "train0.png", np.full((24, 32), 9000, np.uint16))
    assert load(root).measured.high == 9000 and len(opened) == 12


def test_a_disparity_with_and_without_a_scale(root):
    say(root, "x.json", kind="disparity")
    assert load(root)[0].unit == "relative inverse depth"
    with pytest.raises(ValueError, match="needs depth in metres"):
        load(root, x="depth")
    say(root, "x.json", kind="disparity", scale=4000.0)  # 2500 is then 1.6 m away
    assert load(root, x="depth")[0].x.max().item() == pytest.approx(4 / 80, rel=1e-2)


def test_normals_need_a_camera(root):
    with pytest.raises(ValueError, match="x.json names no camera"):
        load(root, x="normals")
    say(root, "x.json", kind="depth", metres_per_unit=0.001, camera={"fx": 30, "fy": 30, "cx": 16, "cy": 12})
    assert load(root, x="normals")[0].x.shape == (3, 24, 32)


@pytest.mark.parametrize(
    ("name", "what", "message"),
    [
        ("classes.json", {"names": []}, "names must"),
        ("classes.json", {"colours": []}, "must be an object that names 'names'"),
        ("classes.json", {"names": ["a", "a"]}, "names must be up to 255 different ones, found 1 in a list of 2"),
        ("classes.json", {"names": NAMES, "colours": [[1, 2, 3]]}, "colours must be 3 lists"),
        ("classes.json", {"names": NAMES, "values": {"x": 0}}, "values has 'x', which is no number"),
        ("classes.json", {"names": NAMES, "values": {"7": 3}}, "values lead to class 3"),
        ("classes.json", {"names": NAMES, "values": {"1000000": 0}}, "from 0 to 999999, found 1000000"),
        ("classes.json", {"names": NAMES, "ignore": [-1]}, "from 0 to 999999, found -1"),  # it once stood for any
        ("classes.json", {"names": NAMES, "ignore": [[1, 2]]}, r"ignore has \[1, 2\], which is neither"),
        ("classes.json", {"names": NAMES, "color": []}, "has no option 'color'"),
        ("x.json", {"kind": "depht"}, "kind must be 'depth', 'disparity', 'relative' or 'other', found 'depht'"),
        ("x.json", {"kind": "depth"}, "add metres_per_unit"),
        ("x.json", {"kind": "depth", "metres_per_unit": 1.0, "camera": {"fx": 1.0}}, "camera has no fy"),
    ],
)
def test_what_is_wrong_is_told(root, name, what, message):
    say(root, name, **what)
    with pytest.raises(ValueError, match=message) as error:
        load(root)
    assert str(root / name) in str(error.value)


def test_missing_parts_are_told(root):
    (root / "train" / "label" / "train3.png").unlink()
    with pytest.raises(FileNotFoundError, match="train3.png"):
        load(root)[3]
    with pytest.raises(FileNotFoundError, match="has the splits test, train, unlabelled, val"):
        load(root, "training")
    (root / "classes.json").unlink()
    with pytest.raises(FileNotFoundError, match="no file .*classes.json"):
        load(root)


def test_colours_of_weights():
    recipe = {"classes": ["a", "b"], "colours": [[1, 2, 3], [4, 5, 6]]}
    assert class_table(recipe).colours.tolist() == recipe["colours"] and class_table(recipe).names == ("a", "b")
    with pytest.raises(ValueError, match="no colours are known for the classes a, b"):
        class_table({"classes": ["a", "b"]})


def test_it_is_trained_and_its_colours_travel_with_the_weights(root, tmp_path, monkeypatch):
    monkeypatch.setenv("LIX_RUNS", str(tmp_path / "runs"))
    common = {"root": str(root), "network_options": {"width": 0.25}, "batch_size": 2, "epochs": 1, "size": (32, 48)}
    finished = run(Recipe("folder", method="kd", **common), device="cpu", progress=False)
    folder = folder_of(finished.recipe)
    _, description = checkpoints.load(finished.folder)
    assert description["colours"] == data.DATASETS["folder"].read(root, "train").classes.colours.tolist()
    assert set(finished.line["per_class"]) == set(NAMES)
    write(root / "train" / "x" / "train0.png", np.full((24, 32), 3000, np.uint16))
    assert folder_of(Recipe("folder", method="kd", **common)) != folder, "other data make another run"


def test_splits_are_those_of_the_folder(root):
    assert data.splits_of("folder", root) == data.splits_of("folder", str(root)) == ("train", "val", "test")
    shutil.rmtree(root / "test")
    assert data.splits_of("folder", root) == ("train", None, "val"), "without a test split val is scored"
    shutil.rmtree(root / "val")
    assert data.splits_of("folder", root) == data.splits_of("folder") == ("train", None, "test")
    assert data.splits_of("folder", root / "missing") == ("train", None, "test")


def test_splits_of_other_data_sets_are_their_own(root):
    assert data.splits_of("camvid", root) == ("train", None, "val")
    assert data.splits_of("toydrive") == ("train", "val", "test")
    with pytest.raises(ValueError, match="data set"):
        data.splits_of("mine")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"names": ["a", "b"], "colours": [[1, 2, 3], [1, 2, 3]]}', "two classes have the same colour"),
        ('{"names": ["a"], "names": ["b"]}', "'names' is there twice"),
        ('{"names": ["a", " "]}', "names has ' '"),
        ('{"names": ["a", "b\\nc"]}', r"names has 'b\\nc'"),
    ],
)
def test_classes_that_could_be_taken_for_one_another(root, text, problem):
    (root / "classes.json").write_text(text)
    with pytest.raises(ValueError, match=problem):
        data.load("folder", "train", root=root, size=None)


def test_other_classes_or_another_x_make_another_run(root):
    common = {"root": str(root), "method": "kd", "splits": ("train", None, "test")}
    before = folder_of(Recipe("folder", **common))
    (root / "classes.json").write_text((root / "classes.json").read_text().replace("floor", "ground"))
    after = folder_of(Recipe("folder", **common))
    (root / "x.json").write_text((root / "x.json").read_text().replace("0.001", "0.002"))
    assert len({before, after, folder_of(Recipe("folder", **common))}) == 3
