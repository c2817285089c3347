"""The step of a moving average of a network's state."""

from collections.abc import Mapping

import torch
from torch import Tensor


@torch.no_grad()
def move_towards(average: Mapping[str, Tensor], live: Mapping[str, Tensor], share: float) -> None:
    """average += share (live - average), in place, by name; whole numbers, such as the count of batches, are copied."""
    names = [name for name, tensor in average.items() if tensor.is_floating_point()]
    # one kernel for all tensors, as in torch.optim.swa_utils
    torch._foreach_lerp_([average[name] for name in names], [live[name] for name in names], share)
    for name in average.keys() - set(names):
        average[name].copy_(live[name])
