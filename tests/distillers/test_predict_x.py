"""Predicting X: the head, the term beside a method's own, and pretraining."""

from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import nn
from two_layers import C, Net, make, make_batch, trainable

from lixlib.distillers import Distiller, PredictX, XHead
from lixlib.nets import Output


def plain_x_loss(head, features, x, valid):
    """Written out: 1x1 convolution, bilinear to the size of X, the mean |error| over valid pixels and channels."""
    weight, bias = head.weight[:, :, 0, 0], head.bias
    maps = torch.einsum("oc,bchw->bohw", weight, features) + bias[:, None, None]
    maps = nn.functional.interpolate(maps, size=x.shape[-2:], mode="bilinear")
    errors = [
        (maps[b, c, i, j] - x[b, c, i, j]).abs()
        for b, c, i, j in product(*map(range, x.shape))
        if valid[b, min(c, valid.shape[1] - 1), i, j]
    ]
    return torch.stack(errors).mean()


@pytest.mark.parametrize("channels", [1, 3])
def test_x_head_is_its_transcription(channels):
    batch = make_batch(h=6, w=8)
    batch = replace(batch, x=torch.rand(2, channels, 6, 8), valid=torch.rand(2, 1, 6, 8) > 0.3)
    student = Net()
    output = student(batch.rgb)
    head = XHead(output, channels)
    assert head.tap == "early" and head.head.weight.shape == (channels, 5, 1, 1)
    expected = plain_x_loss(head.head, output.taps["early"], batch.x, batch.valid)
    torch.testing.assert_close(head(output, batch), expected)
    model = PredictX(student, batch)
    model.head = head
    torch.testing.assert_close(model(batch)["x"], expected)


def test_x_head_takes_the_decoders_map_of_two_of_one_size():
    maps = {"encoder": torch.zeros(1, 4, 6, 8), "deep": torch.zeros(1, 9, 3, 4), "decoder": torch.zeros(1, 2, 6, 8)}
    head = XHead(Output(torch.zeros(1, C, 6, 8), maps), 1)
    assert head.tap == "decoder" and head.head.in_channels == 2


def test_invalid_x_does_not_count():
    batch = make_batch()
    valid = torch.rand(2, 1, 12, 20) > 0.5
    batch = replace(batch, valid=valid)
    student = Net()
    output = student(batch.rgb)
    head = XHead(output, 1)
    expected = head(output, batch)
    wrong = batch.x.where(valid, float("inf"))
    value = head(output, replace(batch, x=wrong))
    assert torch.equal(value, expected)
    value.backward()
    assert all(p.grad.isfinite().all() for p in (*head.parameters(), student.stem[0].weight))
    nothing = head(output, replace(batch, valid=torch.zeros_like(valid)))
    assert nothing == 0, "no valid pixel: no loss, no NaN"


def test_predicting_x_is_one_more_term_that_ignores_labels():
    batch = make_batch()
    torch.manual_seed(1)
    one = make("kd", batch, auxiliary=0.5).train()
    terms = one(batch)
    assert list(terms) == ["ce", "x", "kd"]
    torch.testing.assert_close(terms["x"], 0.5 * one.x_head(one.student(batch.rgb), batch))
    assert torch.equal(one(replace(batch, label=torch.full_like(batch.label, 255)))["x"], terms["x"])
    assert trainable(one) == trainable(one.student) | trainable(one.method) | trainable(one.x_head)
    assert not any("x_head" in key for key in one.student.state_dict())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert one(batch)["x"].dtype == torch.float32
    alone = Distiller(Net(), example=batch, auxiliary=2.0)
    assert list(alone(batch)) == ["ce", "x"] and make("kd", batch).x_head is None


def test_pretraining_learns_x_from_rgb():
    batch = make_batch()
    batch = replace(batch, x=batch.rgb.mean(1, keepdim=True))  # RGB tells it
    model = PredictX(Net(), batch).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    values = []
    for _ in range(30):
        terms = model(batch)
        values.append(terms["x"].item())
        optimizer.zero_grad()
        terms["x"].backward()
        optimizer.step()
    assert list(terms) == ["x"] and values[-1] < 0.5 * values[0]
