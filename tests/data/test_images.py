"""Image files of every kind that people have: turned, scaled, or refused by one line that names the file."""

import os
import random
import re
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lixlib.data.images import finder, images_in, open_image, open_label, open_map, open_photo

GREY = np.random.default_rng(0).integers(256, size=(20, 30), dtype=np.uint8)
RGB = np.random.default_rng(1).integers(256, size=(20, 30, 3), dtype=np.uint8)
# what makes the stored pixels upright, by EXIF orientation
TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


def orientation(number) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


def tiff(path: Path, data: bytes, *, bits: int, size=(30, 20), white_is_zero: bool = False) -> Path:
    """An uncompressed grey TIFF file of any bit depth, which Pillow itself cannot write."""
    values = {256: size[0], 257: size[1], 258: bits, 259: 1, 262: 0 if white_is_zero else 1, 277: 1, 278: size[1]}
    entries = {**values, 273: 8 + 2 + 12 * 9 + 4, 279: len(data)}
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, entries[tag]) for tag in sorted(entries))
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + bytes(4) + data)
    return path


@pytest.mark.parametrize("number", TURNS)
@pytest.mark.parametrize(
    ("suffix", "options"),
    [("png", {}), ("webp", {"lossless": True}), ("tif", {}), ("tif", {"compression": "tiff_lzw"})],
)
def test_every_orientation_is_turned_upright(tmp_path, number, suffix, options):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(RGB).save(path, exif=orientation(number), **options)
    assert np.array_equal(open_photo(path), TURNS[number](RGB))
    assert np.array_equal(open_label(path), TURNS[number](RGB)), "labels as every viewer shows them"
    if suffix == "png":
        Image.fromarray(GREY).save(path, exif=orientation(number))
        assert np.array_equal(open_map(path)[0], TURNS[number](GREY))


def test_a_turned_jpeg(tmp_path):
    blocks = np.kron(RGB[:4, :5], np.ones((16, 16, 1), np.uint8))
    Image.fromarray(blocks).save(tmp_path / "a.jpg", exif=orientation(6), quality=100, subsampling=0)
    found = np.asarray(open_photo(tmp_path / "a.jpg")).astype(int)
    assert np.abs(found - np.rot90(blocks, -1)).mean() < 2


@pytest.mark.parametrize("exif", [orientation(0), orientation(9), b"Exif\0\0II*\0\xff\xff\xff\xff", b"nothing"])
def test_an_orientation_that_says_nothing_turns_nothing(tmp_path, exif):
    Image.fromarray(RGB).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(open_photo(tmp_path / "a.png"), RGB)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm", "a.jp2"])
def test_grey_of_16_bits_is_scaled(tmp_path, name):
    Image.fromarray(GREY.astype(np.uint16) * 257).save(tmp_path / name)
    photo = open_photo(tmp_path / name)
    assert photo.mode == "RGB"
    assert np.array_equal(photo, np.stack([GREY] * 3, axis=-1))


def test_grey_of_12_bits_and_upside_down_and_in_the_other_byte_order(tmp_path):
    high = GREY.astype(np.uint16) << 4
    pairs = high.reshape(-1, 2)
    packed = np.stack([pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255], axis=-1)
    twelve = tiff(tmp_path / "12.tif", packed.astype(np.uint8).tobytes(), bits=12)
    negative = tiff(tmp_path / "n.tif", (65535 - GREY.astype("<u2") * 257).tobytes(), bits=16, white_is_zero=True)
    Image.fromarray((GREY.astype(np.uint16) * 257).astype(">u2")).save(tmp_path / "big.tif")
    assert Image.open(tmp_path / "big.tif").mode == "I;16B"
    for path in (twelve, negative, tmp_path / "big.tif"):
        assert np.array_equal(np.asarray(open_photo(path))[..., 0], GREY), path


@pytest.mark.parametrize(("dtype", "mode"), [(np.int32, "I"), (np.float32, "F")])
def test_numbers_that_do_not_say_what_is_white_are_refused(tmp_path, dtype, mode):
    path = tmp_path / "a.tif"
    for scale in (1, 1 / 255, np.nan) if mode == "F" else (1, 100_000):
        Image.fromarray((GREY * float(scale)).astype(dtype)).save(path)
        with pytest.raises(ValueError, match=re.escape(f"{path} is of mode {mode} (32-bit ")):
            open_photo(path)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB"])
def test_every_other_mode_becomes_rgb(tmp_path, mode):
    smooth = Image.fromarray(RGB).resize((60, 40), Image.Resampling.BILINEAR)
    image = smooth.convert(mode) if mode != "LAB" else Image.new("LAB", (60, 40), (128, 128, 128))
    image.save(tmp_path / "a.tif")
    with Image.open(tmp_path / "a.tif") as stored:
        assert stored.mode == mode
    photo = open_photo(tmp_path / "a.tif")
    assert (photo.mode, photo.size) == ("RGB", (60, 40))
    expected = smooth.convert(mode).convert("RGB") if mode != "LAB" else Image.new("RGB", (60, 40), (119, 119, 119))
    assert np.abs(np.asarray(photo).astype(int) - np.asarray(expected)).max() <= 2


def test_what_is_transparent_lies_on_white(tmp_path):
    rgba = np.dstack([RGB, np.full(GREY.shape, 255, np.uint8)])
    rgba[:5, :, 3], rgba[5:10, :, 3] = 0, 128
    Image.fromarray(rgba).save(tmp_path / "a.png")
    found = np.asarray(open_photo(tmp_path / "a.png")).astype(int)
    assert (found[:5] == 255).all() and np.array_equal(found[10:], RGB[10:])
    assert np.abs(found[5:10] - (255 + RGB[5:10].astype(int)) / 2).max() <= 1.5
    palette = Image.fromarray(GREY % 3).convert("P")
    palette.putpalette([9, 8, 7, 50, 60, 70, 200, 100, 0])
    palette.save(tmp_path / "p.png", transparency=1)
    colours = np.array([(9, 8, 7), (255, 255, 255), (200, 100, 0)])
    assert np.array_equal(open_photo(tmp_path / "p.png"), colours[GREY % 3])


@pytest.mark.parametrize("name", ["a.tif", "a.gif", "a.png", "a.webp"])
def test_of_several_frames_the_first(tmp_path, name):
    frames = [Image.new("RGB", (30, 20), colour) for colour in ("red", "blue", "blue")]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    assert Image.open(tmp_path / name).n_frames > 1
    assert np.abs(np.asarray(open_photo(tmp_path / name)).astype(int) - (255, 0, 0)).max() < 6


def test_more_pixels_than_are_read(tmp_path):
    header = b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, 20_000, 10_000, 1, 24, 0, 0, 0, 0, 0, 0)
    (tmp_path / "a.bmp").write_bytes(header)
    tiff(tmp_path / "a.tif", b"", bits=8, size=(20_000, 10_000))
    for path in tmp_path.iterdir():
        with pytest.raises(ValueError, match=re.escape(f"{path} has more than 178956970 pixels")):
            open_photo(path)


def test_a_large_photograph_prints_no_warning(tmp_path, monkeypatch):
    Image.fromarray(RGB).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)  # of its 600
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_photo(tmp_path / "a.png").size == (30, 20)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 299)
    with pytest.raises(ValueError, match="a.png has more than 598 pixels, the most that are read: make it smaller"):
        open_photo(tmp_path / "a.png")


FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP", "PPM", "JPEG2000", "ICO", "TGA", "SGI", "PCX", "DDS", "QOI")


@pytest.mark.parametrize("kind", FORMATS)
def test_whatever_is_broken_the_file_is_named(tmp_path, kind):
    path, rng, refused = tmp_path / "a.png", random.Random(kind), 0
    Image.fromarray(RGB).save(path, format=kind)
    whole = path.read_bytes()
    for i in range(24):
        broken = bytearray(whole)
        if i % 2:
            for _ in range(4):
                broken[rng.randrange(min(len(broken), 150))] = rng.randrange(256)
        else:
            del broken[rng.randrange(len(broken)) :]
        path.write_bytes(broken)
        for read in (open_photo, open_map, open_label):
            try:
                read(path)
            except ValueError as error:
                assert str(error).startswith(f"{path} ") and "\n" not in str(error)
                refused += 1
    assert refused > 12


@pytest.mark.parametrize(
    "error", [EOFError(), KeyError("a"), struct.error("b"), OverflowError("c"), RecursionError("d")]
)
def test_whatever_pillow_raises_the_file_is_named(tmp_path, monkeypatch, error):
    Image.fromarray(RGB).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "open", lambda file: (_ for _ in ()).throw(error))
    with pytest.raises(ValueError, match="a.png is no readable image"):
        open_image(tmp_path / "a.png")


def test_what_is_no_image_is_told(tmp_path):
    def refused(name, error=ValueError) -> str:
        with pytest.raises(error) as caught:
            open_photo(tmp_path / name)
        message = str(caught.value)
        assert str(tmp_path / name) in message and "\n" not in message and "fetch it again" not in message
        return message

    (tmp_path / "folder.jpg").mkdir()
    assert "is no image but a folder" in refused("folder.jpg")
    (tmp_path / "text.jpg").write_text("<!DOCTYPE html>\n<html>not found</html>")
    assert "it is a text file, which begins '<!DOCTYPE html>" in refused("text.jpg")
    (tmp_path / "notes.png").write_text("nothing but words, in Straße")
    assert "it is a text file" in refused("notes.png")
    (tmp_path / "empty.png").touch()
    assert "it is empty" in refused("empty.png")
    (tmp_path / "bytes.png").write_bytes(bytes(range(256)))
    assert "damaged, or of a kind that Pillow does not know" in refused("bytes.png")
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0 ftypheic" + bytes(20))
    assert "it is HEIC" in (told := refused("phone.heic")) and "JPEG" in told
    os.mkfifo(tmp_path / "pipe.png")
    assert "is no image but a device or a pipe" in refused("pipe.png")
    assert "no image" in refused("none.png", FileNotFoundError)
    assert "no image" in refused("text.jpg/a.png", FileNotFoundError)
    assert "File name too long" in refused("a" * 300, OSError)
    (tmp_path / "loop.png").symlink_to("loop.png")
    assert "symbolic links" in refused("loop.png", OSError)
    with pytest.raises(ValueError, match="is no path of an image"):
        open_photo(tmp_path / "a\0.png")


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    Image.fromarray(RGB).save(tmp_path / "a.png")

    def denied(*words, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)  # the tests may run as root, who may read everything
    with pytest.raises(OSError, match=re.escape(f"cannot read {tmp_path / 'a.png'}: Permission denied")):
        open_photo(tmp_path / "a.png")


# Maps and labels


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, ">u2", np.int32, np.float32])
def test_maps_of_8_16_and_32_bits(tmp_path, dtype):
    numbers = np.arange(600).reshape(20, 30) % (256 if dtype == np.uint8 else 600)
    Image.fromarray(numbers.astype(dtype)).save(tmp_path / "a.tif")
    found = open_map(tmp_path / "a.tif")
    assert found.dtype == torch.float32 and np.array_equal(found[0], numbers)
    bits = 8 * np.dtype(dtype).itemsize
    assert torch.equal(open_map(tmp_path / "a.tif", bits=bits), found)
    with pytest.raises(ValueError, match=r"a.tif holds numbers of type .*, expected \d+ bits"):
        open_map(tmp_path / "a.tif", bits=24 - bits if bits < 32 else 16)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, -1, np.float32(3e38)])
def test_numbers_that_no_map_has_are_named(tmp_path, wrong):
    numbers = GREY.astype(np.float32)
    numbers[3, 7] = wrong
    Image.fromarray(numbers).save(tmp_path / "a.tif")
    with pytest.raises(
        ValueError, match=f"a.tif holds {re.escape(f'{wrong:g}')} at row 3, column 7: .* 0 where they are unknown"
    ):
        open_map(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("mode", "problem"),
    [("RGB", "is a colour image"), ("CMYK", "is a colour image"), ("1", "has one bit"), ("P", "has a palette")],
)
def test_what_is_no_map_is_named(tmp_path, mode, problem):
    Image.fromarray(RGB).convert(mode).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=f"a.tif {problem}.*one number a pixel"):
        open_map(tmp_path / "a.tif")


def test_labels_keep_their_numbers(tmp_path):
    palette = Image.fromarray(GREY).convert("P")
    palette.putpalette(np.random.default_rng(2).integers(256, size=768, dtype=np.uint8).tobytes())
    for name, image, expected in (
        ("p.png", palette, GREY),
        ("l.png", Image.fromarray(GREY), GREY),
        ("16.png", Image.fromarray(GREY.astype(np.uint16) * 256), GREY.astype(int) * 256),
        ("big.tif", Image.fromarray((GREY.astype(np.uint16) * 256).astype(">u2")), GREY.astype(int) * 256),
        ("1.png", Image.fromarray(GREY > 99), (GREY > 99).astype(int)),
        ("rgb.png", Image.fromarray(RGB), RGB),
        ("rgba.png", Image.fromarray(RGB).convert("RGBA"), RGB),
        ("la.png", Image.fromarray(GREY).convert("LA"), GREY),
    ):
        image.save(tmp_path / name)
        found = open_label(tmp_path / name)
        assert np.array_equal(found, expected) and found.dtype.isnative and found.dtype != bool, name


@pytest.mark.parametrize("image", [Image.fromarray(GREY.astype(np.float32)), Image.fromarray(RGB).convert("CMYK")])
def test_what_is_no_label_is_named(tmp_path, image):
    image.save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=f"a.tif is of mode {image.mode}, and labels are whole numbers or RGB"):
        open_label(tmp_path / "a.tif")


@pytest.mark.parametrize("read", [open_label, open_map])
def test_where_a_label_or_x_is_transparent_it_says_nothing(tmp_path, read):
    image = Image.fromarray(GREY).convert("LA")
    image.putpixel((3, 4), (0, 0))
    image.save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="a.png is transparent in places"):
        read(tmp_path / "a.png")


# Folders


def test_images_are_found_whatever_their_suffix_and_nothing_else_is(tmp_path, recwarn):
    for name in (
        "a.PNG",
        "b.JPG",
        "c.jpeg",
        "d.png",
        "._a.PNG",
        ".hidden.png",
        "Thumbs.db",
        ".DS_Store",
        "desktop.ini",
    ):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in images_in(tmp_path, warn=True)] == ["a.PNG", "b.JPG", "c.jpeg", "d.png"]
    assert not recwarn
    for name in ("e.bmp", "notes.txt"):
        (tmp_path / name).touch()
    with pytest.warns(UserWarning, match=re.escape(f"{tmp_path}: left out 2 files ")) as warned:
        assert len(images_in(tmp_path, warn=True)) == 4
    assert len(warned) == 1 and "e.bmp, notes.txt" in str(warned[0].message)
    assert images_in(tmp_path / "none") == []


def test_two_images_of_one_name_are_named(tmp_path):
    for name in ("x.jpg", "x.PNG", "y.png"):
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path / 'x.PNG'} and {tmp_path / 'x.jpg'} have one name")):
        images_in(tmp_path)
    find, suffixes = finder(), (".jpg", ".png")
    assert find(tmp_path / "y.jpg", suffixes) == tmp_path / "y.png"
    assert find(tmp_path / "z.jpg", suffixes) == tmp_path / "z.jpg", "what is missing is named as the layout has it"
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path / 'x.PNG'} and {tmp_path / 'x.jpg'} have one name")):
        find(tmp_path / "x.jpg", suffixes)
