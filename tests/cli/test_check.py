"""`lix check`: what it prints, its contact sheet and its exit code."""

from pathlib import Path

import numpy as np
import pytest
from own_folder import own_folder, say, write
from PIL import Image


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return own_folder(tmp_path / "mine", {"train": 20, "test": 10}, x={"kind": "depth", "metres_per_unit": 0.01})


def test_a_data_set_that_can_be_trained_on(lix, root, tmp_path):
    code, out, _ = lix("check", root)
    assert code == 0 and "mine can be trained on: no problems, 0 warnings" in out
    assert "train: 20 images, 20 with a label, 20 with X" in out
    (line,) = (line for line in out.splitlines() if line.startswith("chair"))
    assert line.split()[1:4:2] == [f"{share(root, 2):.2%}", f"{share(root, 2, 'test'):.2%}"] and line.split()[2] == "20"
    assert f"contact sheet: {tmp_path}/check_mine.png" in out
    with Image.open(tmp_path / "check_mine.png") as sheet:
        assert sheet.width > 1000 and sheet.info["Software"] == "lix check"
    assert lix("check", root)[0] == 0, "an earlier contact sheet is replaced"


def share(root, index, split="train"):
    labels = np.stack([np.array(Image.open(path)) for path in (root / split / "label").iterdir()])
    return (labels == index).sum() / (labels != 255).sum()


def test_problems_are_grouped_and_counted(lix, root, tmp_path):
    for number in range(8):
        write(root / "train" / "label" / f"train{number}.png", np.full((24, 32), 9, np.uint8))
    (root / "test" / "rgb" / "test0.jpg").write_bytes(b"")
    say(root, "classes.json", names=["floor", "wall", "chair", "lamp"])
    code, out, _ = lix("check", root, "--out", "sheet.png")
    assert code == 1 and "cannot be trained on as it is: 9 problems, 1 warning" in out
    assert "problem: label files with values that are no class (8)" in out and "and 3 more" in out
    assert out.count("id 9 at row 0") == 5 and "problem: photographs that cannot be read (1)" in out
    assert "warning: classes that occur in no image (1)\n    lamp" in out
    assert (tmp_path / "sheet.png").is_file()


@pytest.mark.parametrize("part", ["x", "label", "rgb"])
def test_a_folder_that_cannot_be_read_is_a_finding(lix, root, monkeypatch, part):
    def iterdir(folder, real=Path.iterdir):
        if folder == root / "train" / part:
            raise PermissionError(13, "Permission denied", str(folder))
        return real(folder)

    monkeypatch.setattr(Path, "iterdir", iterdir)  # permissions do not stop an administrator
    code, out, _ = lix("check", root)
    heading = "problem: folders that cannot be read (1)"
    assert code == 1 and f"{heading}\n    cannot use {root}/train/{part}: Permission denied; correct" in out
    assert "test: 10 images, 10 with a label, 10 with X" in out
    left = {"x": "20 images, 20 with a label, 0 with X", "label": "20 images, 0 with a label, 20 with X"}
    assert f"train: {left[part]}" in out if part in left else "train:" not in out
    assert f"no {part} file" not in out and "is empty" not in out


def test_control_characters_in_names_are_escaped(lix, root, tmp_path):
    odd = root.rename(tmp_path / "my\ndata")
    (odd / "train").rename(odd / "tr\x1b[1main")
    first = odd / "test" / "rgb" / "test0.jpg"
    first.rename(first.with_name("a\n b\r.jpg"))
    (odd / "test" / "rgb" / "c\nd.jpg").write_text("no image")
    code, out, err = lix("check", odd, "--out", "sheet.png")
    assert code == 1 and "Traceback" not in err
    assert not set(out) & set("\x1b\r") and r"test/rgb/a\n b\r.jpg has no" in out and r"test/rgb/c\nd.jpg is no" in out
    assert r"tr\x1b[1main: 20 images" in out and rf"{tmp_path}/my\ndata cannot be trained on" in out


def test_no_other_file_is_replaced(lix, root, tmp_path):
    photo = root / "train" / "rgb" / "train0.jpg"
    before = photo.read_bytes()
    code, _, err = lix("check", root, "--out", photo)
    assert code == 2 and "must be a file whose name ends in .png" in err and photo.read_bytes() == before
    label = root / "train" / "label" / "train0.png"
    code, _, err = lix("check", root, "--out", label)
    assert code == 2 and "no contact sheet of `lix check`" in err
    code, out, err = lix("check", root, "--out", label / "sheet.png")
    assert code == 2 and "cannot make the folder" in err and not out, "before all files are read"


def test_a_folder_that_is_not_there(lix, tmp_path):
    code, _, err = lix("check", tmp_path / "nowhere")
    assert code == 2 and "no folder" in err and "layout" in err


def test_help_explains_every_argument(lix):
    code, text, _ = lix("check", "--help")
    assert code == 0 and "Example: lix check " in text and all(each in text for each in ("DIR", "--dataset", "--out"))
