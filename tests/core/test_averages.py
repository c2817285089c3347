"""A moving average's step: it keeps its lists of names, and gives the very bits of a step that makes them anew."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from lixlib.core.averages import Mover


def anew(average, live, share):
    """The same step by the names that there are at the time."""
    names = [name for name, tensor in average.items() if tensor.is_floating_point()]
    torch._foreach_lerp_([average[name] for name in names], [live[name] for name in names], share)
    for name in average.keys() - set(names):
        average[name].copy_(live[name])


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16])
def test_kept_names_change_no_bit(kind):
    net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.Conv2d(5, 2, 1)).to(kind)
    kept, made = (deepcopy(net) for _ in range(2))
    move = Mover(kept.state_dict())
    for step in range(4):
        net(torch.randn(2, 3, 8, 8, dtype=kind))  # the statistics and the count of batch norm
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(torch.randn_like(parameter))
            move(kept.state_dict(), net.state_dict(), 0.1 + 0.2 * step)
            anew(made.state_dict(), net.state_dict(), 0.1 + 0.2 * step)
    state = kept.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in made.state_dict().items())
    assert state["1.num_batches_tracked"] == 4 and not torch.equal(kept[0].weight, net[0].weight)


def test_a_network_that_has_moved_is_still_followed():
    kept = nn.Linear(2, 2)
    move = Mover(kept.state_dict())
    kept.double()  # new tensors, as on another device
    live = nn.Linear(2, 2).double()
    move(kept.state_dict(), live.state_dict(), 1.0)
    assert torch.equal(kept.weight, live.weight)
