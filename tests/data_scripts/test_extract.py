"""Archives: only what is wanted is extracted, nothing outside the root, and nothing half written."""

import io
import os
import re
import tarfile
import zipfile
from pathlib import Path

import common
import pytest


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


def test_damaged_lzma_in_a_zip_archive_is_told_in_one_line(tmp_path):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.bin", b"0123456789" * 100)
    content = bytearray(path.read_bytes())
    content[50:60] = b"\xff" * 10
    path.write_bytes(content)
    with pytest.raises(ValueError, match="^.*set.zip is truncated or broken.*$"):
        common.extract(path, tmp_path / "root", lambda name: name)
    assert not tree(tmp_path / "root")
