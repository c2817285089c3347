"""The strip at the top of the chapters."""

import re
from xml.etree import ElementTree

import pytest

from lixlib.course.orientation import HEIGHT, PARTS, PLACES, WIDTH, alt, orientation
from tests.notebooks.test_notebooks_structure import read
from tools.dev import orientation_strips as strips
from tools.dev.execute_notebooks import FOLDER, notebook_files

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("part", PARTS)
def test_a_strip_lights_its_part_and_nothing_else_and_says_so(part):
    drawing = ElementTree.fromstring(orientation(part))
    corners = {(box.get("x"), box.get("y")): box.get("stroke-width") for box in drawing.iter(f"{SVG}rect")}
    lit = {name for name, (x, y, *_) in PLACES.items() if corners[str(x), str(y)]}
    assert lit == set(PARTS[part]) and lit
    assert drawing.get("aria-label") == drawing.find(f"{SVG}title").text == alt(part)
    assert part in ("whole", "student") or all(name in alt(part) for name in lit)


def test_a_strip_has_its_boxes_inside_and_apart():
    spans = {name: (x, y, x + width, y + height) for name, (x, y, width, height) in PLACES.items()}
    assert all(0 < x and 0 < y and right < WIDTH and below < HEIGHT for x, y, right, below in spans.values())
    for one, (x, y, right, below) in spans.items():
        for other, (x2, y2, right2, below2) in spans.items():
            apart = right < x2 or right2 < x or below < y2 or below2 < y
            nested = (x < x2 and right2 < right) or (x2 < x and right < right2)
            assert one == other or apart or nested, (one, other)


def test_an_unknown_part_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'gradient': expected one of question, NCLD"):
        orientation("gradient")


def test_every_chapter_has_a_part_and_every_part_a_chapter():
    assert set(strips.CHAPTERS) == {path.name[:2] for path in notebook_files()}
    assert set(strips.CHAPTERS.values()) == set(PARTS)


def test_the_strips_on_disk_are_current(tmp_path):
    strips.draw(tmp_path)
    drawn = {path.name: path.read_text() for path in (tmp_path / "strips").iterdir()}
    assert drawn == {path.name: path.read_text() for path in (FOLDER / "strips").iterdir()}, (
        "run `python -m tools.dev.orientation_strips`"
    )


def test_inserting_a_strip_changes_the_opening_alone_and_only_once(tmp_path):
    path = tmp_path / "02_dynamic_weight_controller.ipynb"
    path.write_bytes((FOLDER / path.name).read_bytes())
    before = read(path)
    strips.insert(path)
    once = path.read_bytes()
    strips.insert(path)
    assert path.read_bytes() == once
    after = read(path)
    assert after.cells[1:] == before.cells[1:] and after.metadata == before.metadata
    assert after.cells[0].source.startswith(strips.STRIP.sub("", before.cells[0].source))
    assert re.findall(r"\((strips/.*?)\)", after.cells[0].source) == ["strips/w.svg"]


def test_all_chapters_show_their_strip_or_none_does():
    openings = {path.name[:2]: read(path).cells[0].source for path in notebook_files()}
    if any("(strips/" in opening for opening in openings.values()):
        for number, opening in openings.items():
            assert opening == strips.with_strip(opening, strips.CHAPTERS[number]), number
