"""Run the data scripts in this process, and read what they wrote."""

import re
import sys
import zipfile
from pathlib import Path

import camvid
import common
import potholes
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
FETCHED = ["camvid", "potholes", "vkitti2", "kitti", "nuimages", "cityscapes"]


def run(script, *arguments) -> int:
    """The exit code of a script."""
    sys.argv = [f"data_scripts/{script.__name__}.py", *map(str, arguments)]
    with pytest.raises(SystemExit) as stopped:
        common.cli(script.main, script.__doc__)
    return stopped.value.code


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
    """When each file below the root was written, lists of names left out."""
    return {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.suffix != ".txt" and path.is_file()}


def counts_of(output: str) -> list[int]:
    """How many images the script found in each split, as it says itself."""
    return [int(count) for count in re.findall(r"^\w+: (\d+) images, RGB", output, re.MULTILINE)]
