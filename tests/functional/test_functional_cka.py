"""gram, hsic, cka, linear_cka: reference values, invariances, gradients, degenerate features."""

from itertools import permutations

import pytest
import torch

from lixlib.functional import cka, gram, hsic, linear_cka

KERNELS = ["linear", "gaussian", "laplace"]
kernels = pytest.mark.parametrize("kernel", KERNELS)


def features(*shape, **options):
    return torch.randn(*shape, dtype=torch.float64, **options)


def rotation(d):
    return torch.linalg.qr(features(d, d)).Q


@pytest.mark.parametrize(
    "name, kernel, measure",
    [("cka_linear", "linear", cka), ("cka_rbf_sigma2", "gaussian", cka), ("hsic_linear", "linear", hsic)],
)
def test_reference_values(golden, name, kernel, measure):
    g = golden(name)
    x = g["student"]
    value = measure(
        *(gram(v, kernel=kernel, bandwidth=2.0 if kernel == "gaussian" else None) for v in (x, g["teacher"]))
    )
    value.backward()
    assert abs(value.item() - g["value"]) < 1e-9
    torch.testing.assert_close(x.grad, g["grad_student"], rtol=0, atol=1e-6)


@kernels
@pytest.mark.parametrize("bandwidth", [None, 1.7])
def test_gram_by_definition(kernel, bandwidth):
    x = features(3, 2, 7, 4)
    k = gram(x, kernel=kernel, bandwidth=bandwidth)
    difference = x.unsqueeze(-2) - x.unsqueeze(-3)
    off = ~torch.eye(7, dtype=torch.bool)
    if kernel == "linear":
        expected = torch.einsum("...id,...jd->...ij", x, x)
    elif kernel == "gaussian":
        d2 = difference.square().sum(-1)
        expected = (-d2 / (2 * (bandwidth**2 if bandwidth else d2[..., off].mean(-1)[..., None, None]))).exp()
    else:
        d1 = difference.abs().sum(-1)
        expected = (-d1 / (bandwidth or d1[..., off].mean(-1)[..., None, None])).exp()
    torch.testing.assert_close(k, expected, rtol=0, atol=1e-12)


@kernels
def test_gram_gradient(kernel):
    x = features(2, 5, 3, requires_grad=True)
    weight = features(5, 5)  # not symmetric: both halves must reach x
    assert torch.autograd.gradcheck(lambda v: weight * gram(v, kernel=kernel, bandwidth=1.3), x)


@kernels
def test_cka_gradient(kernel):
    x, y = features(2, 6, 3, requires_grad=True), features(2, 6, 4, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b: cka(gram(a, kernel=kernel, bandwidth=2.0), gram(b)), (x, y))
    assert torch.autograd.gradcheck(lambda a, b: hsic(gram(a), gram(b), unbiased=True), (x, y))
    assert torch.autograd.gradcheck(linear_cka, (x, y))


@pytest.mark.parametrize("kernel", ["laplace", "gaussian"])
def test_a_kernel_has_no_second_derivative(kernel):
    x = features(2, 6, 3, requires_grad=True)
    k = gram(x, kernel=kernel)
    (first,) = torch.autograd.grad(cka(k, gram(features(2, 6, 3))).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="no second derivative"):
        first.sum().backward()


def test_second_derivatives_of_cka():
    x, y = features(2, 5, 3, requires_grad=True), features(2, 5, 4, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda a, b: cka(gram(a), gram(b)), (x, y))
    assert torch.autograd.gradgradcheck(lambda a: cka(gram(a), gram(y.detach())), x)
    k = gram(x.detach()).requires_grad_()
    (first,) = torch.autograd.grad(cka(k, k).sum(), k, create_graph=True)
    assert first.abs().max() < 1e-12, "1 whatever k is"


def test_the_gradient_of_cka_can_be_taken_again_and_reaches_what_is_learnt_alone():
    k, l = gram(features(3, 5, 4)).requires_grad_(), gram(features(3, 5, 2))  # noqa: E741
    value = cka(k, l).sum()
    first, again = (torch.autograd.grad(value, k, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, again) and first.abs().max() > 0
    before = l.clone()
    value.backward()
    assert torch.equal(l, before) and l.grad is None


@kernels
def test_equal_rows_have_a_finite_gradient(kernel):
    x = features(5, 3)
    x[1] = x[3] = x[0]
    x.requires_grad_()
    cka(gram(x, kernel=kernel), gram(features(5, 3))).backward()
    assert x.grad.isfinite().all()


@kernels
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("constant", [0.0, 0.1, 12345.678])
def test_constant_feature(kernel, constant, dtype):
    x = torch.full((2, 9, 5), constant, dtype=dtype, requires_grad=True)
    y = torch.randn(2, 9, 4, dtype=dtype, requires_grad=True)
    k = gram(x, kernel=kernel)
    if kernel != "linear":
        assert (k == 1).all()
    value = cka(k, gram(y, kernel=kernel))
    value.sum().backward()
    assert (value == 0).all() and (x.grad == 0).all() and (y.grad == 0).all()
    value = linear_cka(x, y)
    assert (value == 0).all()
    assert all((g == 0).all() for g in torch.autograd.grad(value.sum(), (x, y)))


@kernels
@pytest.mark.parametrize("bandwidth", [None, 2.0])
def test_invariances(kernel, bandwidth):
    x, y = features(12, 4), features(12, 5) ** 2
    expected = cka(gram(x, kernel=kernel, bandwidth=bandwidth), gram(y))
    same = {"shift": x + features(4)}
    if kernel != "laplace":  # the L1 distance depends on the axes
        same["rotation"] = x @ rotation(4)
    if kernel == "linear" or bandwidth is None:
        same["scaling"] = 30 * x
    for moved in same.values():
        torch.testing.assert_close(cka(gram(moved, kernel=kernel, bandwidth=bandwidth), gram(y)), expected)
    k = gram(x, kernel=kernel, bandwidth=bandwidth)
    assert cka(k, k) == pytest.approx(1, abs=1e-12)
    torch.testing.assert_close(cka(gram(y), k), expected)
    assert 0 <= expected <= 1


@pytest.mark.parametrize("shape", [(30, 4), (2, 3, 8, 6)])
def test_linear_cka_is_cka_of_linear_grams(shape):
    x, y = features(*shape), features(*shape[:-1], 5) + 3
    value = linear_cka(x, y)
    assert value.shape == shape[:-2]
    torch.testing.assert_close(value, cka(gram(x), gram(y)))


def test_few_rows_of_noise_look_alike():
    x, y = features(20, 4, 200), features(20, 4, 200)
    assert cka(gram(x), gram(y)).mean() > 0.95  # biased: "rows = the batch" would always be content
    k, l = gram(features(2000, 8, 3)), gram(features(2000, 8, 3))  # noqa: E741
    assert abs(hsic(k, l, unbiased=True).mean()) < 0.1 * hsic(k, l).mean()


def test_unbiased_hsic_is_the_mean_over_distinct_samples():
    n = 6
    k, l = gram(features(n, 3), kernel="gaussian"), gram(features(n, 2), kernel="laplace")  # noqa: E741
    total = torch.zeros(3, dtype=torch.float64)
    for i, j, q, r in permutations(range(n), 4):
        total += torch.stack([k[i, j] * l[i, j], k[i, j] * l[q, r], k[i, j] * l[i, q]])
    a, b, c = total / (n * (n - 1) * (n - 2) * (n - 3))
    torch.testing.assert_close(hsic(k, l, unbiased=True), a + b - 2 * c)


def test_float32_keeps_its_digits_far_from_the_origin():
    x, y = features(60, 8), features(60, 8)
    exact = linear_cka(x, y)
    assert abs(linear_cka((x + 100).float(), (y - 100).float()) - exact) < 1e-4
    exact = cka(gram(x, kernel="laplace"), gram(y, kernel="laplace"))
    assert abs(cka(*(gram((v + 100).float(), kernel="laplace") for v in (x, y))) - exact) < 1e-4


@kernels
def test_half_and_autocast_compute_in_float32(kernel):
    x = torch.randn(2, 8, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        k = gram(x, kernel=kernel)
        assert torch.equal(cka(k, k), cka(gram(x, kernel=kernel), k)) and k.dtype == torch.float32
    assert torch.equal(k, gram(x, kernel=kernel))
    assert gram(x.half(), kernel=kernel).dtype == torch.float32


def test_errors():
    x = features(5, 3)
    for call, message in (
        (lambda: gram(x, kernel="cosine"), "linear, gaussian, laplace"),
        (lambda: gram(x, kernel="laplace", bandwidth=0.0), "above 0"),
        (lambda: gram(x[0]), r"\(3,\)"),
        (lambda: cka(gram(x), gram(x[:4])), r"\(5, 5\) and \(4, 4\)"),
        (lambda: hsic(x, x), r"\(5, 3\)"),
        (lambda: hsic(gram(x[:3]), gram(x[:3]), unbiased=True), "at least 4 samples"),
        (lambda: cka(gram(x[:1]), gram(x[:1])), r"n >= 2"),
        (lambda: linear_cka(x, x[:4]), r"\(5, 3\) and \(4, 3\)"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    assert gram(x[:1], kernel="laplace").item() == 1
