"""Find and open image files: the case of suffixes is ignored, images are turned upright, errors say what is wrong."""

import logging
import stat
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import ExifTags, Image, UnidentifiedImageError
from torch import Tensor

PHOTOS = (".jpg", ".jpeg", ".png")  # suffixes of photographs
MAPS = (".png", ".tif", ".tiff")  # suffixes of labels and X, which lossy compression would damage
BESIDE = ("thumbs.db", "desktop.ini")  # files that Windows creates in folders; other systems create hidden files

# The operation that turns an image upright, for every EXIF orientation. ImageOps.exif_transpose also rewrites the EXIF
# data, and fails on photographs whose EXIF data are slightly wrong.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
NUMBERS = ("L", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")  # modes with one number per pixel
LARGEST = 1e30  # largest value of X: sums of larger ones would overflow
HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")  # what its files name themselves
WITHOUT_ALPHA = {"LA": "L", "PA": "P", "RGBA": "RGB"}

logging.getLogger("PIL").addHandler(logging.NullHandler())  # otherwise Pillow prints some errors beside ours


def open_image(path: Path | str) -> Image.Image:
    """Open and decode an image and turn it upright by its EXIF orientation; a file of several frames gives the first.

    Labels and X are turned like photographs, so that every file is read as viewers show it. Images of more than
    178,956,970 pixels (2 * Image.MAX_IMAGE_PIXELS) are refused: this is Pillow's guard against files that need more
    memory than there is.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the path is no image file (but a folder, a text, an empty or a truncated file, ...), or too large.
        OSError: the file cannot be read.
    """
    with _open(path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's warnings name no file, and real faults raise below
        try:
            image = Image.open(file)
            image.load()
            turn = _turn(image)
            return image if turn is None else image.transpose(turn)
        except Image.DecompressionBombError as error:
            limit = 2 * Image.MAX_IMAGE_PIXELS
            raise ValueError(f"{path} has more than {limit} pixels, the most that are read: make it smaller") from error
        except UnidentifiedImageError as error:
            raise ValueError(f"{path} is no readable image: {_what(file)}") from error
        except MemoryError as error:
            raise ValueError(f"{path} does not fit into the memory: make it smaller") from error
        except Exception as error:  # Pillow's plug-ins raise exceptions of many types for broken files
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise ValueError(
                f"{path} is no readable image ({reason}): it is damaged, or of a kind that cannot be read here"
            ) from error


def open_photo(path: Path | str) -> Image.Image:
    """Open a photograph of any mode as upright RGB with eight bits per channel.

    Grey images of 16 bits (or 12, in a TIFF file) are scaled by their bit depth. Transparent pixels become white.

    Raises:
        FileNotFoundError, ValueError, OSError: as `open_image`; a ValueError also if the mode (32-bit integers or
            floats) does not define white.
    """
    image = open_image(path)
    grey = _grey_of_16_bits(image)
    if grey is not None:
        image = grey
    elif image.mode in ("I", "F"):
        words = "32-bit integers" if image.mode == "I" else "32-bit floats"
        raise ValueError(
            f"{path} is of mode {image.mode} ({words}), which does not say what is white: save it with 8 or 16 bits"
        )
    try:
        if image.has_transparency_data:
            image = image if image.mode == "RGBA" else image.convert("RGBA")
            photo = Image.new("RGB", image.size, "white")
            photo.paste(image, mask=image)
            return photo
        return image if image.mode == "RGB" else image.convert("RGB")
    except Exception as error:
        raise ValueError(
            f"{path} is of mode {image.mode}, which cannot become RGB ({error}): save it as RGB"
        ) from error


def open_map(path: Path | str, *, bits: int | None = None) -> Tensor:
    """Open an image with one number per pixel.

    **Shapes**: -> (1, H, W) float.

    Args:
        bits: the required number of bits in the file, e.g. 16; None accepts integers of 8, 16 or 32 bits and floats.

    Raises:
        FileNotFoundError, ValueError, OSError: as `open_image`; a ValueError also if the image has colours, a palette,
            one bit per pixel or another number of bits, or holds a number that is NaN, infinite or negative.
    """
    image = _opaque(open_image(path), path)
    if image.mode not in NUMBERS:
        kind = {"1": "has one bit a pixel", "P": "has a palette of colours"}.get(image.mode, "is a colour image")
        raise ValueError(f"{path} {kind} (mode {image.mode}), and X is one number a pixel: one channel")
    x = np.asarray(image)
    if bits and 8 * x.itemsize != bits:
        raise ValueError(f"{path} holds numbers of type {x.dtype}, expected {bits} bits: fetch or make it again")
    x = torch.from_numpy(x.astype(np.float32))[None]
    wrong = ~((x >= 0) & (x <= LARGEST))
    if wrong.any():
        _, row, column = wrong.nonzero()[0].tolist()
        raise ValueError(
            f"{path} holds {x[0, row, column]:g} at row {row}, column {column}: "
            f"X and depth are finite numbers up to {LARGEST:g}, and 0 where they are unknown"
        )
    return x


def open_label(path: Path | str) -> np.ndarray:
    """Open a label file; of an image with a palette, the indices are read and not the colours.

    **Shapes**: -> (H, W) integers, or (H, W, 3) colours.

    Raises:
        FileNotFoundError, ValueError, OSError: as `open_image`; a ValueError also if labels cannot have this mode.
    """
    image = _opaque(open_image(path), path)
    if image.mode not in ("1", "P", "RGB", *NUMBERS) or image.mode == "F":
        raise ValueError(f"{path} is of mode {image.mode}, and labels are whole numbers or RGB: make it again")
    label = np.asarray(image)
    return label.astype(np.uint8 if image.mode == "1" else label.dtype.newbyteorder("="))


def images_in(folder: Path, suffixes: Sequence[str] = PHOTOS, *, ending: str = "", warn: bool = False) -> list[Path]:
    """List the image files of a folder, sorted; the list is empty if there is no folder.

    Hidden files (such as `._a.jpg` of macOS) and folders are left out.

    Args:
        suffixes: the suffixes of image files, in lower case.
        ending: only files whose stem ends with this.
        warn: warn of other files, which are left out.

    Raises:
        ValueError: two images differ only in their suffix.
    """
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    images, others = choose_images(paths, suffixes, ending)
    if warn:
        warn_of(others, folder, [ending + suffix for suffix in suffixes])
    check_twins(images, lambda path: path.stem)
    return images


def choose_images(paths: Iterable[Path], suffixes: Sequence[str], ending: str = "") -> tuple[list[Path], list[Path]]:
    """Divide paths into image files and other files; hidden files and folders are in neither list."""
    images, others = [], []
    for path in paths:
        if not (path.name.startswith(".") or path.name.lower() in BESIDE or path.is_dir()):
            is_meant = path.suffix.lower() in suffixes and path.stem.endswith(ending)
            (images if is_meant else others).append(path)
    return images, others


def warn_of(others: Sequence[Path], folder: Path, expected: Sequence[str]) -> None:
    """Warn of files in a folder that are left out, if there are any."""
    if others:
        names = ", ".join(path.name for path in others[:5]) + (", ..." if len(others) > 5 else "")
        what = f"{len(others)} file{'s that end' if len(others) > 1 else ' that ends'} in none of {', '.join(expected)}"
        warnings.warn(f"{folder}: left out {what}: {names}", stacklevel=4)


def check_twins(paths: Iterable[Path], name: Callable[[Path], object]) -> None:
    """Raise a ValueError that names both paths if two of them have the same name."""
    seen: dict[object, Path] = {}
    for path in paths:
        twin = seen.setdefault(name(path), path)
        if twin is not path:
            raise ValueError(f"{twin} and {path} have one name, and only one of them can be meant: remove the other")


def finder() -> Callable[[Path, Sequence[str]], Path]:
    """Return a function that finds the file that a layout names, although its suffix may differ.

    The function takes the path of the layout and the accepted suffixes. It returns the file of the same folder and
    stem, or the path itself if there is none. Two such files are a ValueError. Every folder is read once.
    """

    @cache
    def by_stem(folder: Path, suffixes: Sequence[str]) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for path in choose_images(sorted(folder.iterdir()) if folder.is_dir() else [], suffixes)[0]:
            found.setdefault(path.stem, []).append(path)
        return found

    def find(path: Path, suffixes: Sequence[str]) -> Path:
        candidates = by_stem(path.parent, suffixes).get(path.stem, [path])
        check_twins(candidates, lambda candidate: candidate.stem)
        return candidates[0]

    return find


def _turn(image: Image.Image) -> Image.Transpose | None:
    """The operation that turns an image upright; None if it is upright, or if its EXIF data cannot be read."""
    with suppress(Exception):
        return UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation))
    return None


def _grey_of_16_bits(image: Image.Image) -> Image.Image | None:
    """A grey image of 16 bits converted to eight bits; None for other images."""
    is_netpbm = image.mode == "I" and image.format == "PPM"  # its plug-in stores 16 bits in 32
    if not (image.mode.startswith("I;16") or is_netpbm):
        return None
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(ExifTags.Base.BitsPerSample, (16,))[0]
    grey = (np.asarray(image) >> (bits - 8)).astype(np.uint8)  # like Pillow for colours of 16 bits
    if tags.get(ExifTags.Base.PhotometricInterpretation) == 0:  # 0 is white
        grey = 255 - grey
    return Image.fromarray(grey)


def _opaque(image: Image.Image, path: Path | str) -> Image.Image:
    """The image without its alpha channel, which must be opaque everywhere."""
    if image.mode not in WITHOUT_ALPHA:
        return image
    if image.getchannel("A").getextrema() != (255, 255):
        raise ValueError(f"{path} is transparent in places, where it says nothing: save it without alpha")
    return image.convert(WITHOUT_ALPHA[image.mode])


def _open(path: Path | str) -> BinaryIO:
    """Open a regular file; a pipe, from which reading might never return, is refused."""
    path = Path(path)
    try:
        kind = path.stat().st_mode
        if stat.S_ISREG(kind):
            return path.open("rb")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(f"no image {path}: fetch it, or correct the path") from error
    except OSError as error:
        raise OSError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:  # the path holds a zero byte
        raise ValueError(f"{str(path)!r} is no path of an image ({error}): correct it") from error
    what = "a folder: name the files in it" if stat.S_ISDIR(kind) else "a device or a pipe: name a file"
    raise ValueError(f"{path} is no image but {what}")


def _what(file: BinaryIO) -> str:
    """Describe in words a file that Pillow does not recognise."""
    file.seek(0)
    head = file.read(200)
    if not head:
        return "it is empty"
    text = head.decode(errors="ignore").strip()
    if b"\0" not in head and text and "".join(text.split()).isprintable():
        return f"it is a text file, which begins {text[:40]!r}"
    if head[4:8] == b"ftyp" and head[8:12] in HEIC:
        return "it is HEIC, the format of many telephones, which cannot be read here: export or save it as JPEG"
    return "it is damaged, or of a kind that Pillow does not know"
