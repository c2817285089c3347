"""The diffusion process of DiffKD (Huang et al., NeurIPS 2023; DDIM: Song et al., ICLR 2021)."""

import torch
from torch import Tensor

from lixlib.core.checks import full_precision


def noise_schedule(steps: int = 1000, first: float = 1e-4, last: float = 0.02) -> Tensor:
    """What is left of a signal's variance after each step: the running product of 1 - beta, beta rising linearly.

    **Shapes**: -> (steps,), falling from nearly 1 to nearly 0; float32, as the reference has it.
    """
    return (1 - torch.linspace(first, last, steps, dtype=torch.float32)).cumprod(0)


@full_precision
def add_noise(clean: Tensor, noise: Tensor, kept: Tensor | float) -> Tensor:
    """sqrt(kept) clean + sqrt(1 - kept) noise, which has unit variance if both have.

    **Shapes**: clean and noise (B, ...); kept, an entry of `noise_schedule`, a number or broadcast to clean.
    """
    return kept**0.5 * clean + (1 - kept) ** 0.5 * noise


@full_precision
def mix_noise(signal: Tensor, noise: Tensor, share: Tensor | float) -> Tensor:
    """share x signal + (1 - share) x noise: DiffKD's start from the student's map, without square roots.

    **Shapes**: signal and noise (B, ...); share in [0, 1], a number or broadcast to them.
    """
    return share * signal + (1 - share) * noise


@full_precision
def remove_noise(noisy: Tensor, noise: Tensor, kept: float) -> Tensor:
    """The clean signal that `add_noise` made `noisy`. **Shapes**: noisy and noise the same -> the same."""
    clean: Tensor = (noisy - (1 - kept) ** 0.5 * noise) / kept**0.5
    return clean


@full_precision
def ddim_step(noisy: Tensor, noise: Tensor, kept: float, kept_next: float) -> Tensor:
    """One deterministic step (eta = 0) from the noise level `kept` to `kept_next`, 1 for no noise.

    `noise` is a network's estimate of the noise in `noisy`. Less of it is added again to the signal that remains.

    **Shapes**: noisy and noise the same -> the same.
    """
    return add_noise(remove_noise(noisy, noise, kept), noise, kept_next)
