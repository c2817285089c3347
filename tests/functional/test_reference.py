"""Every loss equals its plain transcription: value and gradient, on random inputs."""

import pytest
import torch

from lixlib import functional
from lixlib.functional import reference


def logits(*shape: int, ignored: float | None = 0.3):
    """Student, teacher, and target unless `ignored` is None."""
    student, teacher = (3 * torch.randn(shape, dtype=torch.float64) for _ in range(2))
    if ignored is None:
        return student, teacher
    target = torch.randint(shape[1], shape[:1] + shape[2:])
    return student, teacher, target.where(torch.rand(target.shape) >= ignored, 255)


def weighted(*shape: int):
    """Logits, target, and a weight of every entry."""
    student, teacher, target = logits(*shape)
    return student, teacher, target, 10 * torch.rand_like(student)


def weighted_classes(*shape: int):
    """Logits, target, and a weight of every class."""
    student, teacher, target = logits(*shape)
    return student, teacher, target, 10 * torch.rand(shape[1], dtype=torch.float64)


def seen(*shape: int):
    """A teacher's logits, and target."""
    return logits(*shape)[1:]


def maps(*shapes: tuple[int, ...]):
    """One map of each shape, half of its entries 0, as ReLU leaves them, at different scales."""
    return [(i + 1) * torch.randn(shape, dtype=torch.float64).relu() for i, shape in enumerate(shapes)]


def dense(*shapes: tuple[int, ...]):
    return [torch.randn(shape, dtype=torch.float64) for shape in shapes]


def grams(*shape: int, kernel: str):
    return [functional.gram(x, kernel=kernel) for x in dense(shape, shape)]


CASES = []


def case(name: str, make, *args, inputs: dict | None = None, **options) -> None:
    words = [name, *(str(arg).replace(" ", "") for arg in args), *(f"{k}={v}" for k, v in options.items())]
    CASES.append(pytest.param(name, lambda: make(*args, **(inputs or {})), options, id=" ".join(words)))


for shape in ((2, 5, 3, 7), (1, 2, 4, 9), (11, 6)):
    for temperature in (1.0, 4.0):
        for name in ("kd_loss", "dkd_loss", "dist_loss", "wsld_loss", "decouple"):
            case(name, logits, *shape, temperature=temperature)
        for name in ("kd_loss", "dist_loss", *(["cwkd_loss"] if len(shape) == 4 else [])):
            case(name, logits, *shape, inputs={"ignored": None}, temperature=temperature)
        case("dwld_loss", weighted, *shape, temperature=temperature)
        case("rwld_loss", weighted, *shape, temperature=temperature)
        case("rwld_loss", weighted_classes, *shape, temperature=temperature)
        case("rarity_weights", seen, *shape, temperature=temperature)
for kind in ("negentropy", "entropy", "squares", "max"):
    case("confidence", dense, (2, 5, 3, 7), kind=kind)
case("dkd_loss", logits, 2, 5, 3, 7, alpha=0.5, beta=2.0)
case("dist_loss", logits, 2, 5, 3, 7, beta=2.0, gamma=0.5)
case("rarity_weights", seen, 2, 5, 3, 7, gamma=0.5, lowest=0.9)

one = (1, 4, 3, 5)
for pair in (
    ((2, 4, 3, 7), (2, 6, 3, 7)),
    ((2, 4, 6, 14), (2, 6, 3, 7)),
    ((3, 4, 3, 7), (3, 4, 5, 8)),
    ((2, 3, 2, 9), (2, 3, 5, 4)),
    (one, one),
):
    case("attention_transfer_loss", maps, *pair)
    case("attention_transfer_loss", dense, *pair, p=3)
    case("nst_loss", maps, *pair)
for pair in (((5, 4, 3, 7), (5, 6, 2, 2)), ((3, 4, 3, 7), (3, 4, 3, 7)), ((8, 12), (8, 5))):
    case("rkd_loss", maps, *pair)
    case("rkd_loss", dense, *pair, distance_weight=1.0, angle_weight=2.0)
    case("sp_loss", maps, *pair)
case("rkd_loss", dense, (2, 9), (2, 4))
case("sp_loss", dense, one, (1, 3, 2, 2))
for shape in ((3, 6, 4, 9), one):
    for name in ("fitnet_loss", "factor_transfer_loss"):
        case(name, maps, shape, shape)
        case(name, dense, shape, shape)
    case("factor_transfer_loss", dense, shape, shape, p=2)
    case("pad_loss", dense, shape, shape, shape)
    case("vid_loss", lambda shape: [*dense(shape, shape), 0.1 + 5 * torch.rand(shape[1]).double()], shape)
    case("maskd_loss", dense, shape, shape, (5, shape[1]))
    case("maskd_diversity", dense, shape, (5, shape[1]))
case("pad_loss", dense, (7, 5), (7, 5), (7, 5))
case("omni_contrast_loss", dense, (2, 8, 8, 12), (2, 8, 8, 12), groups=4, pool=2, patch=2)
case("omni_contrast_loss", maps, (1, 6, 12, 24), (1, 6, 12, 24), groups=2, pool=2, patch=3, temperature=0.5)
case("omni_contrast_loss", maps, (2, 6, 4, 8), (2, 6, 4, 8), groups=3, pool=1, patch=4, temperature=1.0)

for shape in ((9, 4), (2, 3, 6, 20)):
    for kernel in ("linear", "gaussian", "laplace"):
        case("gram", dense, shape, kernel=kernel)
        case("hsic", grams, *shape, inputs={"kernel": kernel})
        case("cka", grams, *shape, inputs={"kernel": kernel})
    case("linear_cka", dense, shape, (*shape[:-1], 7))
case("gram", dense, (9, 4), kernel="gaussian", bandwidth=1.5)
case("gram", dense, (9, 4), kernel="laplace", bandwidth=4.0)


@pytest.mark.parametrize("name, make, options", CASES)
def test_equals_the_plain_transcription(name, make, options):
    for seed in range(3):
        torch.manual_seed(seed)
        inputs = list(make())
        # the teacher is the second argument; of maskd_diversity the first, and masks are constants in maskd_loss
        learnt = {
            "maskd_diversity": [1],
            "maskd_loss": [0],
            "pad_loss": [0, 2],
            "vid_loss": [0, 2],
            "dwld_loss": [0, 3],
            "rarity_weights": [],
        }
        variables = [inputs[i].requires_grad_() for i in learnt.get(name, [0])]
        # a sum with weights, where the result is a map
        values, gradients = [], []
        for module in (functional, reference):
            result = getattr(module, name)(*inputs, **options)
            if name == "decouple":
                labelled = inputs[2] != 255
                result = torch.stack([m[labelled] if module is functional else m for m in result])
            values.append(result.detach())
            weight = torch.linspace(1, 2, result.numel(), dtype=torch.float64).view_as(result)
            gradients.append(torch.autograd.grad((weight * result).sum(), variables) if variables else ())
        torch.testing.assert_close(*values, rtol=0, atol=1e-9)
        torch.testing.assert_close(*gradients, rtol=0, atol=1e-8)


def test_every_function_is_compared():
    assert {param.values[0] for param in CASES} == set(functional.__all__)
