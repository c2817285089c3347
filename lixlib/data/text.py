"""Read text files of any program, and check the cameras that they hold."""

import math
from pathlib import Path

from lixlib.data.x.normals import Intrinsics


def read_text(path: Path) -> str:
    """Read a file in UTF-8, without the byte order mark that Windows adds.

    Raises:
        ValueError: the file is not UTF-8; the message names it.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8 ({error}): save it as UTF-8, or fetch it again") from error


def check_camera(path: Path, camera: Intrinsics, baseline: float | None = None) -> None:
    """Check a camera that was read from a file, and its distance in metres to the camera on its right, if given.

    Raises:
        ValueError: a number is not finite, or a focal length or the distance is not positive.
    """
    lengths = {"fx": camera.fx, "fy": camera.fy} | ({} if baseline is None else {"baseline": baseline})
    for name, value in {**lengths, "u0": camera.u0, "v0": camera.v0}.items():
        if not math.isfinite(value) or (name in lengths and value <= 0):
            expected = "a number above 0" if name in lengths else "a number"
            swapped = "; are left and right swapped?" if name == "baseline" else ""
            raise ValueError(
                f"{path} has a camera whose {name} is {value:g}, expected {expected}{swapped}: unpack it again"
            )
