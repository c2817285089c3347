"""Virtual KITTI 2.0.3 (Cabon et al., 2020): fetched from Naver Labs without a login, verified.

    python data_scripts/vkitti2.py --root data/vkitti2
    python data_scripts/vkitti2.py --root data/vkitti2 --archives downloads --limit 20

Only the 700 frames of the split are extracted (2 GB), of 21,260 frames. To use more, unpack the archives in the root by
hand, and write the split into ROOT/lix_split.txt. Licence: CC BY-NC-SA 3.0.
"""

import re

import common

from lixlib.data import splits
from lixlib.data.readers.vkitti2 import CAMERA, COUNTS, frames, part

BASE = "https://download.europe.naverlabs.com/virtual_kitti_2.0.3"
# The checksums are those of vkitti_2.0.3_md5_checksums.txt at the same address.
ARCHIVES = [
    common.Archive(name, size=size, url=f"{BASE}/{name}", md5=md5)
    for name, size, md5 in (
        ("vkitti_2.0.3_rgb.tar", "7.5 GB", "1e00a143a397c2c53aa9720a868fe34a"),
        ("vkitti_2.0.3_depth.tar", "8.1 GB", "1d34a96f870fc5d33b482df87844f5e4"),
        ("vkitti_2.0.3_classSegmentation.tar", "1.0 GB", "e8658ab49250e61f1caa174625563263"),
        ("vkitti_2.0.3_textgt.tar.gz", "24 MB", "855f7f37746e5508f094e522c9cf41f4"),
    )
]
MEMBER = re.compile(r"(?:\./)?(?:vkitti_2\.0\.3_\w+/)?(Scene.+)")


def main(options: common.Arguments) -> int:
    """Fetch Virtual KITTI 2, extract the frames of the split and read every file."""
    root = options.root
    wanted = common.choose_frames("vkitti2", options, splits.draw(frames(), COUNTS))
    # keyed by the name below the scenes, because archives may be unpacked in the root or each in its own folder
    targets = {
        name: (part(root, kind) / name).relative_to(root).as_posix()
        for names in wanted.values()
        for frame in names
        for kind, name in files(frame).items()
    }

    def place(name: str) -> str | None:
        match = MEMBER.fullmatch(name)
        return targets.get(match[1]) if match else None

    common.prepare(options, ARCHIVES, place, complete=all((root / target).is_file() for target in targets.values()))
    if options.dry_run:
        return 0
    expected = {split: len(names) for split, names in wanted.items()}
    return common.verify("vkitti2", root, expected, x="normals")  # which need all files


def files(frame: str) -> dict[str, str]:
    """Return the file of a frame, such as Scene01/clone/00012, in every archive."""
    where, _, number = frame.rpartition("/")
    side = f"Camera_{CAMERA}"
    return {
        "rgb": f"{where}/frames/rgb/{side}/rgb_{number}.jpg",
        "depth": f"{where}/frames/depth/{side}/depth_{number}.png",
        "classSegmentation": f"{where}/frames/classSegmentation/{side}/classgt_{number}.png",
        "textgt": f"{where}/intrinsic.txt",
    }


if __name__ == "__main__":
    common.cli(main, __doc__)
