"""What chapter 00 tells about its three networks is so, and it takes the ten minutes that it promises."""

import re

import pytest
import torch
from notebook_code import cells_of, definitions

from lixlib import checkpoints
from lixlib.data import Sample
from lixlib.data.classes import TOYDRIVE
from lixlib.data.toydrive.dataset import FIRST_FRAME
from lixlib.data.toydrive.render import paint_mask, render
from lixlib.data.x.depth_encoding import encode_depth
from lixlib.lab.results import gap_closed
from lixlib.nets import call

CHAPTER = "00_start_here"
SIZE, FRAME = (48, 160), 25
ROAD, LANE, CAR, TRUCK = (TOYDRIVE.names.index(name) for name in ("road", "lane mark", "car", "truck"))
FOLDED = re.compile(r"<details>.*?</details>|^```.*?^```", re.MULTILINE | re.DOTALL)
PICTURE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
FORMULA = re.compile(r"\$\$.*?\$\$|\$[^$\n]+\$", re.DOTALL)


@pytest.fixture(scope="module")
def streets():
    """The frame of the chapter, painted and bare, and where its road is painted."""
    index = FIRST_FRAME["test"] + FRAME
    samples = []
    for decoys in (True, False):
        picture = render(0, index, SIZE, 1.0, decoys=decoys)
        rgb = torch.from_numpy(picture.rgb).permute(2, 0, 1).float() / 255
        x, valid = encode_depth(torch.from_numpy(picture.depth)[None], "disparity")
        samples.append(Sample(rgb, x, valid, torch.from_numpy(picture.label).long(), "street"))
    paint = torch.from_numpy(paint_mask(0, index, SIZE, 1.0)) & torch.isin(samples[0].label, torch.tensor([ROAD, LANE]))
    return *samples, paint


@pytest.fixture(scope="module")
def answers(streets):
    """What each network answers, by the share of paint."""
    painted, bare, _ = streets
    names = ("teacher", "student", "lix")
    nets = {name: checkpoints.load(checkpoints.shipped(f"toydrive-mfnet-{name}"))[0] for name in names}
    rgb = {share: (share * painted.rgb + (1 - share) * bare.rgb)[None] for share in (0.0, 0.5, 1.0)}
    with torch.no_grad():
        return {
            share: {name: call(net, seen, painted.x[None]).logits.argmax(1)[0] for name, net in nets.items()}
            for share, seen in rgb.items()
        }


def share_of(answer, where, names):
    return torch.isin(answer[where], torch.tensor(names)).double().mean()


def test_the_teacher_does_not_move_as_the_paint_fades_in_and_both_students_do(streets, answers):
    *_, paint = streets
    for found in answers.values():
        assert share_of(found["teacher"], paint, [ROAD, LANE]) == 1
    for name in ("student", "lix"):
        assert share_of(answers[0.0][name], paint, [ROAD, LANE]) > 0.9
        assert share_of(answers[1.0][name], paint, [CAR, TRUCK]) > 0.7
    fooled = [share_of(answers[1.0][name], paint, [CAR, TRUCK]) for name in ("student", "lix")]
    assert fooled[1] >= fooled[0], "the lesson did not help here"


def test_lix_helps_at_the_real_cars(streets, answers):
    cars = streets[0].label == CAR
    right = {name: share_of(found, cars, [CAR]) for name, found in answers[1.0].items()}
    assert 0.5 < right["student"] < 0.6, "it misses nearly half"
    assert right["lix"] > right["student"] + 0.2


def test_its_code_counts_the_paint_that_the_renderer_drew(streets, answers, monkeypatch):
    painted, _, paint = streets
    defined = definitions(CHAPTER)
    for name, value in {"size": SIZE, "ROAD": torch.tensor([ROAD, LANE]), "on_road": paint}.items():
        monkeypatch.setitem(defined["painted_road"].__globals__, name, value)
    assert torch.equal(defined["painted_road"](painted.label, FRAME, 1.0), paint)
    assert defined["called"](answers[0.0]["teacher"], torch.tensor([ROAD, LANE])) == paint.sum()


def test_it_is_as_short_as_it_says():
    cells = cells_of(CHAPTER)
    texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
    shown = PICTURE.sub("", FORMULA.sub("formula", FOLDED.sub("", "\n\n".join(texts))))
    words = len(shown.split())
    assert len(cells) <= 40 and words <= 1500
    said = re.search(r"this page has (\d+) cells and about ([\d,]+) words", texts[0])
    assert int(said[1]) == len(cells) and abs(int(said[2].replace(",", "")) - words) <= 50


def test_it_lists_every_chapter_and_the_papers_gaps_as_they_are():
    text = "\n".join(cell.source for cell in cells_of(CHAPTER) if cell.cell_type == "markdown")
    assert set(re.findall(r"\((\d\d)_\w+\.ipynb\)", text)) == {f"{number:02}" for number in range(1, 16)}
    # teacher, student and LIX with MFNet in the paper's Tables I to III
    reported = {"97 %": (86.96, 84.59, 86.88), "78 %": (37.86, 30.68, 36.30), "40 %": (54.06, 49.03, 51.06)}
    for share, scores in reported.items():
        assert share in text and f"{100 * gap_closed(*scores):.0f} %" == share
        assert f"{scores[0] - scores[1]:.2f}" in text
