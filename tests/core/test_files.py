"""Writing and reading: whole files or none, errors that name the place, no leftovers, damaged files kept."""

import os
import socket
import subprocess
import sys
import zipfile
from functools import partial

import common
import numpy as np
import pytest
import torch
from PIL import Image

import lixlib.core.files
from lixlib import checkpoints, nets
from lixlib.cli import photographs
from lixlib.core.files import LEFTOVER, read_json_lines, remove_leftovers, set_aside, write_atomically, write_json_lines
from lixlib.data import ToyDrive
from lixlib.data.classes import TOYDRIVE
from lixlib.lab.inputs import Inputs
from lixlib.lab.prepare import distiller_of
from lixlib.lab.recipe import Recipe
from lixlib.training import Schedule, fit


def text(content):
    return lambda path: path.write_text(content)


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "new" / "file.txt"
    write_atomically(path, text("one"))
    write_atomically(path, text("two"))
    assert path.read_text() == "two" and [file.name for file in path.parent.iterdir()] == ["file.txt"]


def test_the_data_are_on_the_disk_before_the_rename(tmp_path, monkeypatch):
    events = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (events.append("fsync"), sync(handle)))
    monkeypatch.setattr(os, "replace", lambda *names: (events.append("rename"), replace(*names)))
    write_atomically(tmp_path / "file.txt", text("one"))
    assert events == ["fsync", "rename", "fsync"]  # the file, then its folder


def test_temporary_names_hold_host_and_process(tmp_path):
    seen = []
    write_atomically(tmp_path / "file.txt", lambda path: (seen.append(path.name), path.touch()))
    found = LEFTOVER.fullmatch(seen[0])
    assert found["pid"] == str(os.getpid()) and socket.gethostname().split(".")[0] in found["host"]


def test_a_name_of_the_greatest_length_can_be_written(tmp_path):
    path = tmp_path / ("ü" * 127)
    write_atomically(path, text("one"))
    assert path.read_text() == "one"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("file write failed\nmore")])
def test_a_failed_write_names_the_file_and_leaves_the_old_one(tmp_path, error):
    def fail(path):
        path.write_text("half")
        raise error

    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(OSError, match="cannot write .*file.txt: .*(No space|write failed).*unchanged") as caught:
        write_atomically(path, fail)
    assert "\n" not in str(caught.value) and "Errno" not in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ["file.txt"] and path.read_text() == "old"


def test_a_name_that_is_too_long_is_told(tmp_path):
    with pytest.raises(OSError, match=f"cannot write {tmp_path}/{'n' * 300}: File name too long$"):
        write_atomically(tmp_path / ("n" * 300), text("one"))


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="cannot write .*file/inside.txt: "):
        write_atomically(tmp_path / "file" / "inside.txt", text("one"))


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_leftovers_of_dead_processes_of_this_machine_alone_are_removed(tmp_path):
    seen = []
    write_atomically(tmp_path / "file.txt", lambda path: (seen.append(path.name), path.touch()))
    ours, dead = str(os.getpid()), str(dead_process())
    host = LEFTOVER.fullmatch(seen[0])["host"]
    kept = [f".a.{host}.{ours}.tmp", f".a.elsewhere.{dead}.tmp", ".a.tmp", "a.tmp", f".a.{host}.1.tmp"]
    for name in (*kept, f".a.{host}.{dead}.tmp", f".weights.safetensors.{host}.{dead}.tmp"):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([*kept, "file.txt"])
    write_atomically(tmp_path / "file.txt", text("one"))  # every write looks for them
    assert not (tmp_path / f".a.{host}.{dead}.tmp").exists()


def test_where_nothing_can_be_removed_or_renamed_it_is_told_or_left(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    leftover = tmp_path / f".a.{lixlib.core.files._host()}.{dead_process()}.tmp"
    leftover.touch()
    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    monkeypatch.setattr("os.replace", refuse)
    remove_leftovers(tmp_path)
    assert leftover.exists()
    with pytest.raises(OSError, match="a.txt is cut short, but cannot be renamed: Permission denied"):
        set_aside(tmp_path / "a.txt", "is cut short")


def test_a_damaged_file_is_kept_under_another_name(tmp_path):
    for content in ("one", "two"):
        (tmp_path / "file.txt").write_text(content)
        with pytest.warns(UserWarning, match="file.txt is cut short: made again .the file is kept as file.txt.damaged"):
            set_aside(tmp_path / "file.txt", "is cut short: made again")
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {
        "file.txt.damaged": "one",
        "file.txt.damaged-2": "two",
    }


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{}\n[1]\n", "line 2 is no JSON object but of type list"),
        (b"3\n", "line 1 is no JSON object but of type int"),
        (b"null\n", "line 1 is no JSON object"),
        (b"{}\n\n", "line 2 is no JSON"),
        (b'{"a": 1\n', "line 1 is no JSON"),
        (b"\xff\xfe{}", "is no text file"),
        (b"[" * 100_000, "line 1 is no JSON"),
    ],
)
def test_lines_that_are_no_objects_are_named(tmp_path, content, problem):
    (tmp_path / "lines.jsonl").write_bytes(content)
    with pytest.raises(ValueError, match=f"lines.jsonl,? {problem}"):
        read_json_lines(tmp_path / "lines.jsonl")


def test_lines_come_back(tmp_path):
    rows = [{"a": 1}, {"b": None, "c": "ü"}]
    write_json_lines(tmp_path / "lines.jsonl", rows)
    assert read_json_lines(tmp_path / "lines.jsonl") == rows


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_json_holds_nan(tmp_path, value):
    with pytest.raises(ValueError, match="cannot write .*lines.jsonl.*null in JSON"):
        write_json_lines(tmp_path / "lines.jsonl", [{"a": value}])
    assert not list(tmp_path.iterdir())


@pytest.fixture
def full_disk(tmp_path):
    """A folder on a file system of 64 kB, of which nothing is free but a page or two."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if os.name != "posix" or os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small file system can only be mounted by root (Linux): run this test as root")
    (folder / "ballast").write_bytes(bytes(56 * 1024))
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


RECIPE = {
    **{"network": "mfnet", "num_classes": 2, "x_channels": None, "options": {}},
    **{"classes": ["a", "b"], "size": [9, 9]},
}
WRITERS = {
    "checkpoint.pt": lambda path: write_atomically(path, lambda p: torch.save(torch.zeros(30_000), p)),
    "weights.safetensors": lambda path: checkpoints.save(nets.build("mfnet", num_classes=2), path, RECIPE),
    "arrays.npz": lambda path: write_atomically(path, lambda p: np.savez(p.open("wb"), np.zeros(30_000))),
    "picture.png": lambda path: write_atomically(
        path, lambda p: Image.effect_noise((300, 300), 90).save(p, format="PNG")
    ),
    "lines.jsonl": lambda path: write_json_lines(path, [{"a": list(range(20_000))}]),
    "toydrive": lambda path: ToyDrive("train", count=4, size=(48, 160), cache=path.parent),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_named_and_the_last_good_file_stays(full_disk, name):
    path = full_disk / name
    if name != "toydrive":  # the folder of its cache
        path.write_text("old")
    with pytest.raises(OSError, match=f"cannot write {path}.*: No space left on device") as caught:
        WRITERS[name](path)
    assert "\n" not in str(caught.value)
    assert name == "toydrive" or path.read_text() == "old"
    assert not list(full_disk.rglob("*.tmp"))


def test_a_full_disk_while_an_archive_is_unpacked(full_disk, tmp_path):
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("small.png", bytes(10))
        archive.writestr("large.png", bytes(100_000))
    with pytest.raises(OSError, match=f"cannot write {full_disk}/large.png: No space left on device"):
        common.extract(tmp_path / "archive.zip", full_disk, lambda name: name)
    assert sorted(file.name for file in full_disk.iterdir()) == ["ballast", "small.png"]


def test_a_full_disk_during_a_download_keeps_what_has_arrived(full_disk):
    part = full_disk / "archive.part"
    with part.open("wb", buffering=0) as file:
        common.append(file, b"begin", part)
        with pytest.raises(OSError, match=f"cannot write {part}: No space left on device; what is there is kept"):
            common.append(file, bytes(100_000), part)
    assert part.read_bytes().startswith(b"begin")


def test_a_full_disk_while_photographs_are_coloured(full_disk, tmp_path, capsys):
    photo = tmp_path / "photo.png"
    Image.effect_noise((400, 300), 90).convert("RGB").save(photo)
    net = nets.build("mfnet", num_classes=len(TOYDRIVE)).eval()
    plan, *_ = photographs.pair([photo], full_disk)
    compute = partial(photographs.logits_of, net, trained=(32, 64))
    assert photographs.colour(plan, compute, TOYDRIVE) == 1
    said = capsys.readouterr().err
    assert f"cannot write {full_disk}/photo_labels.png: No space left on device" in said and len(said.splitlines()) == 1
    assert [file.name for file in full_disk.iterdir()] == ["ballast"]


def test_a_full_disk_during_a_training_leaves_the_last_whole_checkpoint(full_disk, tmp_path):
    recipe = Recipe(
        method="student", size=(16, 32), batch_size=2, epochs=1, splits=("train", None, "test"),
        dataset_options={"count": 2, "eval_count": 2, "cache": str(tmp_path)}, network_options={"width": 0.25},
    )  # fmt: skip
    train = Inputs(recipe).train
    with pytest.raises(OSError, match=f"cannot write {full_disk}/checkpoint.pt: No space left on device"):
        fit(distiller_of(recipe, None, train), train, Schedule(1, 2), folder=full_disk, progress=False)
    assert [file.name for file in full_disk.iterdir()] == ["ballast"]
