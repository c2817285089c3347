"""Pages for teachers: what they name is in the notebooks, and what is made from the notebooks is current."""

import ast
import io
import re

import nbformat
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from lixlib.course.exercises import EXERCISES
from tools.dev import five_lines, loops
from tools.dev.execute_notebooks import FOLDER, notebook_files

DOCS = FOLDER.parent / "docs"
TEACHING = (DOCS / "teaching.md").read_text(encoding="utf-8")
PROSE = {
    path.name[:2]: "\n\n".join(
        cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"
    )
    for path in notebook_files()
}


def test_the_page_of_five_lines_is_current():
    assert five_lines.PAGE.read_text(encoding="utf-8") == five_lines.page(), "run `make course`"


@pytest.mark.parametrize("lines", [4, 6])
def test_a_chapter_without_its_five_lines_is_named(tmp_path, lines):
    ending = "In five lines, to do alone tomorrow:\n\n" + "\n".join(f"{i + 1}. line" for i in range(lines))
    cells = [nbformat.v4.new_markdown_cell(text) for text in ("# Title", ending)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "01_some.ipynb")
    with pytest.raises(ValueError, match="01_some.ipynb: found 0 times, expected"):
        five_lines.page(tmp_path)


def test_every_stop_that_the_teacher_is_sent_to_exists():
    stops = re.findall(r"\b(Think|Demo|Exercise) (\d\d)\.(\d)", TEACHING)
    assert len(stops) > 40
    assert [stop for stop in stops if f"**{stop[0]} {stop[1]}.{stop[2]}**" not in PROSE[stop[1]]] == []


def test_every_section_that_the_teacher_is_sent_to_exists():
    places = re.findall(r"\b(\d\d), sections? (\d+)(?: (?:to|and) (\d+))?", TEACHING)
    assert len(places) > 20
    wanted = [(chapter, section) for chapter, *sections in places for section in filter(None, sections)]
    assert [place for place in wanted if not re.search(rf"^## {place[1]}\. ", PROSE[place[0]], re.MULTILINE)] == []
    assert "### Does the teacher use X at all?" in PROSE["09"]


def test_the_table_of_exercises_tells_their_kind():
    rows = re.findall(r"^\| (\d\d\.\d) \| (.*?) \|", TEACHING, re.MULTILINE)
    assert len(rows) > 12 and {number for number, _ in rows} <= set(EXERCISES)
    derivations = {number for number in EXERCISES if number < "07"}
    assert derivations <= {number for number, _ in rows}
    for number, kind in rows:
        predicted = f"**Exercise {number}** Predict, then run." in PROSE[number[:2]]
        assert predicted == (kind == "predict, then run"), number


@pytest.mark.parametrize("name", loops.FILMS)
def test_a_loop_is_short_small_and_shown_with_words(name):
    path = loops.LOOPS / f"{name}.webp"
    assert path.stat().st_size <= 400_000
    loop = loops.FILMS[name]
    longest = 18 if loop.typed else 10  # there is code to read
    assert 6 <= sum(milliseconds for _, milliseconds in loop.frames) / 1000 <= longest
    with Image.open(path) as film:
        assert film.width == loops.WIDTH and film.n_frames > 10
    (words,) = re.findall(rf"!\[([^\]]+)\]\(loops/{name}\.webp\)", (DOCS / "demos.md").read_text(encoding="utf-8"))
    assert len(words.split()) > 20


def test_what_is_typed_stands_above_the_picture_and_what_is_new_in_colour():
    def demo(code):
        return Figure(figsize=(4, 1))

    frames = [({"code": code}, 100) for code in ("a = 1\nb = 2", "a = 1\nb = 3\nc = 4")]
    first, second = loops.pictures(demo, loops.Loop("", "", frames, typed="code"))
    assert first.size == second.size and first.height > loops.WIDTH / 4

    def orange(picture):
        red, _, blue = np.moveaxis(np.asarray(picture), 2, 0)
        return ((red > 180) & (blue < 80)).sum()

    assert orange(first) == 0 < orange(second)
    assert orange(second.crop((0, second.height - loops.WIDTH // 4, *second.size))) == 0


def test_all_loops_are_made_by_the_script():
    assert {path.stem for path in loops.LOOPS.iterdir()} == set(loops.FILMS)


@pytest.mark.parametrize("name", loops.FILMS)
def test_a_loop_uses_the_controls_of_its_demo(name):
    loop = loops.FILMS[name]
    cells = nbformat.read(FOLDER / f"{loop.chapter}.ipynb", as_version=4).cells
    nodes = [node for cell in cells if cell.cell_type == "code" for node in ast.walk(ast.parse(cell.source))]
    (demo,) = (node for node in nodes if isinstance(node, ast.FunctionDef) and node.name == loop.demo)
    assert {control for settings, _ in loop.frames for control in settings} <= {each.arg for each in demo.args.args}
    calls = [node for node in nodes if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "explore"]
    assert loop.demo in {getattr(call.args[0], "id", "") for call in calls}


def test_a_demo_that_a_notebook_does_not_have_is_named(tmp_path, monkeypatch):
    cells = [nbformat.v4.new_code_cell("from lixlib.course.explore import explore\nexplore(print)")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "one.ipynb")
    monkeypatch.setattr(loops, "FOLDER", tmp_path)
    assert loops.demos_of("one", {"print"}) == {"print": print}
    with pytest.raises(ValueError, match=r"one: no explore\(fall, \.\.\.\)"):
        loops.demos_of("one", {"fall"})


def test_every_frame_of_a_film_stays_as_long_as_it_should():
    def demo(number=0):
        figure = Figure(figsize=(4, 1))
        figure.text(0.1, 0.1, str(number))
        return figure

    settings = [({"number": number}, 100 * (1 + number)) for number in range(3)]
    with Image.open(io.BytesIO(loops.film(loops.Loop("", "", settings), demo))) as film:
        assert (film.width, film.n_frames) == (loops.WIDTH, 3)
        film.load()
        assert film.info["duration"] == 100
