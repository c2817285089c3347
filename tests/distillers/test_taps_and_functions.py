"""The taps that a method compares, and the methods of one function: CWKD, DIST, WSLD, SP, AT, NST, RKD and FitNet."""

import pytest
import torch
from two_layers import outputs

from lixlib.distillers import build
from lixlib.distillers.common import deepest_pair, encoder_pairs
from lixlib.functional import (
    attention_transfer_loss,
    cwkd_loss,
    dist_loss,
    fitnet_loss,
    nst_loss,
    rkd_loss,
    sp_loss,
    wsld_loss,
)
from lixlib.nets import Output


def test_the_encoders_taps_end_at_the_deepest():
    sizes = {"conv2": 8, "conv3": 4, "conv4": 2, "decode4": 2, "decode3": 8}
    student = Output(None, {name: torch.rand(1, 2, n, n + 1, requires_grad=True) for name, n in sizes.items()})
    teacher = Output(None, {name: 2 * tap for name, tap in student.taps.items() if name != "conv2"})
    assert list(encoder_pairs(student, student)) == ["conv2", "conv3", "conv4"]
    pairs = encoder_pairs(student, teacher)
    assert list(pairs) == ["conv3", "conv4"]
    assert all(s is student.taps[name] and torch.equal(t, 2 * s) for name, (s, t) in pairs.items())
    assert not any(t.requires_grad for _, t in pairs.values())
    assert list(encoder_pairs(student, teacher, ["decode3", "conv3"])) == ["decode3", "conv3"]
    for name, expected in ((None, "conv4"), ("decode4", "decode4")):
        found, s, t = deepest_pair(student, teacher, name)
        assert found == expected and s is student.taps[found] and torch.equal(t, 2 * s) and not t.requires_grad
    for function, names in ((encoder_pairs, ["conv2"]), (deepest_pair, "conv2")):
        with pytest.raises(ValueError, match="no common tap conv2: the student has conv2, conv3"):
            function(student, teacher, names)


@pytest.mark.parametrize(
    "method, function",
    [("cwkd", cwkd_loss), ("dist", dist_loss), ("wsld", wsld_loss), ("fitnet", fitnet_loss), ("sp", sp_loss)],
)
def test_a_method_is_its_function(method, function):
    student, teacher, target = outputs(3, widths=(4, 4))
    module = build(method, student, teacher, weight=2.0)
    found = module(student, teacher, target)[method]
    if method == "cwkd":
        expected = cwkd_loss(student.logits, teacher.logits, temperature=4.0)
    elif method in ("dist", "wsld"):
        expected = function(student.logits, teacher.logits, target)
    else:
        s = module.adapter(student.taps["tap"]) if method == "fitnet" else student.taps["tap"]
        expected = function(s, teacher.taps["tap"])
    torch.testing.assert_close(found, 2 * expected)


@pytest.mark.parametrize("method, function", [("at", attention_transfer_loss), ("nst", nst_loss)])
def test_at_and_nst_sum_over_the_taps(method, function):
    student, teacher, target = outputs()
    pairs = {"early": (12, 18), "tap": (6, 9), "late": (12, 18)}
    taps = [{name: torch.randn(2, width, *size) for name, size in pairs.items()} for width in (3, 5)]
    student, teacher = (o._replace(taps=t) for o, t in zip((student, teacher), taps, strict=True))
    each = {name: function(taps[0][name], taps[1][name]) for name in pairs}
    found = build(method, student, teacher, weight=2.0)(student, teacher, target)[method]
    torch.testing.assert_close(found, 2 * (each["early"] + each["tap"]))
    found = build(method, student, teacher, weight=2.0, taps=("late",))(student, teacher, target)[method]
    torch.testing.assert_close(found, 2 * each["late"])


def test_rkd_compares_the_averages_of_the_deepest_map():
    student, teacher, target = outputs(4)
    found = build("rkd", student, teacher)(student, teacher, target)["rkd"]
    torch.testing.assert_close(found, rkd_loss(*(o.taps["tap"].mean((2, 3)) for o in (student, teacher))))
    assert build("rkd", student, teacher, distance_weight=0, angle_weight=0)(student, teacher, target)["rkd"] == 0


def test_fitnet_has_one_convolution_and_takes_maps_of_any_size():
    student, teacher, target = outputs()
    large = Output(teacher.logits, {"tap": torch.randn(2, 5, 11, 18)})
    fitnet = build("fitnet", student, large)
    assert [tuple(p.shape) for p in fitnet.parameters()] == [(5, 3, 1, 1)]
    assert fitnet(student, large, target)["fitnet"] > 0
