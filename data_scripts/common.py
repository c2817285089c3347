"""What all data scripts share: fetch archives, extract them safely, read every file and report what is missing.

The exit code of a script is 0 if its data set can be used, 1 if something is missing or broken (everything is listed),
and 2 for bad arguments. After an interruption the same command continues, and it does nothing twice.
"""

import lzma
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
from lixlib.core.files import told, write_atomically
from lixlib.data import splits

THUMBNAIL = (48, 160)  # the size that is kept of every file, after it was decoded and checked at full size
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
    """The options of every data script.

    Args:
        root: Folder of the data set.
        archives: Folder of its archives, where downloads are saved, too; by default archives/ in the root. They may be
            deleted afterwards.
        limit: Take only the first N frames of every split, for a quick look.
        dry_run: Only say what would be done.
    """

    root: Folder
    archives: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    limit: Limit = None
    dry_run: tyro.conf.FlagCreatePairsOff[bool] = False

    @property
    def archive_folder(self) -> Path:
        return self.archives or self.root / "archives"

    def at_most(self, count: int) -> int:
        """The number of frames that the limit leaves of `count`."""
        return min(count, self.limit or count)


Arguments = Annotated[Options, tyro.conf.arg(name="")]


@dataclass(frozen=True)
class Archive:
    """An archive of a data set.

    Args:
        name: its file name.
        size: size of the download in words.
        url: its public address; None if it needs a login.
        source: the page for the login.
        md5: its checksum, if it is published.
    """

    name: str
    size: str
    url: str | None = None
    source: str | None = None
    md5: str | None = None


def cli(main: Callable[..., int], description: str | None) -> None:
    """Run a script with the arguments of the command line and exit with its code; an error prints one message."""
    try:
        code = tyro.cli(main, description=description)
    except (ValueError, OSError) as error:  # a network error of requests is an OSError
        print(told(error) if isinstance(error, OSError) else error, file=sys.stderr)
        code = 1
    except ModuleNotFoundError as error:
        print(f"no module {error.name}: install it with pip install -e '.[data,depth]'", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print("stopped: the same command goes on from here", file=sys.stderr)
        code = 130
    sys.exit(code)


def prepare(options: Options, archives: Sequence[Archive], place: Place, complete: bool) -> None:
    """Fetch and extract archives in this order, unless their contents exist; a dry run only says so.

    Args:
        place: a function from the name of a member to its path below the root, or to None if it is not needed.
        complete: whether all required files exist.
    """
    if complete:
        print(f"{options.root}: nothing to fetch")
    elif options.dry_run:
        plan(archives, options)
    else:
        for archive in fetch(archives, options):
            extract(archive, options.root, place)


def plan(archives: Sequence[Archive], options: Options) -> None:
    """Print what `fetch` and `extract` would do."""
    for archive in archives:
        path = options.archive_folder / archive.name
        if path.is_file():
            print(f"would extract {path} to {options.root}")
        elif archive.url:
            print(f"would download {archive.url} ({archive.size}) as {path} and extract it to {options.root}")
        else:
            print(f"needs {path} ({archive.size}): log in at {archive.source} and fetch it by hand")


def fetch(archives: Sequence[Archive], options: Options) -> list[Path]:
    """Download the archives that do not exist yet, and return the paths of all.

    Raises:
        FileNotFoundError: archives that need a login are missing; the message says where to get and where to put them.
        ValueError: a checksum differs from the published one.
        OSError: the download failed; the part that has arrived is kept, and the next call continues it.
    """
    folder = options.archive_folder
    by_hand = [archive for archive in archives if archive.url is None and not (folder / archive.name).is_file()]
    if by_hand:
        lines = "".join(f"\n  {archive.name} ({archive.size}) from {archive.source}" for archive in by_hand)
        raise FileNotFoundError(f"log in, fetch by hand and put into {folder}:{lines}\n  then run this command again")
    return [_fetch(archive, folder) for archive in archives]


def _fetch(archive: Archive, folder: Path) -> Path:
    import pooch  # imported here because it is an optional dependency

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
    """A downloader for pooch that continues an interrupted download, which pooch's own would start again.

    The download is saved in `part` until it is complete. Then pooch compares the checksum of `output` and renames it.
    """
    import requests  # imported here because it is an optional dependency

    there = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"}  # bytes could not be counted if they were compressed in transit
    if there:
        headers["Range"] = f"bytes={there}-"
    with requests.get(url, headers=headers, stream=True, timeout=60) as response:
        if response.status_code != 416:  # 416 means that the part is complete
            response.raise_for_status()
            if response.status_code != 206:  # the server sends the whole file
                there = 0
            total = there + int(response.headers.get("Content-Length", 0)) or None
            bar = tqdm(initial=there, total=total, unit="B", unit_scale=True, unit_divisor=1024)
            # unbuffered, so that a full disk raises for the chunk that does not fit, and not when the file is closed
            with bar, part.open("ab" if there else "wb", buffering=0) as file:
                for chunk in response.iter_content(1 << 16):
                    bar.update(append(file, chunk, part))
    os.replace(part, output)


def append(file: IO[bytes], chunk: bytes, path: Path) -> int:
    """Write a chunk of a download, and return its length.

    Raises:
        OSError: the chunk cannot be written.
    """
    try:
        written = 0
        while written < len(chunk):
            written += file.write(chunk[written:])
    except OSError as error:
        kept = "what is there is kept, and a second call goes on"
        raise OSError(f"cannot write {path}: {error.strerror}; {kept}") from error
    return written


def extract(archive: Path, root: Path, place: Place) -> None:
    """Extract the members of a zip or tar archive that `place` selects; existing files of the right size are kept.

    Every file is written under a temporary name and then renamed, so that no file is ever incomplete.

    Raises:
        ValueError: the archive is truncated or broken, or holds a link, a device or a path outside the root.
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
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError) as error:
        reason = str(error).partition("\n")[0].rstrip(":")
        raise ValueError(f"{archive} is truncated or broken ({reason}): delete it and fetch it again") from error
    print(f"{archive.name}: {written} files extracted to {root}")


def _members(archive: Path) -> Iterator[tuple[str, int, Callable[[], IO[bytes]]]]:
    """Iterate over name, size and content of every file; links are refused, because no data set here has any.

    (The filter "data" of tarfile allows links within the root, and the Python of Debian 12 does not have it.)
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
    """Return the path of `name` below the root.

    Raises:
        ValueError: the path is outside the root, also by a link that exists in the root.
    """
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
    """Choose the frames of every split, and write the list in the root from which the reader takes them.

    They are the first frames of the drawn split, up to the limit, or all frames of a list that a user has put into the
    root.

    Raises:
        ValueError: there is a limit, and the root holds a user's own list.
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
    """Return a test that is true for the first `limit` files of every folder, or for all files if it is None."""
    counts = Counter()

    def passes(name: str) -> bool:
        folder = name.rpartition("/")[0]
        counts[folder] += 1
        return limit is None or counts[folder] <= limit

    return passes


def make_images(
    what: str, sources: Mapping[Path, T], load: Callable[[], Callable[[T], np.ndarray]], dry_run: bool
) -> int:
    """Write the PNG files that do not exist yet.

    Args:
        what: a name for these files in messages.
        sources: for every file the source that it is made from.
        load: returns the function that makes an image (H, W) or (H, W, 3) from a source; it is called only if needed.

    Returns:
        The number of files that could not be made; the reasons are printed.
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
    """Read every file of a data set; print the contents of every split, and all that is missing or broken.

    Args:
        expected: the number of frames that each split must have.
        with_x: whether a split must have X; without X it is for students only.
        reader: options of the reader.

    Returns:
        0 if nothing is missing or broken, otherwise 1.
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
