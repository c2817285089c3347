"""Chapter 05 writes CKA out by hand: what it defines equals the library, and its floor is the mean over all orders."""

from itertools import permutations

import pytest
import torch
import torch.nn.functional as F
from notebook_code import definitions

from lixlib.core.output import Output
from lixlib.distillers.arfd import ARFD, MEASURES
from lixlib.functional import cka, gram, hsic, linear_cka
from lixlib.functional.cka import KERNELS, centre

chapter = definitions("05_cka")
kernels = pytest.mark.parametrize("kernel", KERNELS)


def rows(*shape):
    return torch.randn(*shape, dtype=torch.float64)


@pytest.fixture(params=["random", "few rows", "far from the origin"])
def pair(request):
    torch.manual_seed(0)
    n = 4 if request.param == "few rows" else 15
    far = 20 if request.param == "far from the origin" else 0
    return rows(n, 6) + far, rows(n, 9) - far


@kernels
def test_hsic_and_cka_by_hand_are_the_librarys(pair, kernel):
    k, l = (gram(x, kernel=kernel) for x in pair)  # noqa: E741
    torch.testing.assert_close(chapter["centred"](k), centre(k))
    torch.testing.assert_close(chapter["hsic_by_hand"](k, l), hsic(k, l))
    torch.testing.assert_close(chapter["cka_by_hand"](k, l), cka(k, l))


def test_the_shortcut_is_linear_cka(pair):
    torch.testing.assert_close(chapter["from_features"](*pair), linear_cka(*pair))
    torch.testing.assert_close(chapter["through_h"](*pair), linear_cka(*pair))


@kernels
def test_the_floor_is_the_mean_over_all_orders(kernel):
    k, l = gram(rows(5, 3), kernel=kernel), gram(rows(5, 8) ** 2)  # noqa: E741
    orders = [list(order) for order in permutations(range(5))]
    mean = torch.stack([cka(k, l[order][:, order]) for order in orders]).mean()
    torch.testing.assert_close(chapter["floor_of"](k, l), mean)


@kernels
def test_unbiased_cka_lies_between_minus_one_and_one(kernel):
    k, l = (gram(rows(200, 4, 30), kernel=kernel) for _ in range(2))  # noqa: E741
    values = chapter["unbiased_cka"](k, l)
    assert values.abs().max() <= 1 + 1e-9 and values.min() < 0 < values.max()
    torch.testing.assert_close(chapter["unbiased_cka"](k, k), torch.ones(200, dtype=torch.float64))


@pytest.mark.parametrize("kernel", [*KERNELS, "none"])
@pytest.mark.parametrize("measure", MEASURES)
def test_distances_are_those_of_arfd(kernel, measure):
    torch.manual_seed(0)
    maps = torch.rand(2, 1, 5, 4, 6)  # not negative: Eq. (12)'s ReLU leaves them as they are
    student, teacher = (Output(torch.zeros(1, 2, 4, 6), {"tap": f}) for f in maps)
    arfd = ARFD(student, teacher, kernel=kernel, measure=measure)
    with torch.no_grad():
        arfd.adapters[0].weight.copy_(torch.eye(5)[..., None, None])
        arfd.adapters[0].bias.zero_()
    x, y = (F.layer_norm(f.flatten(2), (24,))[0].mT for f in maps)
    expected = chapter["distances"](x, y, kernel)[measure]
    loss = arfd(student, teacher, torch.zeros(1, 4, 6, dtype=torch.long))["arfd"]
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("n", "d"), [(200, 50), (100, 400), (300, 300)])
def test_noise_scores_about_d_by_d_plus_n(n, d):
    torch.manual_seed(0)
    k, l = gram(rows(n, d)), gram(rows(n, d))  # noqa: E741
    assert abs(chapter["floor_of"](k, l) - d / (d + n)) < 0.02
    assert abs(cka(k, l) - d / (d + n)) < 0.02
    centred = chapter["centred"](k)
    assert abs(centred.trace() / (n * d) - 1) < 0.05
    assert abs(centred.square().sum() / (n * d * (d + n)) - 1) < 0.1


def test_the_mean_over_all_orders_of_a_centred_matrix_is_a_multiple_of_h():
    k = chapter["centred"](gram(rows(4, 3)))
    orders = [list(order) for order in permutations(range(4))]
    mean = torch.stack([k[order][:, order] for order in orders]).mean(0)
    torch.testing.assert_close(mean, k.trace() / 3 * (torch.eye(4, dtype=k.dtype) - 0.25))


def test_a_squeeze_is_the_move_that_counts():
    cloud = rows(30, 2)
    turned = 1.7 * cloud @ chapter["rotation"](60).to(cloud) + 0.5
    squeezed = cloud @ torch.tensor([[1.0, 0.8], [0.8, 1.0]], dtype=cloud.dtype)
    assert chapter["distances"](cloud, turned)["cka"] < 1e-9
    assert chapter["distances"](cloud, squeezed)["cka"] > 0.1


def test_a_kernel_sees_the_circle_that_is_walked_twice():
    angle = torch.arange(60, dtype=torch.float64) * 2 * torch.pi / 60
    x, y = (torch.stack([a.cos(), a.sin()], 1) for a in (angle, 2 * angle))
    assert abs(cka(gram(x), gram(y))) < 1e-12
    k, l = (gram(v, kernel="laplace") for v in (x, y))  # noqa: E741
    assert cka(k, l) > 2 * chapter["floor_of"](k, l)


def test_many_columns_of_noise_are_a_regular_tetrahedron():
    torch.manual_seed(0)
    flat, full = (chapter["shape_of"](rows(4, d)) for d in (2, 4096))
    edges = torch.pdist(full)
    assert edges.max() / edges.min() < 1.1 and abs(full.norm() - 1) < 1e-9
    assert torch.linalg.matrix_rank(flat, rtol=1e-6) == 2 and flat.shape == (4, 3)


def test_what_was_turned_and_mirrored_is_laid_back():
    x = rows(9, 3)
    turned = x @ torch.linalg.qr(rows(3, 3)).Q
    torch.testing.assert_close(chapter["laid_on"](turned, x), x)


@kernels
@pytest.mark.parametrize("measure", MEASURES)
def test_the_line_up_measures_every_pair(kernel, measure):
    s, t = rows(3, 8, 5), rows(3, 8, 5)
    table = chapter["every_pair"](s, t, kernel, measure)
    expected = [[chapter["distances"](a, b, kernel)[measure] for b in t] for a in s]
    torch.testing.assert_close(table, torch.tensor(expected, dtype=table.dtype))


def test_the_line_up_counts_who_finds_himself():
    assert chapter["recognised"](1 - torch.eye(5)) == 5
    assert chapter["recognised"](1 - torch.eye(5).roll(1, 0)) == 0


def test_the_floor_counts_directions_in_use():
    k, l = gram(rows(12, 3)), gram(rows(12, 30))  # noqa: E741
    used = [chapter["centred"](g).trace() ** 2 / chapter["centred"](g).square().sum() for g in (k, l)]
    torch.testing.assert_close(chapter["floor_of"](k, l), (used[0] * used[1]).sqrt() / 11)


@pytest.mark.parametrize("kernel", ["gaussian", "laplace"])
def test_the_gradient_along_the_scale_is_zero_for_standardised_features_alone(kernel):
    target, x = gram(rows(12, 4), kernel=kernel), rows(12, 3).requires_grad_()

    def slope(change):
        loss = 1 - cka(gram(change(x), kernel=kernel), target)
        return (torch.autograd.grad(loss, x)[0] * x).sum().abs()

    assert slope(lambda v: v) > 1e-6
    assert slope(lambda v: F.layer_norm(v.T, (12,), eps=0.0).T) < 1e-9
