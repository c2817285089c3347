"""Every data script, from miniature archives to a tree in use: repeated, dry, limited, broken, and misused."""

import importlib
import re
import shutil
import subprocess
import sys

import camvid
import cityscapes
import common
import kitti
import nuimages
import potholes
import pytest
import toydrive
from scripts import FETCHED, REPOSITORY, counts_of, run, times, zip_of_github

from lixlib import data
from lixlib.data.splits import write_list


def test_a_script_makes_a_usable_tree_and_does_nothing_twice(case, capsys):
    script, root, arguments, has_x = case
    assert run(script, *arguments) == 0
    output = capsys.readouterr().out
    assert "broken" not in output and ("RGB + X" in output or "RGB alone" in output or script is toydrive)
    assert ("RGB alone" in output) == (not has_x)
    before = times(root)
    shutil.rmtree(root.parent / "downloads", ignore_errors=True)  # archives may go, once they are unpacked
    assert run(script, *arguments) == 0
    assert times(root) == before and len(before) > 5
    assert not list(root.rglob("*.tmp"))


def test_a_dry_run_writes_nothing(case, capsys):
    script, root, arguments, _ = case
    assert run(script, *arguments, "--dry-run") == 0
    assert "would" in capsys.readouterr().out and not root.exists()
    shutil.rmtree(root.parent / "downloads", ignore_errors=True)
    assert run(script, *arguments, "--dry-run") == 0
    output = capsys.readouterr().out
    assert re.search("would download https://|log in at www|would be rendered", output) and not root.exists()


def test_a_limit_makes_a_smaller_tree_that_can_be_used_and_the_rest_follows(case, capsys):
    script, root, arguments, _ = case
    assert run(script, *arguments, "--limit", 1) == 0
    few, output = len(times(root)), capsys.readouterr().out
    if script is potholes:
        assert counts_of(output) == [2, 1], "one of each dataset, two of which are trained on"
    elif script is not toydrive:
        assert set(counts_of(output)) == {1}
    if script not in (toydrive, camvid, nuimages):
        for split in ("train", "test") if script is potholes else ("train", "val"):
            sample = data.load(script.__name__, split, root=root, size=(24, 80))[0]
            assert sample.valid.float().mean() > 0.4
    assert run(script, *arguments) == 0
    assert len(times(root)) > few


@pytest.mark.parametrize("case", FETCHED, indirect=True)
def test_without_archives_a_script_says_what_is_missing(case, capsys, monkeypatch):
    script, root, arguments, _ = case
    monkeypatch.setattr(common, "resume", lambda *words: (_ for _ in ()).throw(OSError("no network")))
    shutil.rmtree(root.parent / "downloads")
    assert run(script, *arguments) == 1
    error = capsys.readouterr().err
    if script in (nuimages, cityscapes):
        names = ["nuimages-v1.0-mini.tgz"] if script is nuimages else [f"{k}_trainvaltest.zip" for k in script.ARCHIVES]
        assert all(name in error for name in names) and str(root.parent / "downloads") in error
    else:
        assert "no network" in error


def test_what_is_broken_or_missing_is_listed_and_mended(case, capsys):
    script, root, arguments, _ = case
    assert run(script, *arguments) == 0
    images = sorted(path for path in root.rglob("*") if path.suffix in (".png", ".jpg") and "lix" not in path.parts)
    labels = [path for path in images if re.search("annot|label|semantic|classgt", str(path))]
    chosen = [path for path in images if path not in labels and "image_3" not in path.parts]
    truncated = chosen[0]
    truncated.write_bytes(truncated.read_bytes()[:100])
    capsys.readouterr()
    assert run(script, *arguments) == 1
    assert re.search(rf"broken: .*{re.escape(str(truncated))}", capsys.readouterr().out)
    truncated.unlink()
    if labels:
        labels[-1].unlink()
    assert run(script, *arguments) == 0
    assert truncated.is_file() and all(path.is_file() for path in labels)


@pytest.mark.parametrize("case", ["camvid", "potholes"], indirect=True)
def test_what_is_no_image_does_not_stand_for_one_that_is_missing(case, capsys):
    script, root, arguments, _ = case
    assert run(script, *arguments) == 0
    missing = sorted(path for path in root.rglob("*.png") if path.parent.name in ("valannot", "label"))[0]
    missing.unlink()
    (missing.parent / f"._{missing.name}").write_bytes(b"of macOS")
    (missing.parent / "Thumbs.db").touch()
    (missing.parent / "folder.png").mkdir()
    assert run(script, *arguments) == 0, "it is extracted again"
    assert missing.is_file() and "broken" not in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--root", "x", "--limit", "0"], ["--limit", "1"], ["--root", "x", "--what"]])
def test_bad_arguments_are_exit_code_2(case, arguments, capsys):
    assert run(case[0], *arguments) == 2
    assert re.search(r"--limit|--root|--what", capsys.readouterr().err)


def test_a_limit_leaves_somebodys_own_list_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [])
    write_list(tmp_path / "lix_split.txt", {"train": ["000007"], "val": ["000003"]})
    assert run(kitti, "--root", tmp_path, "--limit", 1) == 1
    assert "somebody's own list" in capsys.readouterr().err
    assert run(kitti, "--root", tmp_path, "--dry-run") == 0
    assert "disparity: 2 of 2 would be made" in capsys.readouterr().out


@pytest.mark.slow
def test_a_script_in_a_process_of_its_own(potholes_root, tmp_path):
    zip_of_github(potholes_root, tmp_path / "downloads", "potholes")
    command = [sys.executable, "data_scripts/potholes.py", "--root", tmp_path / "root", "--limit", "2"]
    command += ["--archives", tmp_path / "downloads"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert counts_of(done.stdout) == [4, 2]


def test_the_commands_of_the_documentation_exist(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", [])
    page = (REPOSITORY / "docs" / "real_data.md").read_text(encoding="utf-8")
    commands = re.findall(r"`python data_scripts/(\w+)\.py ([^`]+)`", page)
    scripts = {path.stem for path in (REPOSITORY / "data_scripts").glob("*.py")} - {"common"}
    assert {name for name, _ in commands} == scripts, "every script is on the page"
    for name, arguments in commands:
        script = importlib.import_module(name)
        assert f"    python data_scripts/{name}.py --" in script.__doc__, "an example"
        assert run(script, "--help") == 0
        offered = capsys.readouterr().out
        assert all(f"{option} " in offered for option in re.findall(r"--[a-z-]+", arguments)), name
