"""Digests of data sets that have none of their own."""

from types import SimpleNamespace

import torch

from lixlib.core.digests import digest_of_samples
from lixlib.core.sample import Sample
from lixlib.data.unlabelled import Unlabelled, WithUnlabelled


class Plain(list):
    name, split, x_channels = "plain", "train", 1

    def __init__(self, value=0.0, names=("a", "b"), shape=(2, 3)):
        label = torch.zeros(shape, dtype=torch.long)
        rgb = torch.full((3, *shape), value)
        super().__init__([Sample(rgb, rgb[:1], rgb[:1] > -1, label, "one")])
        self.classes = SimpleNamespace(names=names)


def test_values_classes_and_shapes_are_part_of_it():
    changed = [{}, {"value": 1.0}, {"names": ("x", "y")}, {"names": ("a", "b", "c")}, {"shape": (3, 2)}]
    assert len({digest_of_samples(Plain(**change)) for change in changed}) == len(changed)
    for wrap in (Unlabelled, lambda plain: WithUnlabelled(plain, Unlabelled(Plain()))):
        assert len({digest_of_samples(wrap(Plain(**change))) for change in changed[:2]}) == 2
