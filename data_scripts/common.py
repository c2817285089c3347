"""What every data script does: fetch archives, extract them safely, read every file and say what is missing.

A script has the exit code 0 where its data set can be used, 1 where something is missing or broken (all of it is
listed), 2 for bad arguments. The same command goes on with what was interrupted, and does nothing twice.
"""

import os
import shutil
import stat
import sys
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Annotated, TypeVar

import numpy as np
import torch
import tyro
from PIL import Image
from tqdm import tqdm

from lixlib import data
from lixlib.core.files import write_atomically
from lixlib.data import splits

THUMBNAIL = (48, 160)  # every file is decoded and checked at its own size; this much of it is kept
Place = Callable[[str], str | None]
T = TypeVar("T")


def _at_least_one(words: list[str]) -> int:
    number = int(words[0])
    if number < 1:
        raise ValueError(f"{number} frames: give 1 or more")
    return number


_Count = Annotated[
    int,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="N",
        instance_from_str=_at_least_one,
        is_instance=lambda value: isinstance(value, int),
        str_from_instance=lambda value: [str(value)],
    ),
]
Limit = Annotated[_Count | None, tyro.conf.arg(metavar="N")]
Folder = Annotated[Path, tyro.conf.arg(metavar="DIR")]


@dataclass(frozen=True)
class Options:
    """What every data script is told.

    Args:
        root: Folder of the data set.
        archives: Folder where its archives lie, or are downloaded to; where not given, archives/ in the root. They may
            be deleted afterwards.
        limit: Only the first N frames of every split, for a quick look.
        dry_run: Say what would be done, and do nothing.
    """

    root: Folder
    archives: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    limit: Limit = None
    dry_run: tyro.conf.FlagCreatePairsOff[bool] = False

    @property
    def archive_folder(self) -> Path:
        return self.archives or self.root / "archives"

    def at_most(self, count: int) -> int:
        """How many of `count` frames the limit leaves."""
        return min(count, self.limit or count)


Arguments = Annotated[Options, tyro.conf.arg(name="")]


@dataclass(frozen=True)
class Archive:
    """An archive of a data set.

    name: its file name; size: of the download, for people; url: its public address, None where one must log in;
    source: the page where one logs in; md5: its checksum, where the publisher gives one.
    """

    name: str
    size: str
    url: str | None = None
    source: str | None = None
    md5: str | None = None


def cli(main: Callable[..., int], description: str | None) -> None:
    """Run a script with the arguments of the command line and exit with its code; an error is one message."""
    try:
        code = tyro.cli(main, description=description)
    except (ValueError, OSError) as error:  # a network error of requests is an OSError
        print(error, file=sys.stderr)
        code = 1
    except ModuleNotFoundError as error:
        print(f"no module {error.name}: install it with pip install -e '.[data,depth]'", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print("stopped: the same command goes on from here", file=sys.stderr)
        code = 130
    sys.exit(code)


def prepare(options: Options, archives: Sequence[Archive], place: Place, complete: bool) -> None:
    """Fetch and extract archives, in this order, unless what they hold is there; or say that it would be done.

    Args:
        place: the path below the root of a member, by its name in the archive; None for what is not needed.
        complete: whether all that is needed is there.
    """
    if complete:
        print(f"{options.root}: nothing to fetch")
    elif options.dry_run:
        plan(archives, options)
    else:
        for archive in fetch(archives, options):
            extract(archive, options.root, place)


def plan(archives: Sequence[Archive], options: Options) -> None:
    """Say what `fetch` and `extract` would do."""
    for archive in archives:
        path = options.archive_folder / archive.name
        if path.is_file():
            print(f"would extract {path} to {options.root}")
        elif archive.url:
            print(f"would download {archive.url} ({archive.size}) as {path} and extract it to {options.root}")
        else:
            print(f"needs {path} ({archive.size}): log in at {archive.source} and fetch it by hand")


def fetch(archives: Sequence[Archive], options: Options) -> list[Path]:
    """The archives' paths, downloaded where they are not there yet.

    Raises:
        FileNotFoundError: archives are missing that one must log in for; the message says which, whence and where to.
        ValueError: a checksum is not the published one.
        OSError: the download failed; what has arrived is kept, and the next call goes on from there.
    """
    folder = options.archive_folder
    by_hand = [archive for archive in archives if archive.url is None and not (folder / archive.name).is_file()]
    if by_hand:
        lines = "".join(f"\n  {archive.name} ({archive.size}) from {archive.source}" for archive in by_hand)
        raise FileNotFoundError(f"log in, fetch by hand and put into {folder}:{lines}\n  then run this command again")
    return [_fetch(archive, folder) for archive in archives]


def _fetch(archive: Archive, folder: Path) -> Path:
    import pooch  # here alone: an optional dependency

    path = folder / archive.name
    if not path.is_file():
        print(f"downloading {archive.name} ({archive.size}) to {folder}")
        known = archive.md5 and f"md5:{archive.md5}"
        pooch.get_logger().setLevel("WARNING")
        downloader = partial(resume, folder / f"{archive.name}.part")
        try:
            pooch.retrieve(archive.url, known, path=folder, fname=archive.name, downloader=downloader)
        except OSError as error:
            raise OSError(
                f"{archive.url} did not arrive ({error}): run this command again, or fetch it by hand as {path}"
            ) from error
    elif archive.md5 and (found := pooch.file_hash(path, "md5")) != archive.md5:
        raise ValueError(f"{path} has the MD5 checksum {found}, not {archive.md5}: delete it and fetch it again")
    return path


def resume(part: Path, url: str, output: str, pooch: object) -> None:
    """A downloader for pooch that goes on where an earlier one was interrupted (pooch's own starts again).

    What has arrived lies in `part` until it is whole; then pooch compares the checksum of `output` and renames it.
    """
    import requests  # here alone: comes with pooch

    there = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"}  # compressed on the way, the bytes could not be counted
    if there:
        headers["Range"] = f"bytes={there}-"
    with requests.get(url, headers=headers, stream=True, timeout=60) as response:
        if response.status_code != 416:  # 416: all of it is there
            response.raise_for_status()
            if response.status_code != 206:  # the server sends the whole file
                there = 0
            total = there + int(response.headers.get("Content-Length", 0)) or None
            bar = tqdm(initial=there, total=total, unit="B", unit_scale=True, unit_divisor=1024)
            # unbuffered, so that a full disk is found at the chunk that does not fit, and not when the file is closed
            with bar, part.open("ab" if there else "wb", buffering=0) as file:
                for chunk in response.iter_content(1 << 16):
                    bar.update(append(file, chunk, part))
    os.replace(part, output)


def append(file: IO[bytes], chunk: bytes, path: Path) -> int:
    """Write a piece of a download; return its length."""
    try:
        written = 0
        while written < len(chunk):
            written += file.write(chunk[written:])
    except OSError as error:
        kept = "what is there is kept, and a second call goes on"
        raise OSError(f"cannot write {path}: {error.strerror}; {kept}") from error
    return written


def extract(archive: Path, root: Path, place: Place) -> None:
    """Extract what `place` wants of a zip or tar archive; files that are there with the right size stay as they are.

    Every file is written under a temporary name and renamed, so that none is ever half there.

    Raises:
        ValueError: the archive is truncated or broken, or it holds a link, a device or a path out of the root.
    """
    written = 0
    try:
        for name, size, open_member in tqdm(_members(archive), desc=archive.name, unit="file", leave=False):
            _below(root, name, archive)
            wanted = place(name)
            if wanted is None:
                continue
            target = _below(root, wanted, archive)
            if not (target.is_file() and target.stat().st_size == size):
                write_atomically(target, partial(_copy, open_member))
                written += 1
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ValueError(f"{archive} is truncated or broken ({error}): delete it and fetch it again") from error
    print(f"{archive.name}: {written} files extracted to {root}")


def _members(archive: Path) -> Iterator[tuple[str, int, Callable[[], IO[bytes]]]]:
    """Name, size and content of every file. Links are refused outright: no data set here has one.

    (tarfile's filter "data" would let links within the root through, and Debian 12's Python has none.)
    """
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as file:
            for info in file.infolist():
                kind = stat.S_IFMT(info.external_attr >> 16)
                if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                    raise _unsafe(archive, info.filename, "is a link or a device")
                if not info.is_dir():
                    yield info.filename, info.file_size, partial(file.open, info)
    else:
        with tarfile.open(archive) as file:
            for member in file:
                if not (member.isreg() or member.isdir()):
                    raise _unsafe(archive, member.name, "is a link or a device")
                if member.isreg():
                    yield member.name, member.size, partial(file.extractfile, member)


def _below(root: Path, name: str, archive: Path) -> Path:
    """The path of `name` below the root; a link in the root that leads out of it counts as outside."""
    path = (root / name).resolve()
    if not path.is_relative_to(root.resolve()):
        raise _unsafe(archive, name, f"would be written to {path}, outside {root.resolve()}")
    return root / name


def _unsafe(archive: Path, member: str, why: str) -> ValueError:
    return ValueError(f"{archive}: {member!r} {why}; nothing more was extracted: fetch the archive from its publisher")


def _copy(open_member: Callable[[], IO[bytes]], target: Path) -> None:
    with open_member() as source, target.open("wb") as file:
        shutil.copyfileobj(source, file)


def choose_frames(dataset: str, options: Options, drawn: dict[str, list[str]]) -> dict[str, list[str]]:
    """The frames that are wanted of every split, written to the list in the root from which the reader takes them.

    They are the first ones, up to the limit, of the split that was drawn, or all those of a list that somebody put into
    the root.

    Raises:
        ValueError: a limit, but somebody's own list is in the root.
    """
    path = options.root / splits.LIST
    if path.is_file():
        own = {split: splits.read_list(dataset, options.root, split) for split in drawn}
        if any(names != drawn[split][: len(names)] for split, names in own.items()):
            if options.limit:
                raise ValueError(f"{path} is somebody's own list, which --limit would change: move it away first")
            return own
    wanted = {split: names[: options.limit] for split, names in drawn.items()}
    if not options.dry_run:
        splits.write_list(path, wanted)
    return wanted


def first_of_each_folder(limit: int | None) -> Callable[[str], bool]:
    """A test that the first `limit` files of every folder pass; all of them for None."""
    counts = Counter()

    def passes(name: str) -> bool:
        folder = name.rpartition("/")[0]
        counts[folder] += 1
        return limit is None or counts[folder] <= limit

    return passes


def make_images(
    what: str, sources: Mapping[Path, T], load: Callable[[], Callable[[T], np.ndarray]], dry_run: bool
) -> int:
    """Write every PNG file that is not there yet.

    Args:
        what: the files in words.
        sources: what every file is made of.
        load: gives the function that makes an image (H, W) of it; called only if there is something to make.

    Returns:
        How many could not be made; why is printed.
    """
    left = {target: source for target, source in sources.items() if not target.is_file()}
    print(f"{what}: {len(left)} of {len(sources)} {'would be made' if dry_run else 'to make'}")
    if dry_run or not left:
        return 0
    make, failures = load(), []
    for target, source in tqdm(left.items(), desc=what, unit="image"):
        try:
            image = Image.fromarray(make(source))
        except (ValueError, OSError) as error:
            failures.append(str(error))
        else:
            write_atomically(target, partial(image.save, format="PNG"))
    print("".join(f"  not made: {failure}\n" for failure in failures), end="")
    return len(failures)


def verify(
    dataset: str,
    root: Path,
    expected: Mapping[str, int],
    *,
    with_x: Callable[[str], bool] = lambda split: True,
    **reader,
) -> int:
    """Read every file of a data set; print what every split holds, and everything that is missing or broken.

    Args:
        expected: how many frames of each split must be there.
        with_x: whether a split is to have X; without, it is for students alone.
        reader: options of the reader.

    Returns:
        0 if nothing is missing or broken, else 1.
    """
    problems = 0
    for split, count in expected.items():
        try:
            samples = data.load(dataset, split, root=root, size=THUMBNAIL, with_x=with_x(split), **reader)
        except (ValueError, OSError) as error:
            print(f"{split}: {error}")
            problems += 1
            continue
        pixels, failures = torch.zeros(256), []
        for i in tqdm(range(min(len(samples), count)), desc=split, unit="image", leave=False):
            try:
                pixels += torch.bincount(samples[i].label.flatten(), minlength=256)
            except (ValueError, OSError) as error:
                failures.append(str(error))
        if len(samples) < count:
            failures.append(f"{len(samples)} of {count} images are there")
        share = pixels / pixels.sum().clamp(min=1)
        classes = ", ".join(f"{name} {share[c]:.1%}" for c, name in enumerate(samples.classes.names))
        kind = "RGB + X" if with_x(split) else "RGB alone (no X: for students)"
        print(f"{split}: {min(len(samples), count)} images, {kind}; {classes}")
        print("".join(f"  broken: {failure}\n" for failure in failures), end="")
        problems += len(failures)
    if problems:
        print(f"{problems} problems: delete what is broken, and run this command again")
    return int(problems > 0)
