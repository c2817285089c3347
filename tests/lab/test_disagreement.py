"""Where answers are right and wrong: against plain loops."""

import numpy as np
import pytest
import torch

from lixlib.lab import disagreement

SHAPE = (2, 7, 9)


def answers(seed, ignored=0.2):
    generator = torch.Generator().manual_seed(seed)
    truth, *others = (torch.randint(4, SHAPE, generator=generator) for _ in range(4))
    return torch.where(torch.rand(SHAPE, generator=generator) < ignored, 255, truth), *others


def pixels(*maps):
    return zip(*(each.flatten().tolist() for each in maps), strict=True)


@pytest.mark.parametrize("seed", range(3))
def test_flips_and_net_gain_count_what_a_loop_counts(seed):
    truth, before, after, places = answers(seed)
    counts, change, size = np.zeros((2, 2), dtype=int), np.zeros(6), np.zeros(6)
    for t, b, a, place in pixels(truth, before, after, places):
        if t != 255:
            counts[int(b == t), int(a == t)] += 1
            change[place] += (a == t) - (b == t)
            size[place] += 1
    assert (disagreement.flips(truth, before, after).numpy() == counts).all()
    found = disagreement.net_gain(places, 6, truth, before, after)
    assert np.allclose(found, change / size.clip(1)) and found[5] == 0


def test_what_is_handed_on():
    #                      learnt  alone  unlearnt misled copied ignored
    truth = torch.tensor([0, 0, 0, 0, 0, 0, 0, 0, 0, 255])
    teacher = torch.tensor([0, 0, 1, 1, 0, 0, 1, 1, 1, 0])
    before = torch.tensor([1, 2, 1, 2, 0, 0, 0, 0, 0, 0])
    after = torch.tensor([0, 1, 0, 2, 0, 1, 0, 1, 2, 0])
    found = disagreement.handed_on(truth, teacher, before, after)
    assert found == pytest.approx(
        {"learnt": 1 / 2, "alone": 1 / 2, "unlearnt": 1 / 2, "misled": 2 / 3, "copied": 1 / 2}
    )
    assert set(disagreement.handed_on(truth, truth, truth, truth).values()) == {0.0}


def test_objects_are_connected_pieces_of_one_class():
    label = torch.tensor([[[0, 0, 1], [1, 0, 1], [1, 1, 0]], [[2, 2, 2]] * 3])
    found = disagreement.objects(label)
    assert found.flatten().bincount().tolist() == [3, 1, 2, 3, 9]
    assert found[0, 0, 0] == found[0, 1, 1] != found[0, 2, 2] and found[0, 1, 0] == found[0, 2, 1] != found[0, 0, 2]
    assert (found[1] == 4).all()
    for piece in found.unique():
        assert len(label[found == piece].unique()) == 1


def test_distances_to_outline_and_rim():
    label = torch.zeros(1, 3, 6, dtype=torch.long)
    label[:, :, 2:] = 1
    assert disagreement.outline_distance(label)[0, 1].tolist() == [2, 1, 1, 2, 3, 4]
    assert torch.isinf(disagreement.outline_distance(torch.zeros(1, 2, 2, dtype=torch.long))).all()
    assert disagreement.rim_distance(3, 5).tolist() == [[0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]]


def test_bins_and_their_names():
    places, names = disagreement.binned(torch.tensor([0.0, 5.0, 5.1, 20.0, torch.inf]), (5, 10, 20), " m")
    assert places.tolist() == [0, 0, 1, 2, 3]
    assert names == ["up to 5 m", "5 to 10 m", "10 to 20 m", "above 20 m"]


def test_share_of_the_largest():
    values = np.random.default_rng(0).exponential(size=1000).round(1)
    levels, counts = np.unique(values, return_counts=True)
    expected = np.sort(values)[-100:].sum() / values.sum()
    assert disagreement.share_of_worst(counts.astype(float), levels) == pytest.approx(expected)
