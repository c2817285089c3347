"""The Virtual KITTI 2 script: archives of every form."""

import tarfile
from dataclasses import replace

import pytest
import trees
import vkitti2
from scripts import run

from lixlib.data.splits import write_list


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
