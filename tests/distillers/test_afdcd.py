"""AFDCD: how it fits the map, and what it rebuilds."""

import pytest
import torch
from two_layers import outputs

from lixlib.distillers import build


@pytest.mark.parametrize(
    "channels, size, groups, fit",
    [(132, (3, 10), 12, (3, 1)), (16, (64, 96), 16, (4, 4)), (7, (6, 40), 7, (4, 1)), (34, (1, 1), 2, (1, 1))],
)
def test_afdcd_fits_groups_patch_and_pooling_to_the_map(channels, size, groups, fit):
    student, teacher, target = outputs(h=size[0], w=size[1], widths=(5, channels))
    afdcd = build("afdcd", student, teacher)
    assert (afdcd.groups, afdcd._fit(teacher.taps["tap"])) == (groups, fit)
    terms = afdcd(student, teacher, target)
    assert set(terms) == {"distance", "contrast", "kd"} and all(value.isfinite() for value in terms.values())


def test_afdcd_rebuilds_from_a_quarter_of_the_positions():
    student, teacher, target = outputs(h=30, w=40, widths=(4, 4))
    afdcd, seen = build("afdcd", student, teacher), []
    afdcd.projector.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    afdcd(student, teacher, target)
    hidden = (seen[0] == 0).all(1)
    assert (~hidden).float().mean().item() == pytest.approx(0.25, abs=0.03)
    torch.testing.assert_close(seen[0][0, :, ~hidden[0]], afdcd.align(student.taps["tap"])[0, :, ~hidden[0]])
