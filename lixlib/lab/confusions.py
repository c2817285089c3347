"""The confusion matrices of a run's test images, one an image, in a file beside its result line."""

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from lixlib.core.files import write_atomically

CONFUSION = "confusion.npz"  # of a run's folder


def write(path: Path, names: Sequence[str], matrices: ArrayLike) -> None:
    """Write the images' names and matrices, these in the smallest unsigned type that holds them.

    **Shapes**: matrices (N, C, C) of integers, rows are the truth.
    """
    matrices = np.asarray(matrices)
    # images side by side, of which many lack a class, take an eighth less than matrices one after another
    small = np.asfortranarray(matrices, np.min_scalar_type(matrices.max(initial=0)))

    def save(temporary: Path) -> None:
        with open(temporary, "wb") as file:  # numpy would add .npz to a path
            np.savez_compressed(file, names=np.array(names, dtype=str), matrices=small)

    write_atomically(path, save)


def read(path: Path) -> tuple[list[str], np.ndarray]:
    """The images' names and matrices.

    **Shapes**: N names, and (N, C, C) int64, rows are the truth.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it holds something else.
    """
    try:
        with np.load(path) as file:
            names, matrices = file["names"].tolist(), file["matrices"]
    except FileNotFoundError:
        raise FileNotFoundError(
            f"no confusion matrices in {path}: restore the file, or make it of a finished run by "
            "lixlib.lab.run.score_images(recipe)"
        ) from None
    except (OSError, TypeError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} holds no names and matrices of images ({error}): delete it, or restore it") from error
    if matrices.dtype.kind != "u" or matrices.shape != (len(names), *matrices.shape[-1:] * 2):
        raise ValueError(
            f"{path} has matrices of {matrices.dtype} {matrices.shape} for {len(names)} images, and (N, C, C) of "
            "unsigned integers are expected: delete it, or restore it"
        )
    return names, matrices.astype(np.int64)
