"""data_scripts/nyuv2.py: from small .mat files in the official structure to a tree that the reader reads."""

from dataclasses import replace

import common
import h5py
import numpy as np
import nyuv2
import pytest
from common import Options
from scipy.io import savemat

from lixlib import data
from lixlib.data.splits import SHIPPED, read_list

NAMES = ["book", "wall", "floor", "box of tissue"]
CLASSES = [40, 1, 2, 40]
SIZE = (24, 32)


@pytest.fixture
def options(tmp_path) -> Options:
    """A root, and a folder with miniatures of the three files, of the images that the first of each split need."""
    archives = tmp_path / "archives"
    archives.mkdir()
    wanted = {split: read_list("nyuv2", SHIPPED, split) for split in ("train", "test")}
    count = 1 + max(int(names[1]) for names in wanted.values())
    rng, (height, width) = np.random.default_rng(0), SIZE
    with h5py.File(archives / "nyu_depth_v2_labeled.mat", "w") as file:
        file["images"] = rng.integers(0, 255, (count, 3, width, height), dtype=np.uint8)
        file["depths"] = rng.uniform(0.8, 9.9, (count, width, height)).astype(np.float32)
        file["labels"] = rng.integers(0, 5, (count, width, height), dtype=np.uint16)
        letters = file.create_group("#refs#")
        for index, name in enumerate(NAMES):
            letters[str(index)] = np.array([[ord(letter)] for letter in name], np.uint16)
        file["names"] = np.array([[letters[str(index)].ref for index in range(len(NAMES))]], h5py.ref_dtype)
    division = {f"{split}Ndxs": [[int(name) + 1] for name in names] for split, names in wanted.items()}
    savemat(archives / "splits.mat", division)
    savemat(archives / "classMapping40.mat", {"mapClass": [CLASSES]})
    return Options(tmp_path / "root", archives=archives, limit=2)


@pytest.fixture(autouse=True)
def no_checksums(monkeypatch):
    monkeypatch.setattr(nyuv2, "ARCHIVES", [replace(archive, md5=None) for archive in nyuv2.ARCHIVES])


def test_from_mat_files_to_a_tree_in_use(options, capsys):
    assert nyuv2.main(replace(options, dry_run=True)) == 0 and not options.root.exists()
    assert "would extract" in capsys.readouterr().out
    assert nyuv2.main(options) == 0
    assert "train: 2 images, RGB + X" in capsys.readouterr().out
    test = data.load("nyuv2", "test", root=options.root, size=None, classes=40)
    assert [len(list(folder.iterdir())) for folder in sorted(options.root.iterdir())] == [4, 4, 4]
    with h5py.File(options.archive_folder / "nyu_depth_v2_labeled.mat") as file:
        for sample in (test[0], test[1]):
            rgb, depth, label = (file[kind][int(sample.name)].T for kind in ("images", "depths", "labels"))
            assert (sample.rgb.permute(1, 2, 0).numpy() * 255).round().tolist() == rgb.tolist(), "PNG loses nothing"
            np.testing.assert_allclose(sample.x[0].numpy() * 10, depth, atol=0.5 * 10 / 255 + 0.01)
            assert sample.label.tolist() == np.array([39, 39, 0, 1, 39])[label].tolist()


def test_what_is_there_is_not_made_again(options, capsys):
    assert nyuv2.main(options) == 0
    made = {path: path.stat().st_mtime_ns for path in options.root.rglob("*.png")}
    gone = options.root / "nyu_depths" / f"{read_list('nyuv2', SHIPPED, 'train')[0]}.png"
    photo = options.root / "nyu_images" / gone.name
    photo.rename(photo.with_suffix(".jpeg"))  # as the public copy has them
    gone.unlink()
    capsys.readouterr()
    assert nyuv2.main(options) == 0
    said = capsys.readouterr().out
    assert "nyu_depths: 1 of 1 to make" in said and "nyu_images: 0 of 0 to make" in said
    assert all(path.stat().st_mtime_ns == made[path] for path in made if path not in (gone, photo))
    assert nyuv2.main(options) == 0 and "nothing to fetch" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "what", "message"),
    [
        ("splits.mat", {"trainNdxs": [1], "testNdxs": [2]}, "differ in 79[4-6] images of train"),
        ("classMapping40.mat", {"mapClass": [CLASSES[1:]]}, "must hold 4 numbers from 1 to 40, found 3"),
        ("classMapping40.mat", {"mapClass": [[40, 1, 2, 41]]}, "must hold 4 numbers from 1 to 40"),
        ("classMapping40.mat", {"mapClass": [[40, 2, 1, 40]]}, "makes 'wall' the class 'floor'"),
    ],
)
def test_tables_that_do_not_belong_to_the_images(options, name, what, message):
    savemat(options.archive_folder / name, what)
    with pytest.raises(ValueError, match=message):
        nyuv2.main(options)


@pytest.mark.parametrize("name", ["splits.mat", "classMapping40.mat"])
@pytest.mark.parametrize("junk", ["text", "cut short", "other variables", "no whole numbers", "letters"])
def test_junk_in_the_small_tables_is_one_line(options, name, junk):
    path = options.archive_folder / name
    wanted = {"splits.mat": ("trainNdxs", "testNdxs"), "classMapping40.mat": ("mapClass",)}[name]
    found = {
        "text": lambda: path.write_text("<html>404: not found</html>"),
        "cut short": lambda: path.write_bytes(path.read_bytes()[:150]),
        "other variables": lambda: savemat(path, {"other": [1]}),
        "no whole numbers": lambda: savemat(path, dict.fromkeys(wanted, [1.5, np.nan])),
        "letters": lambda: savemat(path, dict.fromkeys(wanted, "one")),
    }
    found[junk]()
    with pytest.raises(ValueError) as caught:
        nyuv2.main(options)
    (line,) = str(caught.value).splitlines()
    reason = {"text": "cannot be read", "cut short": "cannot be read", "other variables": "holds other,"}
    assert line.startswith(f"{path} {reason.get(junk, f'holds a {wanted[0]} of something else')}")
    assert f"whole numbers called {' and '.join(wanted)}: delete it and fetch it again" in line


def test_a_broken_or_another_mat_file(options):
    path = options.archive_folder / "nyu_depth_v2_labeled.mat"
    with h5py.File(path, "a") as file:
        del file["depths"]
    with pytest.raises(ValueError, match="holds no depths"):
        nyuv2.main(options)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="nyu_depth_v2_labeled.mat is truncated or broken"):
        nyuv2.main(options)


def test_a_depth_that_is_not_finite(options, capsys):
    number = int(read_list("nyuv2", SHIPPED, "train")[0])
    with h5py.File(options.archive_folder / "nyu_depth_v2_labeled.mat", "a") as file:
        file["depths"][number, 0, 0] = np.nan
    assert nyuv2.main(options) == 1
    assert f"the depth of image {number} is not finite" in capsys.readouterr().out


def test_the_large_file_has_a_checksum(monkeypatch, options):
    monkeypatch.undo()
    with pytest.raises(ValueError, match="MD5 checksum .* not 520609c5"):
        common.fetch(nyuv2.ARCHIVES, options)
