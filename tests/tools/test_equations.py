"""docs/equations.md: every equation of the paper has its line, and the page is that of today's docstrings."""

import pytest

from tools.dev import equations


def test_the_page_is_current_and_every_equation_has_a_place():
    places = equations.places(equations.ROOT / "lixlib")
    assert sorted(places) == list(range(1, 19)) and all(places.values())
    text = equations.PAGE.read_text(encoding="utf-8")
    assert text == equations.page(equations.ROOT / "lixlib"), "run `python tools/dev/equations.py`"


def test_an_equation_that_lost_its_place_is_named(tmp_path):
    folder = tmp_path / "lixlib" / "functional"
    folder.mkdir(parents=True)
    (folder / "kd.py").write_text('"""Everything: LIX Eqs. (1)-(16), (18)."""\n')
    with pytest.raises(ValueError, match=r"no docstring names Eq. 17 of the paper"):
        equations.page(tmp_path / "lixlib")
