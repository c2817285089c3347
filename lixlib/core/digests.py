"""Digests: short names that change with a value or with what a file holds, and with nothing else."""

import hashlib
import json
import os
import stat
from pathlib import Path

from lixlib.core.protocols import Samples

_files: dict[tuple[str, int, int, int], str] = {}


def digest(value: object) -> str:
    """64 bits, in hexadecimal, of a value that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def digest_of_samples(dataset: Samples) -> str:
    """The `digest` of a data set; of one that has none, that of its classes and samples, which are read every time."""
    known: str | None = getattr(dataset, "digest", None)
    if known:
        return known
    read = hashlib.sha256(repr(getattr(getattr(dataset, "classes", None), "names", None)).encode())
    for sample in (dataset[index] for index in range(len(dataset))):
        read.update(repr(sample.name).encode())
        for tensor in (sample.rgb, sample.x, sample.valid, sample.label):
            read.update(repr((tuple(tensor.shape), tensor.dtype)).encode() + tensor.contiguous().numpy().tobytes())
    return read.hexdigest()[:16]


def digest_of_file(path: Path) -> str:
    """SHA-256 of a file's contents, whatever its name; a process reads a file again only if it has changed.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is a folder, a device or a pipe.
    """
    try:
        about = os.stat(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"no file {path}: fetch it, or correct the path") from error
    if not stat.S_ISREG(about.st_mode):  # a pipe would wait for ever
        raise ValueError(f"{path} is a folder, a device or a pipe, and a file is needed: correct the path")
    # the time of the last change too: a copy may keep the other time, and its size be the same
    key = (os.path.abspath(path), about.st_size, about.st_mtime_ns, about.st_ctime_ns)
    if key not in _files:
        with open(path, "rb") as file:
            _files[key] = hashlib.file_digest(file, "sha256").hexdigest()
    return _files[key]
