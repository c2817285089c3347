"""Where to compute, and in which number format: one rule for all commands."""

from typing import Literal

import torch

from lixlib.core.options import check

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]


def choose_device(name: Device) -> torch.device:
    """The device of that name; "auto" is a GPU of CUDA where there is one, else the CPU.

    It is never Apple's MPS: float64, in which scores are counted, and pairwise distances, of which LIX makes its
    kernels, do not exist there.

    Raises:
        ValueError: another name, or "cuda" on a machine without such a GPU.
    """
    check("device", {"name": Device}, {"name": name})
    has_gpu = torch.cuda.is_available()
    if name == "cuda" and not has_gpu:
        raise ValueError("this machine has no GPU that torch can use: choose --device cpu")
    return torch.device("cuda" if has_gpu and name != "cpu" else "cpu")


def fast_precision(device: torch.device) -> Precision:
    """bfloat16 where the device computes in it, else float32: elsewhere it is slower, not faster.

    A training with bf16-mixed needs about two thirds of the time of one with 32-true on a CPU that has it.
    """
    if device.type == "cuda":
        has = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        has = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16-mixed" if has else "32-true"


def check_precision(precision: Precision, device: torch.device) -> None:
    """Raise a ValueError unless the device computes in that number format.

    16-mixed is for a GPU: on a CPU it would silently become bf16-mixed, and a result line would name the wrong one.
    """
    check("training", {"precision": Precision}, {"precision": precision})
    if precision == "16-mixed" and device.type == "cpu":
        raise ValueError("precision 16-mixed needs a GPU: on a CPU choose bf16-mixed")
