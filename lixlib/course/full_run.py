"""What a full training will cost, before anyone has run it: the work of one image, counted, and what cards promise."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode


class Card(NamedTuple):
    """What a card's maker promises: dense bfloat16 in TFLOP/s, memory traffic in GB/s, memory in GB, power in watts."""

    tflops: float
    bandwidth: float
    memory: float
    watts: float


# By the name that torch gives the card. From NVIDIA's datasheets of these cards (of TFLOP/s half the number "with
# sparsity" where they give no other), and for the GeForce cards from the appendix of NVIDIA's architecture whitepapers
# (GA102, Ada: bfloat16 with FP32 accumulation).
CARDS = {
    "NVIDIA A100-SXM4-40GB": Card(312.0, 1555, 40, 400),
    "NVIDIA A100-SXM4-80GB": Card(312.0, 2039, 80, 400),
    "NVIDIA A100-PCIE-40GB": Card(312.0, 1555, 40, 250),
    "NVIDIA A100 80GB PCIe": Card(312.0, 1935, 80, 300),
    "NVIDIA H100 80GB HBM3": Card(989.4, 3350, 80, 700),
    "NVIDIA H100 PCIe": Card(756.0, 2000, 80, 350),
    "NVIDIA H200": Card(989.4, 4800, 141, 700),
    "NVIDIA L4": Card(121.0, 300, 24, 72),
    "NVIDIA L40S": Card(362.0, 864, 48, 350),
    "NVIDIA A10": Card(125.0, 600, 24, 150),
    "NVIDIA GeForce RTX 3090": Card(71.0, 936, 24, 350),
    "NVIDIA GeForce RTX 4090": Card(165.2, 1008, 24, 450),
}


@dataclass(frozen=True)
class Work:
    """What a network does with one batch.

    Args:
        forward: multiplications and additions of the forward pass.
        training: of forward and backward pass.
        kept: bytes of the maps in float32 that the forward pass keeps for the backward pass; weights are left out.
    """

    forward: int
    training: int
    kept: int


def count(net: nn.Module, *inputs: Tensor) -> Work:
    """Count the work of a network; on the device "meta" nothing is computed, whatever the size.

    Under `torch.no_grad()` it is the forward pass alone: `training` is `forward`, and nothing is kept.

    Operations are those of `torch.utils.flop_counter`: convolutions and matrix products, a multiplication and an
    addition each. It counts the backward pass of grouped convolutions wrongly (torch 2.13), so not that of OFF-Net.
    """
    own = {tensor.untyped_storage()._cdata for tensor in (*net.parameters(), *net.buffers())}
    kept: dict[int, torch.UntypedStorage] = {}  # held, so that no two have the same address

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage
        return tensor

    with FlopCounterMode(display=False) as counter, saved_tensors_hooks(keep, lambda tensor: tensor):
        output = net(*inputs)
        forward = counter.get_total_flops()
        total = getattr(output, "logits", output).sum()
        if total.requires_grad:
            total.backward()
    return Work(forward, counter.get_total_flops(), sum(storage.nbytes() for storage in kept.values()))
