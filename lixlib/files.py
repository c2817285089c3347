"""Writing files so that nothing is ever half written."""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Call `write` with a temporary name beside `path`, then rename: readers see the old file or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Wait until no other process is in this block for the same folder.

    Nobody waits where a folder cannot be locked: on Windows, and on many network file systems.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def without_folders(value: object) -> object:
    """The same with the name alone of every absolute path in it: what a result line may tell of this machine."""
    if isinstance(value, dict):
        return {name: without_folders(each) for name, each in value.items()}
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def write_json_lines(path: Path, rows: Iterable[dict]) -> None:
    """Write one JSON object a line."""
    text = "".join(json.dumps(row) + "\n" for row in rows)
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def read_json_lines(path: Path) -> list[dict]:
    """Read one JSON object a line.

    Raises:
        ValueError: a line is no JSON; the message names file and line.
    """
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}, line {number} is no JSON ({error}): mend or delete that line") from error
    return rows
