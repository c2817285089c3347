"""What every function of lixlib.functional keeps, whatever it is given: drawn by hypothesis, the same draws every time.

Value and gradient are finite, and the gradient is below the bound that `CASES` states for each function; the teacher
gets none, and an ignored pixel gets exactly none, whatever it holds; the inputs stay as they are; how a tensor lies in
memory does not matter; and in float64 the result is that of lixlib/functional/reference.py.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lixlib import functional
from lixlib.functional import reference
from lixlib.functional.dist import CONSTANT
from lixlib.functional.norms import FLOOR, ROUNDING

DRAWS = settings(derandomize=True, max_examples=25, deadline=None, database=None)
LOGIT = ("kd_loss", "dkd_loss", "dist_loss", "wsld_loss", "dwld_loss", "rwld_loss", "decouple")  # these take a target
DTYPES = {"float64": torch.float64, "float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
LAYOUTS = ("contiguous", "channels_last", "permuted", "expanded", "sliced")


@dataclass
class Case:
    """Arguments of one call; which of them are learnt; the target's place among them."""

    args: list
    options: dict = field(default_factory=dict)
    learnt: tuple[int, ...] = (0,)
    target: int | None = None

    def with_args(self, change: Callable[[Tensor], Tensor]) -> "Case":
        args = [change(value) if isinstance(value, Tensor) else value for value in self.args]
        return Case(args, self.options, self.learnt, self.target)

    def run(self, function: Callable) -> tuple[Tensor, list[Tensor]]:
        """The value, the sum where it is a map, and the gradient of each learnt argument."""
        for i in self.learnt:
            self.args[i].requires_grad_()
        result = function(*self.args, **self.options)
        result = result if isinstance(result, Tensor) else torch.cat([values.flatten() for values in result])
        return result.detach(), list(torch.autograd.grad(result.sum(), [self.args[i] for i in self.learnt]))


def lay(values: Tensor, layout: str) -> Tensor:
    """The same values, lying otherwise in memory; "expanded" repeats the first row of the batch."""
    if layout == "channels_last" and values.dim() == 4:
        return values.to(memory_format=torch.channels_last)
    if layout == "permuted" and values.dim() > 1:
        return values.mT.contiguous().mT
    if layout == "expanded":
        return values[:1].clone().expand_as(values)
    if layout == "sliced":
        wide = values.new_zeros(*values.shape[:-1], 2 * values.shape[-1] + 1)
        wide[..., 1::2] = values
        return wide[..., 1::2]
    return values.clone()


def numbers(draw, shape: tuple[int, ...], generator: torch.Generator, scale: float, dead: bool = True) -> Tensor:
    """Random, or zero, constant, or with an image or a channel of zeros."""
    values = scale * torch.randn(shape, generator=generator, dtype=torch.float64).tanh()
    kind = draw(st.sampled_from(["random", "random", "relu", "zero", "constant", "zero image", "zero channel"]))
    if kind == "relu":
        return values.relu()
    if dead and kind == "zero":
        return torch.zeros_like(values)
    if dead and kind == "constant":
        return torch.full_like(values, scale)
    if dead and kind.startswith("zero "):
        values.select(0 if kind == "zero image" else 1, 0).zero_()
    return values


def sizes(draw, least_batch: int = 1, channels: int = 4) -> tuple[int, int, int, int]:
    side = st.sampled_from([1, 2, 5])
    return draw(st.sampled_from([least_batch, 3, 4])), draw(st.integers(2, channels)), draw(side), draw(side)


def scale_of(draw) -> float:
    return draw(st.sampled_from([1e-5, 1e-2, 1.0, 30.0, 1e4]))


def logits(draw, generator: torch.Generator, name: str, plain: bool) -> Case:
    """Student, teacher, and for most a target; in the hostile draws NaN at ignored pixels and classes switched off."""
    batch, classes, height, width = sizes(draw, channels=6)
    shape = batch, classes, height, width
    if not (plain and name == "cwkd_loss"):
        shape = draw(st.sampled_from([shape, (batch * height * width, classes)]))
    scale = draw(st.sampled_from([0.3, 3.0])) if plain else scale_of(draw)
    student, teacher = (numbers(draw, shape, generator, scale, dead=not plain) for _ in range(2))
    if plain and name == "dist_loss":  # not even one pixel may have equal logits
        student, teacher = scale * torch.randn(2, *shape, generator=generator, dtype=torch.float64)
    options = {"temperature": draw(st.sampled_from([1.0, 4.0]))}
    args = [student, teacher]
    target = torch.randint(classes, shape[:1] + shape[2:], generator=generator)
    if name in LOGIT:
        ignored = draw(st.sampled_from([0.0, 0.4] if plain else [0.0, 0.4, 1.0]))
        hidden = torch.rand(target.shape, generator=generator) < ignored
        if plain:
            hidden.view(-1)[0] = False
        args.append(target.masked_fill(hidden, 255))
    if name == "rwld_loss":
        args.append(10 * torch.rand(classes, generator=generator, dtype=torch.float64))
    if name == "dwld_loss":
        args.append(10 * torch.rand(shape, generator=generator, dtype=torch.float64))
        options |= {} if plain else {"divergence": draw(st.sampled_from(["kl", "bregman"]))}
    if name == "confidence":
        args, options = [student], {"kind": draw(st.sampled_from(["negentropy", "entropy", "squares", "max"]))}
    if not plain:
        off = draw(st.sampled_from(["", "", "both", "teacher"]))
        for values, is_off in ((student, off == "both"), (teacher, off)):
            if is_off:
                values.select(1, classes - 1).fill_(-math.inf)
        if name in LOGIT:
            bad = draw(st.sampled_from([math.nan, math.inf, -math.inf, 7.0]))
            for values in (v for v in args if v.dtype == torch.float64 and v.dim() > 1):
                values.movedim(1, -1)[args[2] == 255] = bad
    learnt = (0, 3) if name == "dwld_loss" else (0,)
    return Case(args, options, learnt, 2 if name in LOGIT else None)


def features(draw, generator: torch.Generator, name: str, plain: bool) -> Case:
    """Student and teacher maps, and what else the loss takes."""
    relations = name in ("rkd_loss", "sp_loss", "linear_cka")
    batch, channels, height, width = sizes(draw, 3 if plain and relations else 2 if name == "linear_cka" else 1)
    student_shape = teacher_shape = (batch, channels, height, width)
    if name in ("attention_transfer_loss", "nst_loss", "rkd_loss", "sp_loss"):
        _, *others = sizes(draw)
        teacher_shape = (batch, *others)
    if name == "linear_cka":
        student_shape, teacher_shape = (batch, channels), (batch, channels + 1)
    if name == "omni_contrast_loss":
        student_shape = teacher_shape = (batch, 4, 2 * height, 2 * width)
    scale = draw(st.sampled_from([0.5, 3.0])) if plain else scale_of(draw)
    args = [numbers(draw, shape, generator, scale, dead=not plain) for shape in (student_shape, teacher_shape)]
    if not plain and student_shape == teacher_shape and draw(st.booleans()):
        args[1] = args[0].clone()
    if plain and relations:  # no two rows are equal
        args = [torch.randn(value.shape, generator=generator, dtype=torch.float64) for value in args]
    options, learnt = {}, (0,)
    if name == "attention_transfer_loss":
        options["p"] = draw(st.sampled_from([1, 1.5, 2, 3]))
    if name == "factor_transfer_loss":
        options["p"] = draw(st.sampled_from([1, 2]))
    if name == "vid_loss":
        args.append(0.1 + 5 * torch.rand(channels, generator=generator, dtype=torch.float64))
        learnt = (0, 2)
    if name == "pad_loss":
        args.append(torch.randn(student_shape, generator=generator, dtype=torch.float64) * (1 if plain else scale))
        learnt = (0, 2)
    if name in ("maskd_loss", "maskd_diversity"):
        args.append(torch.randn(3, channels, generator=generator, dtype=torch.float64))
    if name == "maskd_diversity":
        args, learnt = args[1:], (1,)
    if name == "omni_contrast_loss":
        options = {"groups": draw(st.sampled_from([2, 4])), "pool": 1, "patch": 2}
        options["temperature"] = draw(st.sampled_from([0.07, 1.0]))
    if name == "linear_cka":
        learnt = (0, 1)
    return Case(args, options, learnt)


def kernels(draw, generator: torch.Generator, name: str, plain: bool) -> Case:
    shape = draw(st.sampled_from([(2, 3), (5, 2), (2, 4, 6), (1, 6, 1)]))
    scale = 1.0 if plain else scale_of(draw)
    kernel = draw(st.sampled_from(["linear", "gaussian", "laplace"]))
    rows = [numbers(draw, shape, generator, scale, dead=not plain) for _ in range(2)]
    if plain:
        rows = [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in rows]
    if name == "gram":
        return Case(rows[:1], {"kernel": kernel})
    return Case([functional.gram(x, kernel=kernel) for x in rows], {}, (0, 1))


def largest(*values: Tensor) -> float:
    return max(float(v.detach().abs().max()) for v in values)


def lengths(values: Tensor) -> Tensor:
    found = values.detach().double().flatten(1).norm(dim=1)
    return found[found > FLOOR]


def bound_of_sp(case: Case) -> float:
    alive = lengths(case.args[0])
    return 8 * float(alive.max() / alive.min() ** 2) if len(alive) else 1.0


def bound_of_rkd(case: Case) -> float:
    """Of the least distance of two images that are not equal."""
    x = case.args[0].detach().double().flatten(1)
    distance = torch.pdist(x)
    distance = distance[distance > 1e-7 * x.norm(dim=1).max()]
    return 1e3 / float(distance.min()) if len(distance) else 1.0


def bound_of_gram(case: Case) -> float:
    x = case.args[0].detach().double()
    n = x.shape[-2]
    if case.options["kernel"] == "linear":
        return 2 * n * largest(x)
    norm = 1 if case.options["kernel"] == "laplace" else 2
    means = torch.stack([torch.pdist(rows, norm).mean() for rows in x.reshape(-1, n, x.shape[-1])])
    return 4 * n / float(means[means > 0].min()) if (means > 0).any() else 1.0


def of_rounding(values: Tensor) -> float:
    """1 / what is the least length of centred values that do not count as constant."""
    dtype = torch.float64 if values.dtype == torch.float64 else torch.float32
    sizes = values.detach().double().flatten(-2).norm(dim=-1)
    least = float(sizes[sizes > 0].min()) if (sizes > 0).any() else 1.0
    return 1 / (ROUNDING * torch.finfo(dtype).eps * least)


def temperature(case: Case) -> float:
    return case.options["temperature"]


# The function, how its arguments are made, and what no entry of its gradient exceeds.
CASES = {
    # differences of probabilities
    "kd_loss": (logits, temperature),
    "cwkd_loss": (logits, temperature),
    "wsld_loss": (logits, temperature),
    "dkd_loss": (logits, lambda case: temperature(case) * (1 + 8)),
    "dwld_loss": (logits, lambda case: temperature(case) ** 2 * (1 + 4 * 10 + 4e4)),  # of W: the difference of logits
    "rwld_loss": (logits, lambda case: temperature(case) * 2 * 10),
    "decouple": (logits, lambda case: 3 / temperature(case)),
    "confidence": (logits, lambda case: 1 + math.log(6)),
    # 1 / the least deviation that counts
    "dist_loss": (logits, lambda case: 4 * temperature(case) / CONSTANT),
    # 1 / the least length that counts
    "attention_transfer_loss": (features, lambda case: 4 * case.options["p"] / FLOOR),
    "factor_transfer_loss": (features, lambda case: 2 / FLOOR),
    "nst_loss": (features, lambda case: 8 / FLOOR),
    "sp_loss": (features, bound_of_sp),
    "rkd_loss": (features, bound_of_rkd),
    # differences of features
    "fitnet_loss": (features, lambda case: 2 * largest(*case.args) * 2),
    "vid_loss": (features, lambda case: (2 * largest(*case.args[:2]) + 1) ** 2 / 0.1**2),
    "pad_loss": (features, lambda case: 1 + 1e6 * (2 * largest(*case.args[:2]) + 1) ** 2),
    "maskd_loss": (features, lambda case: 2 * largest(*case.args[:2])),
    "maskd_diversity": (features, lambda case: 8 * largest(case.args[0])),
    "omni_contrast_loss": (features, lambda case: 8 / case.options["temperature"]),
    "gram": (kernels, bound_of_gram),
    "hsic": (kernels, lambda case: 4 * largest(*case.args)),
    "cka": (kernels, lambda case: 4 * max(of_rounding(k) for k in case.args)),
    "linear_cka": (features, lambda case: 8 * max(of_rounding(x) for x in case.args)),
}
every = pytest.mark.parametrize("name", CASES)


def make(data, name: str, *, plain: bool = False) -> Case:
    seed = data.draw(st.integers(0, 2**31))
    return CASES[name][0](data.draw, torch.Generator().manual_seed(seed), name, plain)


def test_every_function_is_drawn():
    learnt = set(functional.__all__) - {"rarity_weights"}  # of which there is no gradient
    assert set(CASES) == learnt


@every
@DRAWS
@given(data=st.data())
def test_value_and_gradient(name, data):
    function, case = getattr(functional, name), make(data, name)
    halves = name not in ("hsic", "cka", "gram")  # whose linear kernel leaves the range of float16
    dtype = DTYPES[data.draw(st.sampled_from(list(DTYPES) if halves else ["float64", "float32"]))]
    layout = data.draw(st.sampled_from(LAYOUTS if halves else ("contiguous", "permuted", "sliced")))
    case = case.with_args(lambda v: lay(v if v.dtype == torch.int64 else v.to(dtype), layout))
    before = [value.clone() for value in case.args]
    value, gradients = case.run(function)

    assert value.isfinite().all()
    assert value.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    bound = CASES[name][1](case)
    for gradient in gradients:
        if bound < torch.finfo(dtype).max:  # else a true gradient can be more than half precision holds
            assert gradient.isfinite().all() and gradient.abs().max() <= bound * 1.01
        assert not gradient.isnan().any()
    for given_, kept in zip(case.args, before, strict=True):
        torch.testing.assert_close(given_.detach(), kept, rtol=0, atol=0, equal_nan=True)

    if case.target is not None:
        ignored = case.args[case.target] == 255
        for gradient in gradients:
            assert (gradient.movedim(1, -1)[ignored] == 0).all()
        if ignored.all():
            assert (value == 0).all() and all((gradient == 0).all() for gradient in gradients)

    dense = case.with_args(lambda v: v.detach().contiguous().clone(memory_format=torch.contiguous_format))
    again, others = dense.run(function)
    within = {torch.float64: 1e-9, torch.float32: 1e-3}.get(dtype, 3e-2)
    torch.testing.assert_close(again, value, rtol=within, atol=within * max(largest(value), 1e-3))
    for gradient, other in zip(gradients, others, strict=True):
        torch.testing.assert_close(gradient, other, rtol=within, atol=within * max(largest(other), 1e-3))


@every
@DRAWS
@given(data=st.data())
def test_no_gradient_reaches_the_teacher(name, data):
    case = make(data, name)
    teachers = [i for i in (0, 1) if i not in case.learnt and i < len(case.args) and name not in ("gram", "hsic")]
    for i in teachers:
        case.args[i].requires_grad_()
    for i in case.learnt:
        case.args[i].requires_grad_()
    result = getattr(functional, name)(*case.args, **case.options)
    for values in [result] if isinstance(result, Tensor) else result:
        found = (
            torch.autograd.grad(values.sum(), [case.args[i] for i in teachers], allow_unused=True) if teachers else ()
        )
        assert all(gradient is None for gradient in found)


@pytest.mark.parametrize("name", [name for name in LOGIT if name != "decouple"])
@DRAWS
@given(data=st.data())
def test_an_ignored_pixel_is_as_good_as_none(name, data):
    case = make(data, name)
    labelled = case.args[2] != 255
    value, gradients = case.run(getattr(functional, name))
    if labelled.any():
        of_classes = case.args[3:] if name == "rwld_loss" else []

        def of_rows(v: Tensor) -> Tensor:
            if any(v is weight for weight in of_classes):
                return v
            return (v if v.shape == labelled.shape else v.detach().movedim(1, -1))[labelled]

        rows = case.with_args(of_rows)
        alone, others = rows.run(getattr(functional, name))
        torch.testing.assert_close(value, alone, rtol=1e-9, atol=1e-9)
        for gradient, other in zip(gradients, others, strict=True):
            torch.testing.assert_close(gradient.movedim(1, -1)[labelled], other, rtol=1e-7, atol=1e-9)


@every
@DRAWS
@given(data=st.data())
def test_equals_the_plain_form(name, data):
    case = make(data, name, plain=True)
    value, gradients = case.run(getattr(functional, name))
    if name == "decouple":  # the plain form lists the labelled pixels alone
        value = value.view(3, -1)[:, (case.args[2] != 255).flatten()].flatten()
    expected, exact = case.run(getattr(reference, name))
    torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-9)
    for gradient, other in zip(gradients, exact, strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", [name for name in LOGIT if name != "dist_loss"] + ["cwkd_loss"])
@DRAWS
@given(data=st.data())
def test_a_class_that_only_the_student_lacks_costs_infinitely_much(name, data):
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**31)))
    student, teacher = torch.randn(2, 2, 4, 3, 2, generator=generator, dtype=torch.float64)
    student[:, 3] = -math.inf
    target = torch.randint(3, (2, 3, 2), generator=generator)
    extra = [] if name == "cwkd_loss" else [target, *{"dwld_loss": [2.0], "rwld_loss": [torch.ones(4)]}.get(name, [])]
    result = getattr(functional, name)(student, teacher, *extra)
    if name == "decouple":
        assert (result[1] == math.inf).all() and (result[2] == math.inf).all() and result[0].isfinite().all()
    else:
        assert result == math.inf
