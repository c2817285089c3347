"""A photograph of one's own: every kind of file gives a picture of one size, or says what to do."""

import io
import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from lixlib.course import photograph
from lixlib.course.photograph import ADVICE, EXAMPLE, look_at, upload

COLOUR = Image.open(EXAMPLE)


def file(image=None, name="mine.png", kind="PNG", content=None, **options):
    """The value of a FileUpload with one file."""
    if content is None:
        stream = io.BytesIO()
        image.save(stream, kind, **options)
        content = stream.getvalue()
    return ({"name": name, "type": "", "size": len(content), "content": memoryview(content)},)


def words(figure):
    return " ".join(" ".join(text.get_text() for text in figure.axes[0].texts).split())


def maps(photo):
    return photograph.maps_of(*(photograph._logits(weights, photo) for weights in photograph.STUDENTS.values()))


def is_picture(figure):
    return bool(figure.axes[0].images) and ADVICE not in words(figure)


@pytest.fixture(scope="module")
def example():
    return look_at()


def test_the_example_is_looked_at_first_and_has_its_licence_beside_it(example):
    assert words(example).startswith("photograph student alone LIX student confidence c")
    assert is_picture(example) and "licence" in EXAMPLE.with_suffix(".txt").read_text()


def test_the_maps_are_in_their_ranges():
    found = maps(COLOUR)
    sure, weight, lesson = found["c"], found["W"], found["lesson"]
    assert sure.min() >= 0 and sure.max() <= 1 and sure.std() > 0.05
    assert weight == pytest.approx(1 + 9 * (1 - sure)) and lesson.min() >= 0
    assert sure.shape[0] * sure.shape[1] == pytest.approx(192 * 256, rel=0.02), "as many pixels as in training"


def test_the_picture_shows_the_photograph_the_answers_and_the_maps(example):
    paper = np.asarray(example.axes[0].images[0].get_array())
    assert paper.shape == (photograph.HEIGHT, photograph.WIDTH, 3)
    boxes = [paper[26 + 182 * y : 176 + 182 * y, 5 + 240 * x : 235 + 240 * x] for y in (0, 1) for x in (0, 1, 2)]
    assert all(box.std() > 20 for box in boxes) and len({box.tobytes() for box in boxes}) == 6
    sure = maps(COLOUR)["c"]
    bright, dark = (
        boxes[3][round(150 * (y + 0.5) / len(sure)), 115] for y in (sure[:, 64].argmax(), sure[:, 64].argmin())
    )
    assert bright.sum() > dark.sum()


def test_no_name_of_a_class_runs_into_the_next(example):
    renderer = FigureCanvasAgg(example).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in example.axes[0].texts]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    assert max(box.x1 for box in boxes) <= photograph.WIDTH


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "1", "CMYK", "I;16"])
def test_every_mode_is_a_photograph(mode, example):
    image = Image.new("I;16", (60, 40), 30000) if mode == "I;16" else COLOUR.convert(mode)
    figure = look_at(file(image, kind="TIFF" if mode == "CMYK" else "PNG"))
    assert is_picture(figure) and tuple(figure.get_size_inches()) == tuple(example.get_size_inches())


@pytest.mark.parametrize("size", [(1, 1), (2000, 500)])
def test_small_and_long_ones(size):
    assert is_picture(look_at(file(Image.new("RGB", size, "red"))))


def test_a_photograph_that_lies_on_its_side_is_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = photograph.photograph(file(COLOUR, "side.jpg", "JPEG", exif=exif))
    assert turned.size == COLOUR.size[::-1]


BAD = {
    "a text": (file(content=b"hello", name="notes.txt"), "notes.txt is no readable image"),
    "nothing": (file(content=b"", name="empty.jpg"), "empty.jpg is no readable image"),
    "half a file": (file(content=EXAMPLE.read_bytes()[:5000], name="C:\\me\\half.jpg"), "half.jpg is no readable"),
    "huge": (file(Image.new("1", (9500, 9500)), "huge.png"), "huge.png has 9500 x 9500 pixels, expected at most 50"),
    "a strip": (file(Image.new("L", (10, 900)), "strip.png"), "strip.png has 10 x 900 pixels, expected sides"),
    "formula": (file(content=b"5 $\\frac$", name="a$_{$.jpg"), "a$_{$.jpg is no readable image"),
    "a name of no file": (file(content=b"hello", name="a\udc80.j\0g"), "a?.j\0g is no readable image"),
    "HEIC": (
        file(content=b"\0\0\0 ftypheic\0\0\0\0mif1heic", name="IMG_1.HEIC"),
        "IMG_1.HEIC is no readable image: it is HEIC",
    ),
    "floats": (file(Image.new("F", (9, 9)), "x.tif", "TIFF"), "x.tif is of mode F"),
}


@pytest.mark.filterwarnings("error::PIL.Image.DecompressionBombWarning", "ignore:Glyph")
@pytest.mark.parametrize("what", BAD)
def test_what_is_no_photograph_is_told_in_a_figure_of_the_same_size(what, example):
    files, message = BAD[what]
    figure = look_at(files)
    assert message in words(figure) and ADVICE in words(figure) and "/tmp" not in words(figure)
    assert len(figure.axes) == 1, "without axes JupyterLab shows no picture"
    assert tuple(figure.get_size_inches()) == tuple(example.get_size_inches())
    box = figure.axes[0].texts[0].get_window_extent(FigureCanvasAgg(figure).get_renderer())
    assert box.x0 > 0 and box.x1 < figure.bbox.width, "a line is cut off"


def test_the_control_takes_images_and_starts_empty():
    control = upload()
    assert control.accept == "image/*" and control.value == () and not control.multiple
