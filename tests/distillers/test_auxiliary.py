"""Predicting X as a second task: what it needs is asked for by name."""

import pytest
import torch

from lixlib import nets
from lixlib.distillers import Distiller


def test_the_second_task_needs_an_example_with_x():
    net = nets.build("mfnet", num_classes=3)
    with pytest.raises(ValueError, match="needs an example batch"):
        Distiller(net, auxiliary=0.5)
    with pytest.raises(ValueError, match="needs X, and the example has none"):
        Distiller(net, auxiliary=0.5, example=(torch.rand(1, 3, 32, 32), None))
