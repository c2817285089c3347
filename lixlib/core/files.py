"""Files are written whole or not at all, read with errors that name the place, and never lost when they are damaged."""

import hashlib
import json
import os
import platform
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lixlib.core.text import escaped

if sys.platform != "win32":
    import fcntl

LEFTOVER = re.compile(r"\..+\.(?P<host>[^.]+)\.(?P<pid>\d+)\.tmp", re.DOTALL)
LONGEST = 120  # bytes of a file's name that its temporary name repeats: file systems allow 255 in all


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write` with a temporary name beside `path`, then rename: readers see the old file or the whole new one.

    The data are on the disk before the rename, so that a power cut leaves one of the two as well. Temporary files of
    this machine's dead processes in the same folder are removed.

    Raises:
        OSError: the file cannot be written; one line names it and the reason, and the earlier file is as it was.
    """
    temporary = path.with_name(_temporary_name(path.name))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent)
        write(temporary)
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    except (OSError, RuntimeError) as error:  # torch raises the latter
        kept = "; the file that was there is unchanged" if os.path.isfile(path) else ""  # a name may be too long
        raise OSError(f"cannot write {path}: {_reason(error, path)}{kept}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files that killed processes of this machine left in a folder."""
    for file in folder.glob(".*.tmp"):
        found = LEFTOVER.fullmatch(file.name)
        if found and found["host"] == _host() and not _is_alive(int(found["pid"])):
            with suppress(OSError):  # in a folder that one may only read they disturb nobody
                file.unlink(missing_ok=True)


def set_aside(path: Path, problem: str) -> Path:
    """Rename a damaged file, so that it stops nothing and nothing is lost, and warn; return its new name.

    Args:
        problem: what is wrong with it and what happens now, e.g. "is cut short: training starts again".
    """
    target, number = path.with_name(f"{path.name}.damaged"), 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.damaged-{number}")
    try:
        os.replace(path, target)
    except OSError as error:
        raise OSError(f"{path} {problem}, but cannot be renamed: {error.strerror}") from error
    warnings.warn(f"{path} {problem} (the file is kept as {target.name})", stacklevel=2)
    return target


def _temporary_name(name: str) -> str:
    if len(name.encode(errors="surrogateescape")) > LONGEST:
        name = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:16]
    return f".{name}.{_host()}.{os.getpid()}.tmp"


def _host() -> str:
    return re.sub(r"[^\w-]", "-", platform.node())[:64] or "localhost"


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass  # a process of somebody else
    return True


def _sync(path: Path) -> None:
    """Have the operating system write a file's data, or a folder's names, to the disk."""
    with suppress(PermissionError):  # Windows opens no folder
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _reason(error: Exception, path: Path) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    with suppress(OSError):
        if shutil.disk_usage(path.parent).free < 2**16:  # torch and numpy do not say so
            return "No space left on device"
    return str(error).partition("\n")[0]


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Wait until no other process is in this block for the same folder.

    Nobody waits where a folder cannot be locked: on Windows, and on many network file systems.
    """
    make_folder(folder)
    if sys.platform == "win32":
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def at_home(path: Path | str) -> Path:
    """The path, where it starts with ~ below the home folder: no shell has seen what is in JSON or after a =."""
    return Path(os.path.expanduser(path))  # Path.expanduser fails on the home of nobody


def make_folder(folder: Path) -> Path:
    """Make a folder, if there is none, and see that files can be written there.

    Raises:
        OSError: it cannot be made, or not be written to; one line names it and the reason.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK | os.X_OK)
    except OSError as error:
        raise OSError(f"cannot make the folder {folder}: {error.strerror}; choose another one") from error
    if not writable:
        raise OSError(f"cannot write into the folder {folder}: Permission denied; choose another one")
    return folder


def told(error: OSError) -> str:
    """An error of the operating system in words: the file, and the reason."""
    if error.filename is None or not error.strerror:
        return str(error)
    return f"cannot use {escaped(error.filename)}: {error.strerror}; correct the path or its permissions"


def without_folders(value: object) -> object:
    """The same with the name alone of every absolute path in it: what a result line may tell of this machine."""
    if isinstance(value, dict):
        return {name: without_folders(each) for name, each in value.items()}
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def write_json_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object a line.

    Raises:
        OSError: as `write_atomically`.
        ValueError: a number is NaN or infinite, for which JSON has no word: write None.
    """
    try:
        text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)
    except ValueError as error:
        raise ValueError(f"cannot write {path}: {error}; a value that does not exist is null in JSON") from error
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Read one JSON object a line.

    Raises:
        ValueError: the file is no text, or a line is no JSON object; the message names file and line.
    """
    rows = []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text file ({error}): delete it, or restore it from a copy") from error
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise ValueError(f"{path}, line {number} is no JSON ({error}): mend or delete that line") from error
        if not isinstance(row, dict):
            kind = type(row).__name__
            raise ValueError(f"{path}, line {number} is no JSON object but of type {kind}: mend or delete that line")
        rows.append(row)
    return rows


def as_name(text: str) -> str:
    """A text as the name of a file or folder on every system, e.g. my_nets-unet of my_nets:unet."""
    return text.replace(":", "-")
