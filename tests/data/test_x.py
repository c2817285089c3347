"""X from depth in metres and back: values, masks, units."""

import math

import pytest
import torch

from lixlib.data.x.depth_encoding import UNITS, channels, check_relative, decode_depth, encode_depth
from lixlib.data.x.normals import Intrinsics

DEPTH = torch.tensor([[[1.0, 2.0, 8.0, 80.0, 160.0, math.inf, 0.0, -1.0, math.nan]]])
CAMERA = Intrinsics(5.0, 5.0, 4.0, 0.0)


@pytest.mark.parametrize(
    ("x", "values", "valid"),
    [
        ("disparity", [1, 1, 0.25, 0.025, 0.0125, 0, 0, 0, 0], "111111000"),
        ("depth", [0.0125, 0.025, 0.1, 1, 1, 1, 0, 0, 0], "111110000"),
    ],
)
def test_values_and_masks(x, values, valid):
    found, mask = encode_depth(DEPTH, x)
    assert torch.allclose(found[0, 0], torch.tensor(values)) and found.shape == DEPTH.shape
    assert "".join(str(int(known)) for known in mask[0, 0]) == valid
    assert channels(x) == 1


def test_normals_are_0_where_they_are_not_valid():
    depth = torch.full((2, 1, 5, 6), 5.0)
    depth[1, 0, 2, 2] = 0
    found, mask = encode_depth(depth, "normals", CAMERA)
    assert found.shape == (2, channels("normals"), 5, 6) and mask.sum() == 2 * 5 * 6 - 1
    assert (found[1, :, 2, 2] == 0).all() and (found[0, 2] == -1).all()


@pytest.mark.parametrize("x", ["disparity", "depth"])
def test_there_and_back(x):
    depth = torch.tensor([[[2.0, 3.0, 10.0, 79.0]]])
    assert torch.allclose(decode_depth(encode_depth(depth, x)[0], UNITS[x]), depth)


def test_what_cannot_be_computed():
    with pytest.raises(ValueError, match="unknown x 'hha': choose one of disparity, depth, normals"):
        encode_depth(DEPTH, "hha")
    with pytest.raises(ValueError, match="give its intrinsics"):
        encode_depth(DEPTH, "normals")
    with pytest.raises(ValueError, match="'normal', which tells no metres"):
        decode_depth(DEPTH, UNITS["normals"])
    with pytest.raises(ValueError, match="x = 'depth' needs depth in metres, and the X of camvid is relative inverse"):
        check_relative("camvid", "depth")
    check_relative("camvid", "disparity")
