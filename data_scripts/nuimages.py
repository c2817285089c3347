"""nuImages (Motional): unpacked from archives that need a login, verified; masks from its tables, X from a network.

    python data_scripts/nuimages.py --root data/nuimages --archives downloads
    python data_scripts/nuimages.py --root data/nuimages --depth-anything depth-anything/Depth-Anything-V2-Base-hf
    python data_scripts/nuimages.py --root data/nuimages --mini

Only the 800 photographs of the split are extracted, of 83,724 annotated ones. The split is drawn from the tables and
written to ROOT/lix_split.txt. nuImages has no depth; without a network X is left out, which is enough for students.
Licence: CC BY-NC-SA 4.0, with Motional's terms.
"""

import base64
import json
from collections.abc import Callable, Container, Iterable, Sequence
from pathlib import Path

import common
import depth_anything
import numpy as np
import tyro

from lixlib.data import splits
from lixlib.data.classes import NUIMAGES, NUIMAGES_IDS
from lixlib.data.readers.nuimages import COUNTS, DISPARITY, MASKS

PAGE = "www.nuscenes.org/nuimages#download"
TABLES = common.Archive("nuimages-v1.0-all-metadata.tgz", size="0.6 GB", source=PAGE)
SAMPLES = common.Archive("nuimages-v1.0-all-samples.tgz", size="15 GB", source=PAGE)
MINI = common.Archive("nuimages-v1.0-mini.tgz", size="0.1 GB", source=PAGE)
Photograph = tuple[str, tuple[int, int]]  # its token and its size (H, W)
ANNOTATION = {"token": str, "sample_data_token": str, "category_token": str, "mask": dict | None}
NEEDED = {  # the tables, and the fields of their rows that are read
    "category": {"token": str, "name": str},
    "sample_data": {"token": str, "filename": str, "height": int, "width": int, "is_key_frame": bool},
    "object_ann": ANNOTATION,
    "surface_ann": ANNOTATION,
}
# The id of every class in nuScenes' devkit; the indices of the reader have no gaps.
IDS = {NUIMAGES.names[index]: number for number, index in NUIMAGES_IDS.items()}


def main(
    options: common.Arguments,
    model: depth_anything.Option = None,
    mini: tyro.conf.FlagCreatePairsOff[bool] = False,
) -> int:
    """Unpack nuImages, draw the split, paint the masks, make X if a model is given, and read every file.

    Args:
        mini: Take only the 50 photographs of v1.0-mini, divided 7 : 3.
    """
    root = options.root
    versions = ("v1.0-mini",) if mini else ("v1.0-train", "v1.0-val")
    tables = {f"{version}/{table}.json" for version in versions for table in NEEDED}
    has_tables = all((root / name).is_file() for name in tables)
    common.prepare(options, [MINI if mini else TABLES], lambda name: name if name in tables else None, has_tables)
    if options.dry_run and not has_tables:
        common.plan([MINI if mini else SAMPLES], options)
        print("would draw the split, paint its masks" + (f" and make X with {model}" if model else ""))
        return 0
    photographs = annotated(root, versions)
    wanted = common.choose_frames("nuimages", options, draw(list(photographs)))
    names = [name for split in wanted.values() for name in split]
    targets = {f"samples/{name}.jpg" for name in names}
    complete = all((root / target).is_file() for target in targets)
    common.prepare(options, [MINI if mini else SAMPLES], lambda name: name if name in targets else None, complete)
    masks = {root / MASKS / f"{name}.png": photographs[name] for name in names}
    common.make_images("masks", masks, lambda: painter(root, versions, masks.values()), options.dry_run)
    if model:
        photos = {root / DISPARITY / f"{name}.png": root / "samples" / f"{name}.jpg" for name in names}
        depth_anything.make(photos, model, options.dry_run)
    if options.dry_run:
        return 0
    expected = {split: len(names) for split, names in wanted.items()}
    return common.verify("nuimages", root, expected, with_x=lambda split: (root / DISPARITY).is_dir())


def annotated(root: Path, versions: Sequence[str]) -> dict[str, Photograph]:
    """Map the name of every annotated photograph (CAM_.../NAME, below samples/) to its token and its size (H, W)."""
    return {
        row["filename"].removeprefix("samples/").removesuffix(".jpg"): (row["token"], (row["height"], row["width"]))
        for version in versions
        for row in read(root / version / "sample_data.json")
        if row["is_key_frame"]
    }


def draw(names: list[str]) -> dict[str, list[str]]:
    """Draw 560 and 240 photographs as in the paper; of fewer photographs, draw all in the ratio 7 : 3."""
    total = min(len(names), sum(COUNTS.values()))
    train = total * COUNTS["train"] // sum(COUNTS.values())
    return splits.draw(names, {"train": train, "val": total - train})


def painter(
    root: Path, versions: Sequence[str], photographs: Iterable[Photograph]
) -> Callable[[Photograph], np.ndarray]:
    """Return a function that draws the label (H, W) of a photograph with the ids and the rules of nuScenes' devkit.

    Surfaces are drawn first, then objects in the order of their tokens; later masks cover earlier ones.
    """
    annotations: dict[str, list[dict]] = {token: [] for token, _ in photographs}
    categories: dict[str, str] = {}
    for version in versions:
        categories |= {row["token"]: row["name"] for row in read(root / version / "category.json")}
        for row in read(root / version / "surface_ann.json", only=annotations):
            annotations[row["sample_data_token"]].append(row)
        for row in sorted(read(root / version / "object_ann.json", only=annotations), key=lambda row: row["token"]):
            annotations[row["sample_data_token"]].append(row)

    def paint(photograph: Photograph) -> np.ndarray:
        token, size = photograph
        label = np.zeros(size, dtype=np.uint8)
        for row in annotations[token]:
            name = categories.get(row["category_token"])
            if name not in IDS:
                raise ValueError(f"annotation {row['token']} is of the category {name}, which nuImages does not have")
            if row["mask"] is not None:
                try:
                    label[decode(row["mask"])] = IDS[name]
                except (ValueError, KeyError, TypeError, IndexError) as error:
                    raise ValueError(f"annotation {row['token']} has a mask that cannot be read ({error})") from error
        return label

    return paint


def decode(mask: dict) -> np.ndarray:
    """Decode COCO's compressed run lengths in base64.

    **Shapes**: -> (H, W) bool.
    """
    from pycocotools.mask import decode as decode_runs  # imported here because it is an optional dependency

    return decode_runs({"size": mask["size"], "counts": base64.b64decode(mask["counts"])}).astype(bool)


def read(path: Path, only: Container[str] | None = None) -> list[dict]:
    """Read the rows of a table.

    Args:
        only: tokens of photographs; annotations of other photographs are left out.

    Raises:
        FileNotFoundError: there is no such table.
        ValueError: the table is no JSON, or a row lacks a field that is read.
    """
    fields, again = NEEDED[path.stem], "delete it and run this command again"

    def keep(row: dict) -> dict | None:
        # rows that are not needed are dropped at once, because the tables exceed the memory of a laptop
        return row if only is None or row.get("sample_data_token") in only or "counts" in row else None

    try:
        with path.open(encoding="utf-8-sig") as file:
            table = json.load(file, object_hook=keep)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"no table {path}: the archive does not hold it, fetch that of nuImages") from error
    except (ValueError, RecursionError) as error:  # no JSON, or no text
        raise ValueError(f"{path} is no JSON ({error}): {again}") from error
    rows = [row for row in table if row] if isinstance(table, list) else [table]
    for row in rows:
        for name, kind in fields.items():
            if not (isinstance(row, dict) and name in row and isinstance(row[name], kind)):
                raise ValueError(f"{path} has a row without a usable {name}: {again}")
    return rows


if __name__ == "__main__":
    common.cli(main, __doc__)
