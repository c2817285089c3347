"""What chapter 00 tells about its three networks is so."""

import pytest
import torch
from notebook_code import definitions

from lixlib import checkpoints
from lixlib.data import Sample
from lixlib.data.classes import TOYDRIVE
from lixlib.data.toydrive.dataset import FIRST_FRAME
from lixlib.data.toydrive.render import paint_mask, render
from lixlib.data.x.depth_encoding import encode_depth

SIZE, FRAME = (48, 160), 25
ROAD, LANE, CAR, TRUCK = (TOYDRIVE.names.index(name) for name in ("road", "lane mark", "car", "truck"))


@pytest.fixture(scope="module")
def street():
    """The frame of the chapter, and where its road is painted."""
    index = FIRST_FRAME["test"] + FRAME
    picture = render(0, index, SIZE, 1.0)
    rgb = torch.from_numpy(picture.rgb).permute(2, 0, 1).float() / 255
    x, valid = encode_depth(torch.from_numpy(picture.depth)[None], "disparity")
    label = torch.from_numpy(picture.label).long()
    paint = torch.from_numpy(paint_mask(0, index, SIZE, 1.0)) & torch.isin(label, torch.tensor([ROAD, LANE]))
    return Sample(rgb, x, valid, label, "street"), paint


@pytest.fixture(scope="module")
def answers(street):
    predict = definitions("00_start_here")["predict"]
    names = ("teacher", "student", "lix")
    nets = {name: checkpoints.load(checkpoints.shipped(f"toydrive-mfnet-{name}"))[0] for name in names}
    return {name: predict(net, street[0]) for name, net in nets.items()}


def test_the_teacher_sees_through_the_paint_and_no_student_does(street, answers):
    _, paint = street
    vehicle = {
        name: torch.isin(found[paint], torch.tensor([CAR, TRUCK])).double().mean() for name, found in answers.items()
    }
    assert vehicle["teacher"] < 0.05
    assert vehicle["student"] > 0.7
    assert vehicle["lix"] >= vehicle["student"], "the lesson did not help here"


def test_lix_helps_at_the_real_cars(street, answers):
    cars = street[0].label == CAR
    right = {name: (found[cars] == CAR).double().mean() for name, found in answers.items()}
    assert right["student"] < 0.65 and right["lix"] > right["student"] + 0.2


def test_its_code_counts_the_paint_that_the_renderer_drew(street, monkeypatch):
    painted_road = definitions("00_start_here")["painted_road"]
    monkeypatch.setitem(painted_road.__globals__, "size", SIZE)
    monkeypatch.setitem(painted_road.__globals__, "FLAT", torch.tensor([ROAD, LANE]))
    assert torch.equal(painted_road(street[0], FRAME, 1.0), street[1])
