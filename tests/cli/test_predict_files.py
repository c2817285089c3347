"""`lix predict` replaces no file but its own results, and one photograph that fails stops no other."""

import io
import os
import struct
import subprocess
import sys

import numpy as np
import pytest
from commands import fails_with_one_line, photo, problems
from PIL import Image

import lixlib.cli.photographs
from lixlib.cli.photographs import draw_labels


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_predict_replaces_no_photograph(lix, here, student):
    """Whatever the photograph is called where the result of another would be written."""
    for name in ("l.png", "l_labels.png", "k.jpg"):
        photo(here / name)
    (here / "out").mkdir()
    (here / "out" / "k_labels.png").symlink_to(here / "l.png")
    before = contents(here)
    for words in (
        ["l.png", "l_labels.png"],
        ["l_labels.png", "l.png"],
        ["l.png", "out/../l_labels.png"],
        ["k.jpg", "l.png", "--out", "out"],
    ):
        fails_with_one_line(lix("predict", *words, "--weights", student), "would replace the photograph")
        assert contents(here) == before
    outcome = lix("predict", "k.jpg", "k_labels.png", "--weights", student)
    fails_with_one_line(outcome, "would replace the photograph k_labels.png")  # which is not even there
    assert contents(here) == before


@pytest.mark.parametrize("twin", ["a.jpg", "other/a.png"])
def test_two_photographs_of_one_result_are_seen_before_anything_is_written(lix, here, student, twin):
    for name in ("b.png", "a.png", "a.jpg", "out/c.png", "other/a.png"):
        (here / name).parent.mkdir(exist_ok=True)
        photo(here / name)
    before = contents(here)
    words = ["--out", "results"] if twin == "other/a.png" else []
    fails_with_one_line(lix("predict", "b.png", "a.png", twin, *words, "--weights", student), "have the same name")
    assert contents(here) == before


@pytest.mark.parametrize("twin", ["a.png", "out/../a.png", "link/a.png", "other/a.png", "."])
def test_a_photograph_that_is_given_twice_is_done_once(lix, here, student, twin):
    photo(here / "a.png")
    for folder in ("out", "other"):
        (here / folder).mkdir()
    (here / "link").symlink_to(here)
    (here / "other" / "a.png").symlink_to(here / "a.png")
    code, text, errors = lix("predict", "a.png", twin, twin, "--out", "results", "--weights", student)
    assert (code, text) == (0, "results/a_labels.png\n")
    shown = "a.png" if twin == "." else twin
    assert problems(errors) == [f"lix: given more than once, done once: {shown}, {shown}"]


def test_a_file_system_that_takes_two_names_for_one(lix, here, student, monkeypatch):
    """As if A_labels.png were a_labels.png: the second name leads to the first result as soon as that is there."""
    photo(here / "a.png"), photo(here / "A.png", (30, 20))
    drawn = []

    def draw(*words, **options):
        drawn.append(words)
        if len(drawn) == 2:
            os.link("a_labels.png", "A_labels.png")
        return draw_labels(*words, **options)

    monkeypatch.setattr(lixlib.cli.photographs, "draw_labels", draw)
    outcome = lix("predict", "a.png", "A.png", "--weights", student)
    fails_with_one_line(outcome, "A_labels.png holds the result of another photograph")
    assert Image.open("a_labels.png").width == 50


def test_predict_skips_its_own_results(lix, here, student):
    photo(here / "a.png")
    assert lix("predict", "a.png", "--weights", student)[0] == 0
    before = contents(here)
    code, text, errors = lix("predict", "a.png", "a_labels.png", "--weights", student)
    assert (code, text) == (0, "a_labels.png\n")
    assert problems(errors) == ["lix: a_labels.png is a result of `lix predict`: skipped"]
    assert contents(here) == before, "made again, and nothing else"
    assert lix("predict", "a_labels.png", "--weights", student)[:2] == (0, "")


def test_predict_replaces_no_file_but_its_own_results(lix, here, student):
    photo(here / "a.png")
    target = here / "a_labels.png"
    for make in (
        lambda: photo(target),
        lambda: target.write_text("my notes"),
        lambda: target.mkdir(),
        lambda: target.symlink_to("nowhere"),
    ):
        make()
        before = contents(here)
        outcome = lix("predict", "a.png", "--weights", student)
        fails_with_one_line(outcome, "a_labels.png is there and no result of `lix predict`")
        assert contents(here) == before and os.path.lexists(target)
        target.rmdir() if target.is_dir() else target.unlink()


def test_one_broken_photograph_stops_no_other(lix, here, student):
    photo(here / "a.png"), photo(here / "d.png")
    (here / "b.png").write_text("no image")
    (here / "deep.tif").mkdir()
    Image.fromarray(np.ones((20, 30), np.float32)).save("f.tif")
    names = ["a.png", "deep.tif", "b.png", "none.png", "f.tif", "d.png"]
    code, text, errors = lix("predict", *names, "--weights", student, "--out", "out")
    assert code == 2 and text.split() == ["out/a_labels.png", "out/d_labels.png"]
    lines = problems(errors)
    assert len(lines) == 4 and all(line.startswith("lix: ") for line in lines)
    assert all(name in line for name, line in zip(names[1:5], lines, strict=True))
    assert sorted(path.name for path in (here / "out").iterdir()) == ["a_labels.png", "d_labels.png"]


def test_a_photograph_of_too_many_pixels_is_one_line(lix, here, student):
    header = b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, 20_000, 10_000, 1, 24, 0, 0, 0, 0, 0, 0)
    (here / "a.bmp").write_bytes(header)
    fails_with_one_line(lix("predict", "a.bmp", "--weights", student), "a.bmp has more than 178956970 pixels")


def test_out_that_is_no_folder_or_cannot_be_written(lix, here, student, monkeypatch):
    photo(here / "a.png")
    for out in ("a.png", "a.png/deep"):
        fails_with_one_line(lix("predict", "a.png", "--weights", student, "--out", out), out)
    monkeypatch.setattr(Image.Image, "save", lambda *words, **options: (_ for _ in ()).throw(OSError(28, "disk full")))
    fails_with_one_line(lix("predict", "a.png", "--weights", student), "cannot write a_labels.png: disk full")
    assert sorted(contents(here)) == ["a.png"]


def test_a_folder_below_home(lix, here, student, monkeypatch):
    monkeypatch.setenv("HOME", str(here))
    photo(here / "a.png")
    assert lix("predict", "a.png", "--weights", student, "--out=~/out")[0] == 0
    assert (here / "out" / "a_labels.png").is_file() and not (here / "~").exists()


NAMES = ["straße.png", "夜.png", os.fsdecode(b"\xff.png"), "z.png"]


@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "latin-1"])
def test_names_that_cannot_be_printed_stop_nothing(lix, here, student, monkeypatch, encoding):
    for name in NAMES:
        photo(here / name)
    with monkeypatch.context() as only:
        output = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        only.setattr(sys, "stdout", output)
        code, _, errors = lix("predict", *NAMES, "--weights", student)
    assert code == 0, errors
    assert len(list(here.glob("*_labels.png"))) == 4
    lines = output.buffer.getvalue().splitlines()
    assert lines == [name.replace(".", "_labels.").encode(encoding, "backslashreplace") for name in NAMES]


def test_control_characters_in_names_are_escaped(lix, here, student):
    photo(here / "a\nb.png"), photo(here / "c\x1b[1m.png")
    (here / "d\ne.png").write_text("no image")
    for _ in range(2):  # the second time with results
        code, text, errors = lix("predict", *sorted(here.glob("*.png")), "--weights", student)
        assert code == 2 and text == f"{here}/a\\nb_labels.png\n{here}/c\\x1b[1m_labels.png\n"
        assert problems(errors)[-1].startswith(f"lix: {here}/d\\ne.png is no readable image")
    assert f"lix: {here}/a\\nb_labels.png is a result of `lix predict`: skipped" in problems(errors)
    outcome = lix("predict", "a\nb.png", "a\nb.jpg", "--weights", student)
    fails_with_one_line(outcome, r"a\nb.png and a\nb.jpg have the same name")


@pytest.mark.parametrize("gone", [OSError(28, "No space left on device"), BrokenPipeError(), ValueError("closed")])
def test_nobody_need_read_what_is_printed(lix, here, student, monkeypatch, gone):
    class Deaf(io.StringIO):
        def write(self, text):
            raise gone

    photo(here / "a.png"), photo(here / "b.png")
    with monkeypatch.context() as only:
        only.setattr(sys, "stdout", Deaf())
        assert lix("predict", "a.png", "b.png", "--weights", student)[0] == 0
    assert len(list(here.glob("*_labels.png"))) == 2


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_pipe_that_breaks_and_a_full_device(here, student):
    photo(here / "a.png"), photo(here / "b.png")
    command = [sys.executable, "-m", "lixlib.cli", "predict", "a.png", "b.png", "--weights", student]
    read, write = os.pipe()
    os.close(read)
    with open("/dev/full", "w") as full, open(write, "w") as broken:
        for stream in (broken, full):
            done = subprocess.run(command, stdout=stream, stderr=subprocess.PIPE, text=True)
            assert (done.returncode, problems(done.stderr)) == (0, [])
            for name in ("a_labels.png", "b_labels.png"):
                (here / name).unlink()
