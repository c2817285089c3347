"""Check a data set that is read from files: read every file, and list everything that is wrong or unwise."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from lixlib import data
from lixlib.core.sample import IGNORE, check_label
from lixlib.core.text import escaped
from lixlib.data import check_swaps
from lixlib.data.check_report import Counts, Report, in_short
from lixlib.data.contact_sheet import Row
from lixlib.data.image_files import Item, Triplets, check_size, open_measured, require_folder
from lixlib.data.images import MAPS, choose_images, open_image, open_label, open_photo
from lixlib.data.readers import folder

ORDER = ("train", "val", "test", "unlabelled")
FEW_TO_TRAIN, FEW_TO_SCORE = 20, 10  # images below which a result says little
ROWS = 4  # of the contact sheet, for every split
LOOK, MOST_AT_LIMIT = 20, 0.1  # images that are looked at, and share of their X
UNREADABLE = "folders that cannot be read"
NEAR = 0.12  # share of the bits of a hash in which two near-duplicates may differ


@dataclass
class _Files:
    """The files of every split, and how labels and X are read.

    Args:
        zero_is_unknown: False if X is neither depth nor disparity.
        x_channels: the channels that every X file must have; None accepts any.
    """

    splits: dict[str, list[Item]]
    read_label: Callable[[np.ndarray], np.ndarray] | None
    zero_is_unknown: bool = True
    x_channels: int | None = None


def check(root: Path, dataset: str = "folder", *, progress: bool = True) -> Report:
    """Read every file of a data set and report what it holds, what is wrong and what is unwise.

    A broken file does not stop the check: it is reported, and the next one is read.

    Args:
        root: the folder of the data set.
        dataset: its name. All splits of "folder" are read; of other data sets, the default splits of a recipe.
        progress: show a progress bar.

    Raises:
        ValueError: no data set of this name is read from files, or its reader gives no list of image files.
        FileNotFoundError: there is no such folder.
    """
    if dataset == "folder":
        report, files = _list_folder(root)
    else:
        report, files = _list_known(dataset, root)
    hashes: dict[str, dict[str, np.ndarray]] = {}
    sizes: Counter[tuple[int, int]] = Counter()
    bar = tqdm(total=sum(map(len, files.splits.values())), desc="reading", unit="image", disable=not progress)
    with bar:
        for split, items in files.splits.items():
            counts = report.splits[split] = Counts(len(items))
            shown, hashes[split] = {round(i) for i in np.linspace(0, len(items) - 1, ROWS)}, {}
            for index, item in enumerate(items):
                photo = _read_photo(item, report)
                label = _read_label(item, photo, files, report, counts)
                x = _read_x(item, photo, files, report)
                _count(counts, label, x)
                check_swaps.count(counts, item)
                if photo is not None:
                    hashes[split][item.name] = difference_hash(photo)
                    sizes[photo.height, photo.width] += 1
                if index in shown:
                    known = None if x is None else (x > 0 if files.zero_is_unknown else torch.ones_like(x) > 0)
                    report.rows.append(Row.of(escaped(f"{split} / {item.name}"), photo, x, known, label))
                bar.update()
    check_swaps.judge(report)
    _judge_counts(report)
    _judge_classes(report)
    _judge_sizes(report, sizes)
    _judge_duplicates(report, hashes)
    if dataset == "folder" and not report.problems:
        with report.noting("the training images cannot be read together"):
            train = folder.read_folder(root, "train", with_x=report.splits["train"].with_x > 0)
            _judge_limit(report, train)
    return report


def _judge_limit(report: Report, train: Triplets) -> None:
    """Warn if much of X lies at the end of the range that a teacher sees, where all is alike."""
    if train.read_depth is None or not report.splits["train"].with_x:
        return
    samples = [train[round(i)] for i in np.linspace(0, len(train) - 1, min(len(train), LOOK))]
    known = torch.cat([sample.x[sample.valid] for sample in samples])
    share = float((known >= 1).float().mean()) if known.numel() else 0.0
    if share > MOST_AT_LIMIT:
        advice = (
            'take another form, e.g. --dataset-options \'{"x": "depth"}\' with the largest depth as scale in x.json'
        )
        report.warn(
            "X that is cut off as a teacher sees it", f"{share:.0%} is at its limit ({train[0].unit}): {advice}"
        )


def difference_hash(photo: Image.Image) -> np.ndarray:
    """Return a perceptual hash: for each of 16 x 16 parts, whether it is brighter than its neighbour on the left.

    Resizing, compression and a change of brightness affect few of the bits.

    **Shapes**: -> (256,) bool.
    """
    grey = np.asarray(photo.convert("L").resize((17, 16), Image.Resampling.BOX), np.int16)
    return (grey[:, 1:] > grey[:, :-1]).ravel()


def near_duplicates(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> list[tuple[str, str, float]]:
    """Return pairs of names whose hashes differ in few bits, with the share of these bits; most similar pairs first.

    Hashes with hardly any bit set, or hardly any not set, belong to images without structure and are left out.
    """
    first, second = ({name: bits for name, bits in each.items() if 0.1 < bits.mean() < 0.9} for each in (first, second))
    if not first or not second:
        return []
    one, other = (np.array(list(each.values()), np.float32) * 2 - 1 for each in (first, second))
    pairs = []
    for start in range(0, len(one), 1024):  # a block of rows at a time: the whole table may not fit into the memory
        differ = (1 - one[start : start + 1024] @ other.T / one.shape[1]) / 2
        names, others = list(first)[start : start + 1024], list(second)
        pairs += [(names[i], others[j], float(differ[i, j])) for i, j in np.argwhere(differ <= NEAR)]
    return sorted(pairs, key=lambda pair: pair[2])


def _list_folder(root: Path) -> tuple[Report, _Files]:
    """List the files of a data set of your own, without the reader, which stops at the first missing file."""
    require_folder(root, folder.LAYOUT, folder.SOURCE)
    report, read_label, about = Report(None), None, {}
    with report.noting("classes.json"):
        report.classes, read_label = folder.read_classes(root / "classes.json")
    there = set()
    with report.noting(UNREADABLE):
        for place in root.iterdir():
            with report.noting(UNREADABLE):
                if (place / "rgb").is_dir():
                    there.add(place.name)
    splits = [split for split in ORDER if split in there] + sorted(there - set(ORDER))
    items = {split: _list_split(root / split, split != "unlabelled", report) for split in splits}
    files = _Files({split: found for split, found in items.items() if found}, read_label)
    xs = [item.x for found in items.values() for item in found if item.x]
    if xs:
        with report.noting("x.json"):
            about = folder.read_x_json(root / "x.json")
    if about.get("kind") == "other":
        files.zero_is_unknown, files.x_channels = False, _channels(xs[0])
    elif about:
        files.x_channels = 1
    return report, files


def _list_split(place: Path, labelled: bool, report: Report) -> list[Item]:
    """List the files of one split, and report those that do not belong together."""
    suffixes = {"rgb": folder.photo_suffixes(), "x": MAPS, "label": MAPS}
    by_stem: dict[str, dict[str, Path]] = {}
    listed = {part: _list_images(place / part, allowed, report) for part, allowed in suffixes.items()}
    if listed["rgb"] is None:
        return []
    for part in suffixes:
        found, others = listed[part] or ([], [])
        if part == "x" and not found and any(path.suffix.lower() in suffixes["rgb"] for path in others):
            told = f"none of the {len(others)} files of {place / part} can be X, which is {', '.join(MAPS)}"
            report.fail(check_swaps.SWAPPED, told)
        kinds = "images" if part == "rgb" else ", ".join(MAPS)
        report.warn(f"files that are not read: in {part} folders {kinds} are", *map(str, others))
        by_stem[part] = {}
        for path in found:
            twin = by_stem[part].setdefault(path.stem, path)
            if twin is not path:
                report.fail("two files of one name, of which only one can be meant", f"{twin} and {path}")
    photos = by_stem["rgb"]
    if not photos:
        report.fail("splits without photographs", f"{place / 'rgb'} is empty")
    for part in ("x", "label"):
        alone = [path for stem, path in by_stem[part].items() if stem not in photos]
        report.warn("X or label files without a photograph of their name", *map(str, alone))
        if photos and not by_stem[part] and listed[part] is not None:
            instead = f"; {told}" if (told := folder.unread(place, part)) else ""
            if part == "x":
                heading = "splits without X, in which only students can be trained or scored"
                report.warn(heading, f"no X file in {place / part}{instead}")
            elif labelled:
                report.fail("splits without labels", f"no label file in {place / part}{instead}")

    def beside(stem: str, part: str, wanted: bool) -> Path | None:
        return by_stem[part].get(stem, place / part / f"{stem}.png") if wanted and by_stem[part] else None

    return [Item(stem, path, beside(stem, "x", True), beside(stem, "label", labelled)) for stem, path in photos.items()]


def _list_images(place: Path, allowed: Sequence[str], report: Report) -> tuple[list[Path], list[Path]] | None:
    """The image files and the other files of a folder, which need not exist; None if it cannot be read."""
    with report.noting(UNREADABLE):
        return choose_images(sorted(place.iterdir()) if place.is_dir() else [], allowed)
    return None


def _list_known(dataset: str, root: Path) -> tuple[Report, _Files]:
    """List the files of another data set with its reader; a split without X is read without it."""
    data.check_name(dataset)
    if dataset not in data.from_files():
        raise ValueError(f"data set {dataset!r} is not read from files: choose one of {', '.join(data.from_files())}")
    report, files = Report(None), _Files({}, None)
    for split in filter(None, data.splits_of(dataset, root)):
        samples = None
        with report.noting("splits that cannot be read"):
            try:
                samples = data.load(dataset, split, root=root, size=None)
            except FileNotFoundError as error:
                samples = data.load(dataset, split, root=root, size=None, with_x=False)
                heading = "splits without X, in which only students can be trained or scored"
                report.warn(heading, in_short(error))
        if samples is None:
            continue
        if not isinstance(samples, Triplets):
            raise ValueError(
                f"{dataset!r} is no data set of image files, and no other is checked: its reader returns "
                f"{type(samples).__name__}, and lixlib.data.image_files.Triplets are expected"
            )
        report.classes, files.read_label, files.splits[split] = samples.classes, samples.read_label, samples.items
    return report, files


def _channels(path: Path) -> int | None:
    try:
        return 3 if open_image(path).mode == "RGB" else 1
    except (ValueError, OSError):  # it is reported when the file is read
        return None


def _read_photo(item: Item, report: Report) -> Image.Image | None:
    with report.noting("photographs that cannot be read"):
        return open_photo(item.rgb)
    return None


def _read_label(
    item: Item, photo: Image.Image | None, files: _Files, report: Report, counts: Counts
) -> np.ndarray | None:
    if item.label is None:
        return None
    if not item.label.is_file():
        report.fail("photographs without a label", f"{item.rgb} has no {item.label}")
        return None
    raw = None
    with report.noting("label files that cannot be read"):
        raw = open_label(item.label)
    if raw is None or not _same_size(item.label, raw.shape[:2], item, photo, report) or files.read_label is None:
        return None
    try:
        label = files.read_label(raw)
        check_label(torch.from_numpy(label.astype(np.int64)), len(report.classes), item.label)
    except ValueError as error:
        told = str(error)
        named = told if str(item.label) in told else f"{item.label}: {told}"
        counts.not_classes.append(named)
        counts.like_x += check_swaps.is_like_x(raw, files.read_label)
        return None
    if (label == IGNORE).all():
        report.warn("labels that ignore every pixel", str(item.label))
    return label


def _read_x(item: Item, photo: Image.Image | None, files: _Files, report: Report) -> Tensor | None:
    if item.x is None:
        return None
    if not item.x.is_file():
        heading = "photographs without X, though others of their split have it"
        report.fail(heading, f"{item.rgb} has no {item.x}")
        return None
    x = None
    with report.noting("X files that cannot be read, or hold what X cannot be"):
        x = open_measured(item.x, files.x_channels or _channels(item.x) or 1)
    if x is None or not _same_size(item.x, tuple(x.shape[-2:]), item, photo, report):
        return None
    known = x[x > 0] if files.zero_is_unknown else x
    missing = 1 - known.numel() / x.numel()
    if missing > 0.5:
        heading = "X with most pixels missing (0 is unknown)"
        report.warn(heading, f"{item.x}: {missing:.0%} of its pixels")
    if known.numel() and known.min() == known.max():
        report.warn("X that is constant, and says nothing", f"{item.x} is {known.min():g} everywhere")
    return x


def _same_size(path: Path, size: tuple, item: Item, photo: Image.Image | None, report: Report) -> bool:
    if photo is not None:
        try:
            check_size(path, size, item.rgb, (photo.height, photo.width))
        except ValueError as error:
            report.fail("files whose size differs from their photograph's", str(error))
            return False
    return True


def _count(counts: Counts, label: np.ndarray | None, x: Tensor | None) -> None:
    """Add an image to the counts of its split."""
    counts.with_x += x is not None
    if label is not None:
        pixels = np.bincount(label.ravel(), minlength=256)
        counts.with_label += 1
        counts.pixels += pixels
        counts.images_with += pixels > 0
        counts.of_one_class += np.count_nonzero(pixels[:IGNORE]) == 1


def _judge_counts(report: Report) -> None:
    """Report splits that are missing, small, or without a single labelled pixel."""
    if "train" not in report.splits:
        report.fail("no split to train on", "no image of train is found")
    if not {"val", "test"} & set(report.splits):
        report.fail("no split to score", "no image of test is found, nor of val")
    for split, counts in report.splits.items():
        enough = {"train": FEW_TO_TRAIN, "unlabelled": 0}.get(split, FEW_TO_SCORE)
        if counts.images < enough:
            report.warn(
                "very few images, so that results differ much from seed to seed",
                f"{split} has {counts.images}: {enough} or more are better",
            )
        if counts.with_label and not counts.pixels[:IGNORE].any():
            report.fail("splits in which every pixel is ignored", split)


def _judge_classes(report: Report) -> None:
    """Report classes that cannot be learnt or scored, and splits whose labels mostly hold one class."""
    train = report.splits.get("train")
    if report.classes is None or train is None or not train.with_label:
        return
    elsewhere = sum((counts.pixels for split, counts in report.splits.items() if split != "train"), np.zeros(256))
    for index, name in enumerate(report.classes.names):
        if not train.pixels[index]:
            where = [split for split, counts in report.splits.items() if counts.pixels[index]]
            heading = "classes that occur in no image" if not where else "classes that occur in no training image"
            report.warn(heading, name + (f", but in {', '.join(where)}" if where else ""))
        elif elsewhere.any() and not elsewhere[index]:
            report.warn("classes that occur in training images alone, so that nothing scores them", name)
        else:
            scoring = {split: counts for split, counts in report.splits.items() if split not in ("train", "unlabelled")}
            where = [split for split, counts in scoring.items() if counts.with_label and not counts.pixels[index]]
            heading = "classes that a split does not show, so that its score says nothing of them"
            report.warn(heading, *(f"{name}, in no image of {split}" for split in where))
    for split, counts in report.splits.items():
        if counts.of_one_class > max(1, counts.with_label / 2):
            heading = "splits in which most labels hold one class only"
            report.warn(heading, f"{split}: {counts.of_one_class} of {counts.with_label} labels")


def _judge_sizes(report: Report, sizes: Counter[tuple[int, int]]) -> None:
    """Report photographs whose proportions differ by more than a tenth, since resizing to one size distorts them."""
    aspects = [width / height for height, width in sizes]
    if aspects and max(aspects) > 1.1 * min(aspects):
        told = [
            f"{height} x {width} (height x width): {count} images" for (height, width), count in sizes.most_common()
        ]
        report.warn("photographs of different proportions, which are all resized to one size", *told)


def _judge_duplicates(report: Report, hashes: dict[str, dict[str, np.ndarray]]) -> None:
    """Report near-duplicates in two splits; unlabelled images may resemble training images."""
    for first, second in combinations(hashes, 2):
        if (first, second) != ("train", "unlabelled"):
            pairs = near_duplicates(hashes[first], hashes[second])
            told = (
                f"{first}/{one} and {second}/{other} ({differ:.0%} of the hash differs)" for one, other, differ in pairs
            )
            report.warn("near-duplicates in two splits, which make scores too good", *told)
