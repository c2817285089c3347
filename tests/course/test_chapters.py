"""The chapters' own first lines say what the graph says."""

import re

import nbformat
import pytest
from figure_checks import cut_off

from lixlib.course.chapters import BY_NUMBER, CHAPTERS, PARTS, chapter_graph
from lixlib.course.scheme import lix_scheme
from tools.dev.execute_notebooks import FOLDER, notebook_files

LINK = re.compile(r"\]\((\d\d)_\w+\.ipynb\)")


def test_every_notebook_is_a_chapter_and_every_part_has_one():
    assert [chapter.stem for chapter in CHAPTERS] == [path.stem for path in notebook_files()]
    assert {chapter.part for chapter in CHAPTERS} == set(PARTS)


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.number)
def test_the_first_sentence_of_before_links_what_the_chapter_needs(chapter):
    first = nbformat.read(FOLDER / f"{chapter.stem}.ipynb", as_version=4).cells[0].source
    (before,) = (line for line in first.splitlines() if line.startswith("**Before**"))
    sentence = re.split(r"\.(?=\s|$)", before)[0]
    assert sorted(LINK.findall(sentence)) == list(chapter.needs)


def test_what_follows_from_other_arrows_is_not_drawn():
    assert BY_NUMBER["06"].needs == ("04", "05") and BY_NUMBER["06"].needs_directly == ("05",)
    assert BY_NUMBER["12"].needs_directly == ("06", "10")
    for chapter in CHAPTERS:
        assert all(BY_NUMBER[needed].column < chapter.column for needed in chapter.needs)


def test_the_graph_has_a_box_for_every_chapter_and_marks_this_one():
    figure = chapter_graph("05")
    assert list(cut_off(figure)) == []
    boxes = [text for text in figure.axes[0].texts if text.get_text()]
    assert [text.get_text()[:2] for text in boxes] == list(BY_NUMBER)
    assert [text.get_text()[:2] for text in boxes if text.get_bbox_patch().get_linewidth() > 2] == ["05"]
    places = [text.get_window_extent() for text in boxes]
    assert not any(a.overlaps(b) for i, a in enumerate(places) for b in places[:i])
    arrows = [text for text in figure.axes[0].texts if not text.get_text()]
    assert len(arrows) == sum(len(chapter.needs_directly) for chapter in CHAPTERS)


def test_a_chapter_that_is_not_there():
    with pytest.raises(ValueError, match="chapter is '99': give one of 00, 01"):
        chapter_graph("99")


def test_the_scheme_shows_the_three_terms():
    figure = lix_scheme([[[255, 0, 0]] * 4] * 2, [[0.1] * 4] * 2)
    assert list(cut_off(figure)) == []
    words = " ".join(text.get_text() for text in figure.axes[0].texts)
    assert all(term in words for term in ("DWLD", "ARFD", "CE", "only while the student learns"))
    assert len(figure.axes[0].images) == 3
