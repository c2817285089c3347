"""Masked knowledge distillation (Huang et al., ICLR 2023)."""

import torch
from torch import Tensor

from lixlib.core.checks import check_same_shape, full_precision, shape

BLIND = 1e-24  # below this sum of two squared masks, which are then almost 0, their quotient has no digits


@full_precision
def maskd_loss(student: Tensor, teacher: Tensor, tokens: Tensor) -> Tensor:
    """Sum over positions of M_k^2 (student - teacher)^2 / (sum of M_k + 1e-5), mean over images, k and C, halved.

    M_k is what token k sees in the teacher, see `maskd_masks`: a constant to the gradient. The mask is squared, because
    the two maps are masked before they are subtracted.

    **Shapes**: student and teacher (B, C, H, W), tokens (K, C) -> (); no (B, K, C, H, W) temporary.

    Raises:
        ValueError: unequal shapes, or tokens that are not (K, C).
    """
    check_same_shape(student, teacher)
    teacher = teacher.detach()
    masks = maskd_masks(teacher, tokens.detach()).flatten(2)
    masked: Tensor = torch.einsum("bkn,bcn->bkc", masks.square(), (student - teacher).flatten(2).square())
    return (masked / (masks.sum(2, keepdim=True) + 1e-5)).mean() / 2


@full_precision
def maskd_diversity(teacher: Tensor, tokens: Tensor) -> Tensor:
    """Dice overlap 2 <M_k, M_l> / (|M_k|^2 + |M_l|^2) of every two masks k != l, mean over pairs and images.

    In [0, 1]; it keeps tokens from becoming equal while they are trained. 0 for a single token.

    **Shapes**: teacher (B, C, H, W), tokens (K, C) -> ().

    Raises:
        ValueError: tokens that are not (K, C).
    """
    masks = maskd_masks(teacher.detach(), tokens).flatten(2)
    products = masks @ masks.mT
    squares = products.diagonal(dim1=1, dim2=2)
    total = squares.unsqueeze(1) + squares.unsqueeze(2)
    overlap = 2 * products / total.where(total > BLIND, torch.inf)
    k = len(tokens)
    return overlap.masked_fill(torch.eye(k, dtype=torch.bool, device=masks.device), 0).sum() / max(
        len(teacher) * k * (k - 1), 1
    )


@full_precision
def maskd_masks(teacher: Tensor, tokens: Tensor) -> Tensor:
    """M_k = sigmoid(<token k, teacher>) at every position. **Shapes**: (B, C, H, W), (K, C) -> (B, K, H, W).

    Raises:
        ValueError: tokens that are not (K, C).
    """
    if teacher.dim() != 4 or tokens.dim() != 2 or tokens.shape[1] != teacher.shape[1]:
        raise ValueError(f"tokens must be (K, C) for maps (B, C, H, W), found {shape(tokens)} and {shape(teacher)}")
    seen: Tensor = torch.einsum("kc,bchw->bkhw", tokens, teacher)
    return seen.sigmoid()
