"""Kernel Gram matrices, HSIC and centred kernel alignment (Kornblith et al., ICML 2019; LIX Eqs. (13)-(16))."""

import math
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from lixlib.core.checks import check_choice, full_precision, shape
from lixlib.functional.norms import ROUNDING, unit
from lixlib.functional.once import once
from lixlib.functional.softmax import Context

KERNELS = ("linear", "gaussian", "laplace")


@full_precision
def gram(x: Tensor, *, kernel: str = "linear", bandwidth: float | None = None) -> Tensor:
    """The kernel of every two rows a, b of x: LIX Eqs. (13)-(14).

    "linear" a . b; "gaussian" exp(-||a - b||_2^2 / (2 s^2)); "laplace" exp(-||a - b||_1 / s). Bandwidth None: s is the
    mean distance of two different rows of that x, L1 for "laplace", root mean square for "gaussian", a constant to the
    gradient. Rows that are all equal have no such s: their Gram is all ones.

    **Shapes**: (..., n, d) -> (..., n, n); no n x n x d temporary.

    Raises:
        ValueError: an unknown kernel, a bandwidth that is not above 0, or x with fewer than 2 dimensions.
    """
    check_choice("kernel", kernel, KERNELS)
    if x.dim() < 2:
        raise ValueError(f"x must be (..., n, d), found {shape(x)}")
    if bandwidth is not None and not bandwidth > 0:
        raise ValueError(f"bandwidth must be above 0, or None for the mean pairwise distance, found {bandwidth}")
    if kernel == "linear":
        return x @ x.mT
    *batch, n, d = x.shape
    similar: Tensor = _Similarity.apply(x.reshape(-1, n, d).contiguous(), kernel, bandwidth)
    return similar.view(*batch, n, n)


@full_precision
def hsic(k: Tensor, l: Tensor, *, unbiased: bool = False) -> Tensor:  # noqa: E741
    """Hilbert-Schmidt independence criterion tr(K H L H) / (n - 1)^2, H = I - 11'/n: LIX Eq. (15).

    Unbiased: the estimator of Song et al. (JMLR 2012), which ignores the diagonals and may be negative.

    **Shapes**: symmetric Grams (..., n, n), (..., n, n) -> (...).

    Raises:
        ValueError: unequal or not square Grams; fewer than 2 samples, or fewer than 4 for the unbiased estimator.
    """
    n = _check_grams(k, l)
    if not unbiased:
        return (centre(k) * centre(l)).sum((-2, -1)) / (n - 1) ** 2
    if n < 4:
        raise ValueError(f"unbiased HSIC needs at least 4 samples, found {n}")
    diagonal = torch.eye(n, dtype=torch.bool, device=k.device)
    k, l = k.masked_fill(diagonal, 0), l.masked_fill(diagonal, 0)  # noqa: E741
    rows_k, rows_l = k.sum(-1), l.sum(-1)
    means = rows_k.sum(-1) * rows_l.sum(-1) / ((n - 1) * (n - 2))
    return ((k * l).sum((-2, -1)) + means - 2 / (n - 2) * (rows_k * rows_l).sum(-1)) / (n * (n - 3))


@full_precision
def cka(k: Tensor, l: Tensor) -> Tensor:  # noqa: E741
    """Centred kernel alignment HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)): LIX Eq. (16); 0 for a constant feature.

    **Shapes**: symmetric Grams (..., n, n), (..., n, n) -> (...), in [0, 1] for positive semi-definite kernels.

    Raises:
        ValueError: unequal or not square Grams, or fewer than 2 samples.
    """
    _check_grams(k, l)
    aligned: Tensor = _Alignment.apply(k, l)
    return aligned


@full_precision
def linear_cka(x: Tensor, y: Tensor) -> Tensor:
    """CKA of two linear Grams without the Grams: ||X'Y||_F^2 / (||X'X||_F ||Y'Y||_F), columns centred; O(n d^2).

    **Shapes**: (..., n, d1), (..., n, d2) -> (...); 0 for a constant feature.

    Raises:
        ValueError: different numbers of rows, or fewer than 2.
    """
    if x.dim() < 2 or y.dim() < 2 or x.shape[-2] != y.shape[-2] or x.shape[-2] < 2:
        raise ValueError(f"x and y must be (..., n, d1) and (..., n, d2), n >= 2: found {shape(x)} and {shape(y)}")
    x, y = (unit(v - v.mean(-2, keepdim=True), (-2, -1), uncentred=v) for v in (x, y))
    norms: list[Tensor] = [torch.linalg.matrix_norm(a.mT @ b) for a, b in ((x, y), (x, x), (y, y))]
    xy, xx, yy = norms
    return xy / xx.where(xx > 0, 1) * (xy / yy.where(yy > 0, 1))


def centre(k: Tensor) -> Tensor:
    """H K H, by subtracting row and column means. **Shapes**: (..., n, n) -> the same."""
    rows, columns = k.mean(-1, keepdim=True), k.mean(-2, keepdim=True)
    return (k - rows).sub_(columns - rows.mean(-2, keepdim=True))


def _check_grams(k: Tensor, l: Tensor) -> int:  # noqa: E741
    n = k.shape[-1]
    if k.shape != l.shape or k.dim() < 2 or k.shape[-2] != n or n < 2:
        raise ValueError(f"Gram matrices must be (..., n, n), n >= 2: found {shape(k)} and {shape(l)}")
    return n


class _OfPairs(Context, Protocol):
    laplace: bool


class _Similarity(Function):
    """exp(-distance / scale) of every two rows, each pair taken once. **Shapes**: (B, n, d) -> (B, n, n)."""

    @staticmethod
    def forward(ctx: _OfPairs, x: Tensor, kernel: str, bandwidth: float | None) -> Tensor:
        ctx.laplace = kernel == "laplace"
        batch, n, _ = x.shape
        count = n * (n - 1) // 2
        with_self = x.new_ones(batch, count + 1)  # the last for i = j
        pairs = with_self[:, :count]
        for row, each in zip(pairs, x, strict=True):
            # pdist: 10 times faster than cdist on a CPU; exactly 0 between equal rows, and so is its gradient there
            row.copy_(F.pdist(each, p=1 if ctx.laplace else 2))
        if not ctx.laplace:
            pairs.square_().div_(2)
        if bandwidth is None:
            scale = pairs.sum(1, keepdim=True).div_(max(count, 1)).mul_(1 if ctx.laplace else 2)
            scale.masked_fill_(scale == 0, 1)
        else:
            scale = x.new_full((batch, 1), bandwidth if ctx.laplace else bandwidth**2)
        pairs.div_(-math.log(2) * scale).exp2_()  # exp of float32 takes a CPU three times as long
        ctx.save_for_backward(x, with_self, scale)
        return with_self.index_select(1, _places(n, x.device)).view(batch, n, n)

    @staticmethod
    def backward(ctx: _OfPairs, gradient: Tensor) -> tuple[Tensor, None, None]:
        x, with_self, scale = ctx.saved_tensors
        with torch.no_grad():
            found = _Similarity.slope(ctx.laplace, gradient, x, with_self, scale)
        return once(found, x, "gram with a Laplace or Gaussian kernel"), None, None

    @staticmethod
    def slope(laplace: bool, gradient: Tensor, x: Tensor, with_self: Tensor, scale: Tensor) -> Tensor:
        batch, n, _ = x.shape
        gradient = gradient.reshape(batch, n * n)
        i, j = torch.triu_indices(n, n, 1, device=x.device)
        distances = gradient.index_select(1, i * n + j).add_(gradient.index_select(1, j * n + i))  # of the Gram ...
        distances.mul_(with_self[:, :-1]).div_(-scale)  # ... and of the distances
        if laplace:
            # the last argument is the distances, which are not needed where p = 1
            rows = [
                torch.ops.aten._pdist_backward(each, row, 1.0, each) for each, row in zip(distances, x, strict=True)
            ]
            return torch.stack(rows)
        weights = torch.cat([distances, x.new_zeros(batch, 1)], dim=1)
        weights = weights.index_select(1, _places(n, x.device)).view(batch, n, n)
        centred = x - x.mean(1, keepdim=True)  # sum_j w_ij (x_i - x_j), whose terms are then of the size of the result
        return centred * weights.sum(-1, keepdim=True) - weights @ centred


def _places(n: int, device: torch.device) -> Tensor:
    """Where in the list of `F.pdist`, with one entry more at its end for i = j, each entry of a Gram stands.

    **Shapes**: -> (n * n,).
    """
    i = torch.arange(n, dtype=torch.int32 if n < 2**15 else torch.int64, device=device)
    upper = (i * (2 * n - 3 - i) // 2 - 1).unsqueeze(1) + i
    return torch.where(i.unsqueeze(1) < i, upper, upper.T).fill_diagonal_(n * (n - 1) // 2).flatten()


class _Alignment(Function):
    """CKA = <K, L> / (||K|| ||L||) of the centred K and L; its gradient in K is (L / ||L|| - CKA K / ||K||) / ||K||.

    **Shapes**: (..., n, n), (..., n, n) -> (...).
    """

    @staticmethod
    def forward(ctx: Context, k: Tensor, l: Tensor) -> Tensor:  # noqa: E741
        inputs = k, l
        (k, of_k), (l, of_l) = _centred(k), _centred(l)  # noqa: E741
        product = 1 / of_k / of_l
        aligned = (k * l).sum((-2, -1), keepdim=True) * product
        need_k, need_l = ctx.needs_input_grad
        gradient_l = (k * product).addcmul_(l, aligned / of_l.square(), value=-1) if need_l else None
        gradient_k = l.mul_(product).addcmul_(k, aligned / of_k.square(), value=-1) if need_k else None
        ctx.save_for_backward(*inputs, gradient_k, gradient_l)
        return aligned[..., 0, 0]

    @staticmethod
    def backward(ctx: Context, gradient: Tensor) -> tuple[Tensor | None, ...]:
        k, l, *found = ctx.saved_tensors  # noqa: E741
        if torch.is_grad_enabled():  # create_graph
            k, l = k.view_as(k), l.view_as(l)  # noqa: E741  # two, also if they are one
            a, b = (unit(centre(gram), (-2, -1), uncentred=gram) for gram in (k, l))
            learnt = [each for each, needed in zip((k, l), ctx.needs_input_grad, strict=True) if needed]
            twice = iter(torch.autograd.grad((a * b).sum((-2, -1)), learnt, gradient, create_graph=True))
            return tuple(next(twice) if needed else None for needed in ctx.needs_input_grad)
        return tuple(None if each is None else each * gradient[..., None, None] for each in found)


def _centred(gram: Tensor) -> tuple[Tensor, Tensor]:
    """A symmetric Gram, centred, and its length then: infinite where it was constant, but for the rounding."""
    rows = gram.mean(-1, keepdim=True)
    mean = rows.mean(-2, keepdim=True)
    centred = (gram - rows).sub_(rows.mT - mean)
    length: Tensor = torch.linalg.vector_norm(centred, dim=(-2, -1), keepdim=True)
    floor = mean.abs_().mul_(ROUNDING * torch.finfo(gram.dtype).eps * gram.shape[-1])
    return centred, length.masked_fill_(length <= floor, math.inf)
