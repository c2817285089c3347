"""The data scripts: downloads, safe extraction, what they make, and each from miniature archives to a tree in use."""

import hashlib
import importlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import camvid
import cityscapes
import common
import depth_anything
import kitti
import nuimages
import numpy as np
import onnx
import pooch
import potholes
import pytest
import torch
import toydrive
import trees
import vkitti2
from common import Archive, Options
from onnx import TensorProto, helper
from PIL import Image

from lixlib import data
from lixlib.data.classes import TOYDRIVE
from lixlib.data.splits import write_list
from lixlib.data.toydrive.dataset import camera
from lixlib.data.toydrive.render import render

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def server():
    """A web server of one file that can break off (`cut`) and refuse ranges; it keeps the ranges asked for."""

    class Handler(BaseHTTPRequestHandler):
        content, cut, ranges, asked = os.urandom(200_000), None, True, []

        def do_GET(self):
            asked = self.headers.get("Range")
            Handler.asked.append(asked)
            assert self.headers["Accept-Encoding"] == "identity"  # else the test gets no answer
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and Handler.ranges else 0
            if start >= len(self.content):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(self.content) - start))
            self.end_headers()
            self.wfile.write(self.content[start : Handler.cut])

        def log_message(self, *words):
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Handler.url = f"http://127.0.0.1:{listening.server_port}/file"
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    yield Handler
    listening.shutdown()
    listening.server_close()


def download(server, folder, md5=None):
    return common.fetch([Archive("set.zip", "200 kB", server.url, md5=md5)], Options(folder, archives=folder))[0]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_goes_on_where_it_was_interrupted(server, tmp_path, ranges):
    server.cut, server.ranges = 150_000, ranges
    with pytest.raises(OSError, match="(?i)incomplete"):
        download(server, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["set.zip.part"]
    arrived = len((tmp_path / "set.zip.part").read_bytes())
    assert arrived >= 100_000 and (tmp_path / "set.zip.part").read_bytes() == server.content[:arrived]
    server.cut = None
    md5 = hashlib.md5(server.content).hexdigest()
    assert download(server, tmp_path, md5).read_bytes() == server.content
    assert server.asked == [None, f"bytes={arrived}-"], "a server without ranges sends it all again"
    assert [path.name for path in tmp_path.iterdir()] == ["set.zip"]
    download(server, tmp_path, md5)
    assert len(server.asked) == 2, "what is there is not fetched again"


def test_a_download_that_was_whole_but_not_renamed(server, tmp_path):
    (tmp_path / "set.zip.part").write_bytes(server.content)
    assert download(server, tmp_path).read_bytes() == server.content


def test_a_wrong_checksum_keeps_nothing(server, tmp_path):
    with pytest.raises(ValueError, match="does not match the known hash"):
        download(server, tmp_path, md5="0" * 32)
    assert not list(tmp_path.iterdir())
    path = tmp_path / "set.zip"
    path.write_bytes(b"something else")
    found = pooch.file_hash(path, "md5")
    with pytest.raises(ValueError, match=f"{path} has the MD5 checksum {found}, not 00000.*delete it"):
        download(server, tmp_path, md5="0" * 32)


def test_all_archives_that_need_a_login_are_listed(tmp_path):
    archives = [Archive(f"{name}.zip", "1 GB", source=f"{name}.org/get") for name in "abc"]
    (tmp_path / "b.zip").touch()
    with pytest.raises(FileNotFoundError) as error:
        common.fetch(archives, Options(tmp_path, archives=tmp_path))
    assert re.findall(r"(\w)\.zip \(1 GB\) from \1\.org/get", str(error.value)) == ["a", "c"]
    assert str(tmp_path) in str(error.value)


def make_archive(path: Path, files: dict[str, bytes], link: tuple[str, str, bytes] | None = None) -> Path:
    """A zip or tar archive; link: name, what it leads to, tarfile's type of it."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
            if link:
                info = zipfile.ZipInfo(link[0])
                info.external_attr = 0o120777 << 16
                archive.writestr(info, link[1])
        return path
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        if link:
            info = tarfile.TarInfo(link[0])
            info.type, info.linkname = link[2], link[1]
            archive.addfile(info)
    return path


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(params=["zip", "tar", "tar.gz"])
def archive(request, tmp_path):
    return tmp_path / f"set.{request.param}"


def test_extraction_takes_what_is_wanted_and_writes_nothing_twice(archive, tmp_path, capsys):
    make_archive(archive, {"top/a/1.png": b"one", "top/a/2.png": b"two", "top/notes.txt": b"..."})
    root = tmp_path / "root"

    def place(name):
        return name.removeprefix("top/") if name.endswith(".png") else None

    common.extract(archive, root, place)
    assert tree(root) == {"a/1.png": b"one", "a/2.png": b"two"}
    times = {path: path.stat().st_mtime_ns for path in root.rglob("*.png")}
    (root / "a" / "2.png").write_bytes(b"t")  # as an interrupted copy would leave it
    common.extract(archive, root, place)
    assert tree(root) == {"a/1.png": b"one", "a/2.png": b"two"}
    assert (root / "a" / "1.png").stat().st_mtime_ns == times[root / "a" / "1.png"]
    assert [int(n) for n in re.findall(r"(\d+) files extracted", capsys.readouterr().out)] == [2, 1]


@pytest.mark.parametrize("name", ["../outside.txt", "a/../../outside.txt", "/{tmp}/outside.txt"])
def test_a_path_out_of_the_root_is_refused(archive, tmp_path, name):
    make_archive(archive, {"good.txt": b"good", name.format(tmp=tmp_path): b"evil", "late.txt": b"late"})
    with pytest.raises(ValueError, match="outside.txt' would be written to .*, outside .*root"):
        common.extract(archive, tmp_path / "root", lambda name: name)
    assert tree(tmp_path / "root") == {"good.txt": b"good"} and not (tmp_path / "outside.txt").exists()
    with pytest.raises(ValueError, match="would be written to"):
        common.extract(archive, tmp_path / "other", lambda name: None)  # nor is the rest of such an archive trusted


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
@pytest.mark.parametrize("target", ["../../secret", "/etc/passwd", "good.txt"])
def test_links_are_refused(archive, tmp_path, kind, target):
    make_archive(archive, {"good.txt": b"good"}, link=("a/link", target, kind))
    with pytest.raises(ValueError, match="'a/link' is a link or a device"):
        common.extract(archive, tmp_path / "root", lambda name: name)
    assert tree(tmp_path / "root") == {"good.txt": b"good"}


def test_a_link_in_the_root_leads_nobody_out(archive, tmp_path):
    make_archive(archive, {"a/evil.txt": b"evil"})
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="outside"):
        common.extract(archive, tmp_path / "root", lambda name: name)
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("kept", [0, 0.02, 0.3, 0.6, 0.98])
def test_a_truncated_archive_is_named_and_leaves_nothing_half_written(archive, tmp_path, kept):
    files = {f"{i}.bin": os.urandom(20_000) for i in range(5)}
    make_archive(archive, files)
    content = archive.read_bytes()
    length = content.rindex(files["4.bin"][-99:]) if archive.suffix == ".tar" else len(content)  # without the padding
    archive.write_bytes(content[: int(kept * length)])
    with pytest.raises(ValueError, match=re.escape(f"{archive} is truncated or broken")):
        common.extract(archive, tmp_path / "root", lambda name: name)
    assert tree(tmp_path / "root").items() <= files.items()


def test_a_damaged_file_in_a_zip_archive_is_found_by_its_checksum(tmp_path):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.bin", b"0123456789" * 100)
    content = bytearray(path.read_bytes())
    content[500] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="truncated or broken .*CRC-32"):
        common.extract(path, tmp_path / "root", lambda name: name)
    assert not tree(tmp_path / "root")


def run(script, *arguments) -> int:
    """The exit code of a script."""
    sys.argv = [f"data_scripts/{script.__name__}.py", *map(str, arguments)]
    with pytest.raises(SystemExit) as stopped:
        common.cli(script.main, script.__doc__)
    return stopped.value.code


FETCHED = ["camvid", "potholes", "vkitti2", "kitti", "nuimages", "cityscapes"]


@pytest.fixture(params=[*FETCHED, "toydrive"])
def case(request, tmp_path, monkeypatch):
    """A script, a root, the arguments for it, and whether its data set has X without a network."""
    folder, root, made = tmp_path / "downloads", tmp_path / "root", tmp_path / "official"
    name = request.param
    monkeypatch.setattr(sys, "argv", [])
    arguments = ["--root", root, "--archives", folder]
    if name in ("camvid", "potholes"):
        shutil.copytree(request.getfixturevalue(f"{name}_root"), made)
        zip_of_github(made, folder, name)
    elif name != "toydrive":
        getattr(trees, name)(made, **{} if name == "vkitti2" else {"made": False})
        trees.pack(name, made, folder)
    if name == "camvid":
        monkeypatch.setattr(camvid, "SPLITS", {"train": 16, "val": 4, "test": 4})
    elif name == "potholes":
        monkeypatch.setattr(potholes, "COUNTS", {"dataset1": 3, "dataset2": 9, "dataset3": 2})
    elif name == "vkitti2":
        monkeypatch.setattr(vkitti2, "ARCHIVES", [replace(archive, md5=None) for archive in vkitti2.ARCHIVES])
        monkeypatch.setattr(vkitti2, "frames", lambda: [f"Scene01/clone/{i:05d}" for i in range(4)])
        monkeypatch.setattr(vkitti2, "COUNTS", {"train": 3, "val": 1})
    elif name == "kitti":
        monkeypatch.setattr(kitti, "frames", lambda: [f"{i:06d}" for i in range(4)])
        monkeypatch.setattr(kitti, "COUNTS", {"train": 2, "val": 2})
    elif name == "nuimages":
        arguments += ["--mini"]
    elif name == "cityscapes":
        unchecked = {kind: replace(archive, md5=None) for kind, archive in cityscapes.ARCHIVES.items()}
        monkeypatch.setattr(cityscapes, "ARCHIVES", unchecked)
        monkeypatch.setattr(cityscapes, "SPLITS", {"train": 4, "val": 2})
    else:
        monkeypatch.setattr(toydrive, "DEFAULT_COUNT", {"train": 3, "val": 1, "test": 1})
        arguments = ["--root", root, "--size", 24, 80]
    return importlib.import_module(name), root, arguments, name not in ("camvid", "nuimages")


def zip_of_github(tree: Path, folder: Path, name: str) -> None:
    """The archive that GitHub makes of the repository: all of it below one folder, and more than is wanted."""
    script = {"camvid": camvid, "potholes": potholes}[name]
    prefix = script.ARCHIVE.name.removesuffix(".zip") + ("/CamVid" if name == "camvid" else "")
    folder.mkdir()
    with zipfile.ZipFile(folder / script.ARCHIVE.name, "w") as archive:
        archive.writestr(f"{prefix}/README.md", "read me")
        for path in sorted(tree.rglob("*.png")):
            if "disp/" not in str(path):
                archive.write(path, f"{prefix}/{path.relative_to(tree)}")


def times(root: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.suffix != ".txt" and path.is_file()}


def counts_of(output: str) -> list[int]:
    return [int(count) for count in re.findall(r"^\w+: (\d+) images, RGB", output, re.MULTILINE)]


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


def test_masks_are_painted_by_the_devkits_rules(tmp_path, monkeypatch):
    labels = trees.nuimages(tmp_path, version="v1.0-train", made=False)
    trees.nuimages(tmp_path / "val", 2, version="v1.0-val", made=False)
    shutil.move(tmp_path / "val" / "v1.0-val", tmp_path / "v1.0-val")
    shutil.rmtree(tmp_path / "val")
    assert run(nuimages, "--root", tmp_path) == 0, "unpacked by hand"
    assert len(labels) == 5 and all(len(np.unique(label)) > 3 for label in labels.values())
    for name, label in labels.items():
        assert np.array_equal(np.asarray(Image.open(tmp_path / "lix" / "masks" / f"{name}.png")), label), name
    splits = {split: data.load("nuimages", split, root=tmp_path, size=None, with_x=False) for split in ("train", "val")}
    assert [len(split) for split in splits.values()] == [3, 2]


def test_of_many_photographs_the_papers_800_are_drawn():
    drawn = nuimages.draw([f"CAM_FRONT/{i}" for i in range(1000)])
    assert [len(names) for names in drawn.values()] == [560, 240]
    assert not set(drawn["train"]) & set(drawn["val"])


@pytest.mark.parametrize("folder", ["vkitti_2.0.3_{kind}/", "./"])
def test_vkitti2_in_one_tree_or_apart(tmp_path, monkeypatch, folder):
    """Archives with a folder of their own, or with ./; and a root that somebody has begun to unpack each apart."""
    trees.vkitti2(tmp_path / "official", {"Scene02/fog": 2})
    downloads, root = trees.pack("vkitti2", tmp_path / "official", tmp_path / "packed"), tmp_path / "root"
    (tmp_path / "downloads").mkdir()
    for path in downloads.iterdir():
        kind = path.name.split("_")[2].split(".")[0]
        with tarfile.open(path) as old, tarfile.open(tmp_path / "downloads" / path.name, "w:gz") as new:
            for member in old:
                content = old.extractfile(member)
                member.name = folder.format(kind=kind) + member.name
                new.addfile(member, content)
    monkeypatch.setattr(vkitti2, "ARCHIVES", [replace(archive, md5=None) for archive in vkitti2.ARCHIVES])
    write_list(root / "lix_split.txt", {"train": ["Scene02/fog/00001"], "val": ["Scene02/fog/00000"]})
    (root / "vkitti_2.0.3_depth").mkdir()
    assert run(vkitti2, "--root", root, "--archives", tmp_path / "downloads") == 0
    assert (root / "vkitti_2.0.3_depth/Scene02/fog/frames/depth/Camera_0/depth_00001.png").is_file()
    assert (root / "Scene02/fog/intrinsic.txt").is_file()
    assert sorted(path.name for path in root.rglob("*.jpg")) == ["rgb_00000.jpg", "rgb_00001.jpg"], "the left camera"


@pytest.fixture(scope="module")
def pair():
    """A ToyDrive frame, what a camera 0.53 m to the right sees of it, and the disparity (0 in the sky)."""
    size = (96, 320)
    frame = render(0, 3, size)
    disparity = (camera(size).fx * 0.5327 / frame.depth).astype(np.float32)
    return frame.rgb, trees.right_view(frame.rgb, disparity), disparity


def test_semi_global_matching_finds_the_disparity(pair):
    left, right, truth = pair
    found = kitti.sgbm(left, right)
    assert found.shape == truth.shape and found.dtype == np.float32 and (found > 0).all()
    near = truth > 2
    error = np.abs(found - truth)[near]
    assert near.mean() > 0.3 and np.median(error) < 1 and (error > 3).mean() < 0.15
    mirrored = np.abs(kitti.sgbm(right, left) - truth)[near]
    assert (mirrored > 3).mean() > 2 * (error > 3).mean(), "left and right are not the same to it"


def test_what_nothing_matches_is_an_error():
    with pytest.raises(ValueError, match="no pixel of the two images matches"):
        kitti.fill(np.zeros((4, 6), np.float32))


def test_holes_are_filled_from_the_background():
    o = -1
    holes = np.array([[o, o, o, o, o], [o, 5, o, o, 2], [7, o, o, 9, o], [o, o, o, o, o], [o, o, o, o, o]], np.float32)
    assert kitti.fill(holes).tolist() == [
        [5, 5, 2, 2, 2],
        [5, 5, 2, 2, 2],
        [7, 7, 7, 9, 9],
        [7, 7, 7, 9, 9],
        [7, 7, 7, 9, 9],
    ]


def stereo_network(path: Path, inputs: dict[str, tuple[int, int]]) -> Path:
    """A network of CREStereo's form whose disparity is red of the left image minus red of the right one."""
    left, right = list(inputs)[-2:]
    picks = [helper.make_node("Gather", [name, "first"], [f"{name}_red"], axis=1) for name in (left, right)]
    nodes = [*picks, helper.make_node("Sub", [f"{left}_red", f"{right}_red"], ["disparity"])]
    entries = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, *size]) for name, size in inputs.items()]
    output = helper.make_tensor_value_info("disparity", TensorProto.FLOAT, [1, 1, *inputs[left]])
    first = helper.make_tensor("first", TensorProto.INT64, [1], [0])
    graph = helper.make_graph(nodes, "stereo", entries, [output], [first])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


FOUR = {"init_left": (6, 10), "init_right": (6, 10), "next_left": (12, 20), "next_right": (12, 20)}


@pytest.mark.parametrize("inputs", [{"left": (12, 20), "right": (12, 20)}, FOUR])
def test_crestereo_takes_both_forms_of_the_public_exports(tmp_path, inputs):
    left, right = np.full((24, 80, 3), (50, 9, 9), np.uint8), np.full((24, 80, 3), (20, 0, 0), np.uint8)
    found = kitti.crestereo(stereo_network(tmp_path / "net.onnx", inputs))(left, right)
    assert found.shape == (24, 80)
    assert np.allclose(found, 30 * 80 / 20), "RGB from 0 to 255, and the network's pixels are four of the image's"


def test_crestereo_of_another_form_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no ONNX file .*net.onnx"):
        kitti.crestereo(tmp_path / "net.onnx")
    path = stereo_network(tmp_path / "net.onnx", {"left": ("height", "width"), "right": ("height", "width")})
    with pytest.raises(ValueError, match="net.onnx takes .*left and right of a fixed size"):
        kitti.crestereo(path)


def test_a_pair_that_does_not_fit_is_listed_with_the_rest(tmp_path, capsys):
    trees.kitti(tmp_path, 3, made=False)
    write_list(tmp_path / "lix_split.txt", {"train": ["000001", "000002"], "val": ["000000"]})
    right = tmp_path / "training" / "image_3"
    Image.new("RGB", (80, 30)).save(right / "000000_10.png")
    (right / "000001_10.png").write_bytes(b"half")
    assert run(kitti, "--root", tmp_path) == 1
    output = capsys.readouterr().out
    assert re.search(r"not made: .*image_3/000000_10.png is \(30, 80, 3\), but .*image_2.* is \(24, 80, 3\)", output)
    assert re.search(r"not made: .*image_3/000001_10.png is no readable image", output)
    assert output.count("  broken: ") == 2 and (tmp_path / "training" / "disparity_sgbm" / "000002_10.png").is_file()


def test_kitti_with_crestereo_is_read_as_such(tmp_path):
    trees.kitti(tmp_path, 2, made=False)
    write_list(tmp_path / "lix_split.txt", {"train": ["000001"], "val": ["000000"]})
    network = stereo_network(tmp_path / "net.onnx", FOUR)
    assert run(kitti, "--root", tmp_path, "--onnx", network) == 0
    made = [path.name for path in sorted((tmp_path / "training" / "disparity_crestereo").iterdir())]
    assert made == ["000000_10.png", "000001_10.png"]
    assert np.asarray(Image.open(tmp_path / "training" / "disparity_crestereo" / made[0])).min() >= 1
    assert data.load("kitti", "val", root=tmp_path, size=None, source="crestereo")[0].valid.all()


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Path:
    """A Depth Anything of a few thousand random weights, saved as the published ones are."""
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config, DPTImageProcessorPil

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("depth_anything")
    backbone = Dinov2Config(
        hidden_size=8,
        num_hidden_layers=4,
        num_attention_heads=2,
        mlp_ratio=2,
        image_size=28,
        patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"],
        reshape_hidden_states=False,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=8,
        neck_hidden_sizes=[4, 4, 8, 8],
        fusion_hidden_size=8,
        head_hidden_size=4,
    )
    DepthAnythingForDepthEstimation(config).save_pretrained(folder)
    size = {"height": 56, "width": 56}
    DPTImageProcessorPil(size=size, keep_aspect_ratio=True, ensure_multiple_of=14).save_pretrained(folder)
    return folder


def test_depth_of_a_folder_of_photographs(network, tmp_path, capsys):
    photographs = {"a.jpg": (24, 80), "deep/b.png": (37, 50)}
    for name, size in photographs.items():
        trees.write_image(tmp_path / "in" / name, trees.frame(0, size).rgb)
    arguments = ("--images", tmp_path / "in", "--out", tmp_path / "out", "--model", network)
    assert run(depth_anything, *arguments, "--dry-run") == 0 and not (tmp_path / "out").exists()
    assert run(depth_anything, *arguments) == 0
    for name, size in photographs.items():
        depth = np.asarray(Image.open((tmp_path / "out" / name).with_suffix(".png")))
        assert depth.shape == size and depth.dtype == np.uint16
        assert (depth.min(), depth.max()) == (1, 65535), "0 would be invalid"
    before = times(tmp_path / "out")
    assert run(depth_anything, *arguments) == 0 and times(tmp_path / "out") == before
    shutil.rmtree(tmp_path / "out")
    assert run(depth_anything, *arguments, "--limit", 1) == 0
    assert [path.name for path in times(tmp_path / "out")] == ["a.png"]
    (tmp_path / "in" / "c.png").write_bytes(b"half")
    assert run(depth_anything, *arguments) == 1
    assert re.search("not made: .*c.png is no readable image", capsys.readouterr().out)
    assert sorted(path.name for path in times(tmp_path / "out")) == ["a.png", "b.png"]


def test_photographs_are_turned_before_their_depth_is_made(network, tmp_path):
    shot, exif = Image.fromarray(trees.frame(0, (37, 50)).rgb), Image.Exif()
    exif[0x0112] = 6
    for name, image, options in (
        ("a.PNG", shot, {}),
        ("b.png", shot.transpose(Image.Transpose.ROTATE_90), {"exif": exif}),
    ):
        (tmp_path / "in").mkdir(exist_ok=True)
        image.save(tmp_path / "in" / name, **options)
    assert run(depth_anything, "--images", tmp_path / "in", "--out", tmp_path / "out", "--model", network) == 0
    upright, turned = (np.asarray(Image.open(tmp_path / "out" / name)) for name in ("a.png", "b.png"))
    assert upright.shape == (37, 50) and np.array_equal(upright, turned)


def test_what_is_a_photograph_in_a_folder(tmp_path):
    photos, out = tmp_path / "photos", tmp_path / "photos" / "disparity"
    shown = ("a.jpeg", "deep/b.PNG", "deep/c.jpg")
    for name in (*shown, "._a.jpeg", ".git/d.png", "Thumbs.db", "disparity/a.png", "e.heic"):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).touch()
    (photos / "folder.png").mkdir()
    with pytest.warns(UserWarning, match="photos: left out 1 file that ends in none of .jpg, .jpeg, .png: e.heic"):
        found = depth_anything.photographs(photos, out)
    assert found == {(out / name).with_suffix(".png"): photos / name for name in shown}
    (photos / "deep" / "b.jpg").touch()
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="deep/b.PNG and .*deep/b.jpg have one name"):
        depth_anything.photographs(photos, out)
    with pytest.raises(ValueError, match="holds the photographs, which depth maps of their names would replace"):
        depth_anything.photographs(photos, photos / "deep" / "..")


def test_larger_is_nearer_as_the_network_says(network):
    from transformers import AutoImageProcessor, AutoModelForDepthEstimation

    image = Image.fromarray(trees.frame(0, (56, 56)).rgb)
    model = AutoModelForDepthEstimation.from_pretrained(network).eval()
    processor = AutoImageProcessor.from_pretrained(network, backend="pil")
    found = depth_anything.estimate(model, processor, image)
    with torch.inference_mode():
        inverse = model(processor(images=image, return_tensors="pt")["pixel_values"]).predicted_depth[0]
    inverse = (inverse - inverse.min()) / (inverse.max() - inverse.min())
    assert torch.equal((1 + 65534 * inverse).round().int(), torch.from_numpy(found.astype(np.int32)))


def test_depth_without_photographs_or_network_is_an_error(tmp_path, capsys):
    assert run(depth_anything, "--images", tmp_path, "--out", tmp_path / "out") == 1
    assert f"images in {tmp_path}" in capsys.readouterr().err
    trees.write_image(tmp_path / "a.png", trees.frame(0).rgb)
    assert run(depth_anything, "--images", tmp_path, "--out", tmp_path / "out", "--model", tmp_path / "no") == 1
    assert capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize("case", ["camvid", "nuimages", "cityscapes"], indirect=True)
def test_a_network_makes_x_where_none_is(case, network, capsys):
    script, root, arguments, _ = case
    if script is not cityscapes:  # whose X is then another one
        assert run(script, *arguments) == 0 and "RGB alone" in capsys.readouterr().out
    assert run(script, *arguments, "--depth-anything", network) == 0
    assert "RGB alone" not in capsys.readouterr().out
    options = {"source": "depth-anything"} if script is cityscapes else {}
    sample = data.load(script.__name__, "val", root=root, size=None, **options)[0]
    assert sample.unit == "relative inverse depth" and sample.valid.all() and sample.x.max() == 1


def test_toydrive_on_disk_is_toydrive(tmp_path, capsys):
    assert run(toydrive, "--root", tmp_path, "--limit", 2, "--size", 24, 80) == 0
    scene = tmp_path / "Scene02" / "clone"
    frame, name = render(0, 1_000_001, (24, 80)), "Camera_0/{}_00001.{}"
    rgb = np.asarray(Image.open(scene / "frames" / "rgb" / name.format("rgb", "jpg")))
    assert np.abs(rgb.astype(int) - frame.rgb).mean() < 6, "JPEG"
    depth = np.asarray(Image.open(scene / "frames" / "depth" / name.format("depth", "png")))
    sky = np.isinf(frame.depth)
    assert depth.dtype == np.uint16 and (depth[sky] == 65535).all() and sky.any()
    assert np.abs(depth[~sky] / 100 - frame.depth[~sky]).max() < 0.0051
    rows = [line.split() for line in (scene / "colors.txt").read_text().splitlines()]
    assert rows[0] == ["Category", "r", "g", "b"] and len(rows) == 14
    colours = {tuple(map(int, row[1:])): i for i, row in enumerate(rows[1:])}
    label = np.asarray(Image.open(scene / "frames" / "classSegmentation" / name.format("classgt", "png")))
    assert [colours[tuple(colour)] for colour in label.reshape(-1, 3)] == frame.label.ravel().tolist()
    assert [row[0].replace("_", " ") for row in rows[1:]] == list(TOYDRIVE.names)
    assert (scene / "intrinsic.txt").read_text().splitlines()[2] == "1 0 46.4 46.4 39.5 11.5"
    assert run(toydrive, "--root", tmp_path, "--seed", 1) == 1
    assert "holds other frames" in capsys.readouterr().err


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


def test_a_missing_extra_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setitem(sys.modules, "cv2", None)
    trees.kitti(tmp_path, 2, made=False)
    write_list(tmp_path / "lix_split.txt", {"train": ["000001"], "val": ["000000"]})
    assert run(kitti, "--root", tmp_path) == 1
    assert "no module cv2: install it with pip install -e '.[data,depth]'" in capsys.readouterr().err
