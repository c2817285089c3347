"""The step of a moving average of a network's state."""

from collections.abc import Mapping

import torch
from torch import Tensor


class Mover:
    """Moves an average, by name: average += share (live - average), in place; whole numbers are copied.

    Args:
        average: tells which of its tensors are moved and which are copied, such as the count of batches. The tensors
            themselves are given at every step, because a network that moves to another device has new ones.
    """

    def __init__(self, average: Mapping[str, Tensor]):
        self._moved = [name for name, tensor in average.items() if tensor.is_floating_point()]
        self._copied = [name for name, tensor in average.items() if not tensor.is_floating_point()]

    @torch.no_grad()
    def __call__(self, average: Mapping[str, Tensor], live: Mapping[str, Tensor], share: float) -> None:
        # one kernel for all tensors, as in torch.optim.swa_utils
        torch._foreach_lerp_([average[name] for name in self._moved], [live[name] for name in self._moved], share)
        for name in self._copied:
            average[name].copy_(live[name])
