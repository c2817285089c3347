"""Every loss of lixlib.functional a second time, as a plain transcription of its definition, to be read.

Pixels are permuted to a list of rows, the differences of all pairs are tensors, and sums over pairs are loops. Nothing
here is fast, small or safe at extreme inputs. tests/functional/test_reference.py compares the library's functions with
these, and tools/benchmarks/losses.py measures what the library's forms save.

Names and arguments are those of lixlib.functional. The teacher is a constant; 255 is the ignored label, and at least
one pixel has another.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lixlib.core.constants import IGNORE

# Logits (B, C, H, W) or (N, C), target (B, H, W) or (N,)


def rows(values: Tensor, target: Tensor | None = None) -> Tensor:
    """The pixels of a map as rows; with a target, only those that have a label. **Shapes**: (B, C, ...) -> (N, C)."""
    values = values.movedim(1, -1).reshape(-1, values.shape[1])
    return values if target is None else values[target.flatten() != IGNORE]


def labels(target: Tensor) -> Tensor:
    return target[target != IGNORE]


def kl(p: Tensor, q: Tensor) -> Tensor:
    """KL(p || q) of the distributions in the last dimension."""
    return (p * (p / q).log()).sum(-1)


def kd_loss(student: Tensor, teacher: Tensor, target: Tensor | None = None, *, temperature: float = 1.0) -> Tensor:
    s, t = ((rows(z, target) / temperature).softmax(1) for z in (student, teacher))
    return temperature**2 * kl(t, s).mean()


def cwkd_loss(student: Tensor, teacher: Tensor, *, temperature: float = 4.0) -> Tensor:
    s, t = ((z.flatten(2) / temperature).softmax(2) for z in (student, teacher))  # a distribution over the positions
    return temperature**2 * kl(t, s).mean()


def decouple(
    student: Tensor, teacher: Tensor, target: Tensor, *, temperature: float = 1.0
) -> tuple[Tensor, Tensor, Tensor]:
    """TCLD, NCLD and KL of the labelled pixels, in a list each."""
    y = labels(target)
    (b_s, q_s, p_s), (b_t, q_t, p_t) = (split(rows(z, target) / temperature, y) for z in (student, teacher))
    return kl(b_t, b_s), kl(q_t, q_s), kl(p_t, p_s)


def split(z: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(p_t, 1 - p_t); q over the other classes; p. **Shapes**: (N, C), (N,) -> (N, 2), (N, C - 1), (N, C)."""
    n, classes = z.shape
    is_target = F.one_hot(y, classes).bool()
    p = z.softmax(1)
    hit = p[is_target]
    return torch.stack([hit, 1 - hit], dim=1), z[~is_target].view(n, classes - 1).softmax(1), p


def dkd_loss(
    student: Tensor,
    teacher: Tensor,
    target: Tensor,
    *,
    alpha: float = 1.0,
    beta: float = 8.0,
    temperature: float = 1.0,
) -> Tensor:
    tcld, ncld, _ = decouple(student, teacher, target, temperature=temperature)
    return temperature**2 * (alpha * tcld + beta * ncld).mean()


def dwld_loss(
    student: Tensor, teacher: Tensor, target: Tensor, ncld_weight: Tensor, *, temperature: float = 1.0
) -> Tensor:
    y = labels(target)
    (b_s, q_s, _), (b_t, q_t, _) = (split(rows(z, target) / temperature, y) for z in (student, teacher))
    weight = rows(ncld_weight, target)
    weight = weight[~F.one_hot(y, weight.shape[1]).bool()].view_as(q_s)
    return temperature**2 * (kl(b_t, b_s) + (weight * q_t * (q_t / q_s).log()).sum(1)).mean()


def rarity_weights(
    logits: Tensor, target: Tensor | None = None, *, gamma: float = 1.0, lowest: float = 0.01, temperature: float = 1.0
) -> Tensor:
    share = (rows(logits, target) / temperature).softmax(1).mean(0)
    return (len(share) * share).clamp(min=lowest) ** -gamma


def rwld_loss(student: Tensor, teacher: Tensor, target: Tensor, weight: Tensor, *, temperature: float = 1.0) -> Tensor:
    p_s, p_t = ((rows(z, target) / temperature).softmax(1) for z in (student, teacher))
    weight = weight if weight.dim() == 1 else rows(weight, target)
    return temperature**2 * (weight * (p_t * (p_t / p_s).log() - p_t + p_s)).sum(1).mean()


def dist_loss(
    student: Tensor,
    teacher: Tensor,
    target: Tensor | None = None,
    *,
    beta: float = 1.0,
    gamma: float = 1.0,
    temperature: float = 1.0,
) -> Tensor:
    s, t = ((rows(z, target) / temperature).softmax(1) for z in (student, teacher))
    inter, intra = 1 - pearson(s, t).mean(), 1 - pearson(s.T, t.T).mean()
    return temperature**2 * (beta * inter + gamma * intra)


def pearson(a: Tensor, b: Tensor) -> Tensor:
    """The correlation of every row of a with the same row of b. **Shapes**: (N, D), (N, D) -> (N,)."""
    a, b = (v - v.mean(1, keepdim=True) for v in (a, b))
    norms: Tensor = a.norm(dim=1) * b.norm(dim=1)
    return (a * b).sum(1) / (norms + 1e-8)


def wsld_loss(student: Tensor, teacher: Tensor, target: Tensor, *, temperature: float = 2.0) -> Tensor:
    y, s, t = labels(target), rows(student, target), rows(teacher, target)
    ce_s, ce_t = (F.cross_entropy(z, y, reduction="none").detach() for z in (s, t))
    weight = 1 - (-(ce_s / (ce_t + 1e-7)).clamp(min=0)).exp()
    soft = -((t / temperature).softmax(1) * (s / temperature).log_softmax(1)).sum(1)
    return temperature**2 * (weight * soft).mean()


def confidence(logits: Tensor, *, kind: str = "negentropy") -> Tensor:
    p = logits.softmax(1)
    if kind == "squares":
        return (p * p).sum(1)
    if kind == "max":
        return p.amax(1)
    entropy = -(p * p.log()).sum(1)
    return entropy if kind == "entropy" else 1 - entropy / math.log(p.shape[1])


# Feature maps (B, C, H, W)


def one_size(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Both maps average-pooled to the smaller height and the smaller width."""
    size = min(student.shape[2], teacher.shape[2]), min(student.shape[3], teacher.shape[3])
    s, t = (f if f.shape[2:] == size else F.adaptive_avg_pool2d(f, size) for f in (student, teacher))
    return s, t


def attention_transfer_loss(student: Tensor, teacher: Tensor, *, p: float = 2) -> Tensor:
    s, t = (F.normalize(f.abs().pow(p).mean(1).flatten(1), dim=1) for f in one_size(student, teacher))
    return (s - t).pow(2).mean()


def fitnet_loss(student: Tensor, teacher: Tensor) -> Tensor:
    return (student - teacher).pow(2).mean()


def factor_transfer_loss(student: Tensor, teacher: Tensor, *, p: int = 1) -> Tensor:
    s, t = (F.normalize(f.flatten(1), dim=1) for f in (student, teacher))
    return (s - t).abs().mean() if p == 1 else (s - t).norm(p=p, dim=1).mean()


def nst_loss(student: Tensor, teacher: Tensor) -> Tensor:
    s, t = (F.normalize(f.flatten(2), dim=2) for f in one_size(student, teacher))

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a[:, :, None] * b[:, None]).sum(3).pow(2).mean()  # (B, C, C', HW)

    return kernel(t, t) + kernel(s, s) - 2 * kernel(s, t)


def rkd_loss(student: Tensor, teacher: Tensor, *, distance_weight: float = 25.0, angle_weight: float = 50.0) -> Tensor:
    """At least 2 samples."""
    batch = len(student)
    distances, angles = [], []
    for x in (student.flatten(1), teacher.flatten(1)):
        difference = x[None] - x[:, None]  # (B, B, D): x_j - x_i
        distance = difference.norm(dim=2)
        distances.append(distance / (distance.sum() / (batch * (batch - 1))))
        direction = F.normalize(difference, dim=2)
        angles.append(torch.einsum("ijd,ikd->ijk", direction, direction))
    (d_s, d_t), (a_s, a_t) = distances, angles
    return distance_weight * F.smooth_l1_loss(d_s, d_t) + angle_weight * F.smooth_l1_loss(a_s, a_t)


def sp_loss(student: Tensor, teacher: Tensor) -> Tensor:
    s, t = (F.normalize(f.flatten(1) @ f.flatten(1).T, dim=1) for f in (student, teacher))
    return (s - t).pow(2).sum() / len(s) ** 2


def vid_loss(mean: Tensor, teacher: Tensor, variance: Tensor) -> Tensor:
    variance = variance[None, :, None, None].expand_as(mean)
    return (0.5 * ((mean - teacher).pow(2) / variance + variance.log())).mean()


def pad_loss(student: Tensor, teacher: Tensor, log_variance: Tensor) -> Tensor:
    return ((teacher - student).pow(2) / (1e-6 + log_variance.exp()) + log_variance).mean()


def maskd_loss(student: Tensor, teacher: Tensor, tokens: Tensor) -> Tensor:
    masks = token_masks(teacher, tokens)[:, :, None]  # (B, K, 1, H, W)
    masked = (masks * (student - teacher)[:, None]).pow(2).sum((3, 4))  # sum of a (B, K, C, H, W)
    return 0.5 * (masked / (masks.sum((3, 4)) + 1e-5)).mean()


def maskd_diversity(teacher: Tensor, tokens: Tensor) -> Tensor:
    """At least 2 tokens."""
    masks = token_masks(teacher, tokens).flatten(2)
    pairs = []
    for k, a in enumerate(masks.unbind(1)):
        for other, b in enumerate(masks.unbind(1)):
            if other != k:
                pairs.append(2 * (a * b).sum(1) / (a.pow(2).sum(1) + b.pow(2).sum(1)))
    return torch.stack(pairs).mean()


def token_masks(teacher: Tensor, tokens: Tensor) -> Tensor:
    """sigmoid(<m_k, x_hw>). **Shapes**: (B, C, H, W), (K, C) -> (B, K, H, W)."""
    return torch.einsum("kc,bchw->bkhw", tokens, teacher).sigmoid()


def omni_contrast_loss(
    student: Tensor, teacher: Tensor, *, groups: int, pool: int, patch: int, temperature: float = 0.07
) -> Tensor:
    student, teacher = (F.max_pool2d(f, pool) for f in (student, teacher))
    batch, channels, height, width = student.shape
    same_group = torch.eye(groups, dtype=torch.bool, device=student.device)[:, None]
    total = student.new_zeros(())
    for image in range(batch):
        for top in range(0, height, patch):
            for left in range(0, width, patch):
                a, b = (f[image, :, top : top + patch, left : left + patch] for f in (student, teacher))
                a, b = (f.reshape(groups, channels // groups, -1).permute(2, 0, 1) for f in (a, b))
                # of every pixel i and group m of the student with every j and n of the teacher: (P^2, M, P^2, M)
                similarity = -(a[:, :, None, None] - b).abs().sum(4) / temperature
                positive = similarity.diagonal(dim1=0, dim2=2).diagonal(dim1=0, dim2=1)  # (P^2, M)
                negatives = similarity.masked_fill(same_group, -torch.inf).flatten(2)
                total += (torch.cat([positive[..., None], negatives], dim=2).logsumexp(2) - positive).sum()
    return total / (height * width * batch)


# Kernels: samples are rows, (..., n, d)


def gram(x: Tensor, *, kernel: str = "linear", bandwidth: float | None = None) -> Tensor:
    if kernel == "linear":
        return x @ x.mT
    difference = x[..., :, None, :] - x[..., None, :, :]  # (..., n, n, d)
    n = x.shape[-2]
    if kernel == "laplace":
        distance = difference.abs().sum(-1)
        scale = distance.detach().sum((-2, -1), keepdim=True) / (n * (n - 1)) if bandwidth is None else bandwidth
        return (-distance / scale).exp()
    square = difference.pow(2).sum(-1)
    scale = (square.detach().sum((-2, -1), keepdim=True) / (n * (n - 1))).sqrt() if bandwidth is None else bandwidth
    return (-square / (2 * scale**2)).exp()


def hsic(k: Tensor, l: Tensor) -> Tensor:  # noqa: E741
    n = k.shape[-1]
    centring = torch.eye(n, dtype=k.dtype, device=k.device) - 1 / n
    product = k @ centring @ l @ centring
    return product.diagonal(dim1=-2, dim2=-1).sum(-1) / (n - 1) ** 2


def cka(k: Tensor, l: Tensor) -> Tensor:  # noqa: E741
    return hsic(k, l) / (hsic(k, k) * hsic(l, l)).sqrt()


def linear_cka(x: Tensor, y: Tensor) -> Tensor:
    return cka(gram(x), gram(y))
