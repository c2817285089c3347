"""Potholes (Fan et al., IEEE T-IP 2019): stereo road images, fetched from GitHub and verified; X comes with them.

    python data_scripts/potholes.py --root data/potholes

The archive also holds point clouds and coloured disparities, which are not extracted.
"""

import re

import common

from lixlib.data.images import MAPS, PHOTOS, images_in

COUNTS = {"dataset1": 22, "dataset2": 40, "dataset3": 5}
ARCHIVE = common.Archive(
    "stereo_pothole_datasets-master.zip",
    size="about 900 MB",
    url="https://codeload.github.com/ruirangerfan/stereo_pothole_datasets/zip/refs/heads/master",
)
WANTED = re.compile(r"[^/]+/(dataset[123]/(rgb|disp_tg|label)/[^/]+\.png)")


def main(options: common.Arguments) -> int:
    """Fetch Potholes and read every file; the limit applies to the frames of each of the three datasets."""
    root = options.root
    counts = {folder: options.at_most(count) for folder, count in COUNTS.items()}
    complete = all(
        len(images_in(root / folder / kind, suffixes)) >= count
        for folder, count in counts.items()
        for kind, suffixes in (("rgb", PHOTOS), ("disp_tg", MAPS), ("label", MAPS))
    )
    first = common.first_of_each_folder(options.limit)

    def place(name: str) -> str | None:
        match = WANTED.fullmatch(name)
        return match[1] if match and first(name) else None

    common.prepare(options, [ARCHIVE], place, complete)
    if options.dry_run:
        return 0
    expected = {"train": counts["dataset2"] + counts["dataset3"], "test": counts["dataset1"]}
    return common.verify("potholes", root, expected)


if __name__ == "__main__":
    common.cli(main, __doc__)
