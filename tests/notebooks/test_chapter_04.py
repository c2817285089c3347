"""What chapter 04 writes out by hand is what the library computes, and what its pictures rest on holds."""

import pytest
import torch
import torch.nn.functional as F
from notebook_code import definitions
from torch import nn

from lixlib import nets
from lixlib.distillers.arfd import ARFD
from lixlib.functional import gram
from lixlib.nets import Output

d = definitions("04_kernel_recalibration")
SHAPES = [((2, 5, 6, 20), (2, 8, 6, 20)), ((1, 4, 24, 80), (1, 3, 12, 40)), ((2, 3, 2, 300), (2, 4, 1, 900))]
shapes = pytest.mark.parametrize("student, teacher", SHAPES)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def features(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def pair(student, teacher):
    return tuple(Output(torch.zeros(1, 2, 4, 4), {"tap": torch.randn(shape)}) for shape in (student, teacher))


@shapes
def test_alignment_is_the_librarys(student, teacher):
    s, t = pair(student, teacher)
    arfd = ARFD(s, t)
    size = d["common_size"](s.taps["tap"], t.taps["tap"])
    assert size == arfd._size(s.taps["tap"], t.taps["tap"])
    ours = d["align"](s.taps["tap"], t.taps["tap"], arfd.adapters[0], size)
    theirs = arfd._align(s.taps["tap"], t.taps["tap"], arfd.adapters[0])
    torch.testing.assert_close(ours, list(theirs), rtol=0, atol=1e-4)


@pytest.mark.parametrize("scale", [1e-3, 1, 1e3])
def test_standardisation_is_layer_norm_over_positions(scale):
    f = scale * features(3, 4, 50) + 7
    f[0, 0] = 2  # a dead channel
    torch.testing.assert_close(d["standardise"](f), F.layer_norm(f, (50,)), rtol=0, atol=1e-9)


@pytest.mark.parametrize("kernel", ["laplace", "gaussian", "linear"])
@pytest.mark.parametrize("bandwidth", [None, 2.5])
def test_plain_gram_is_gram(kernel, bandwidth):
    for x in (features(9, 4), features(6, 30), 100 * features(7, 2), features(4, 3)[[0, 0, 1, 2, 2, 3]]):
        expected = gram(x, kernel=kernel, bandwidth=bandwidth)
        torch.testing.assert_close(d["plain_gram"](x, kernel, bandwidth), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kernel", ["laplace", "gaussian"])
@pytest.mark.parametrize("factor", [0.1, 1.0, 5.0])
def test_a_power_of_a_gram_is_another_bandwidth(kernel, factor):
    x = features(12, 5)
    distance = torch.pdist(x, 1 if kernel == "laplace" else 2)
    usual = distance.mean() if kernel == "laplace" else distance.square().mean().sqrt()
    expected = gram(x, kernel=kernel, bandwidth=factor * usual.item())
    torch.testing.assert_close(d["scaled_gram"](x, kernel, factor), expected, rtol=0, atol=1e-9)
    assert torch.equal(d["scaled_gram"](x, "linear", factor), gram(x))


@pytest.mark.parametrize("kernel", ["laplace", "gaussian"])
def test_smoother_is_the_librarys(kernel):
    arfd = ARFD(*pair(*SHAPES[0]), kernel=kernel, smoother=True)
    f = features(2, 9, 4)
    torch.testing.assert_close(d["smooth"](f, kernel), arfd._recalibrate(f), rtol=0, atol=1e-9)


def test_a_fitted_adapter_recovers_a_convolution():
    truth = nn.Conv2d(4, 6, 1)
    student = torch.randn(3, 4, 6, 9)
    adapter = d["fit_adapter"](student, truth(student).detach(), (6, 9))
    for ours, theirs in zip(adapter.parameters(), truth.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs.detach(), rtol=0, atol=1e-4)


def test_the_disguised_student_gives_the_same_answers():
    net = nets.build("mfnet", num_classes=5).eval().double()
    twin = d["disguise"](net, torch.randperm(16), 100 ** torch.rand(16, dtype=torch.float64))
    rgb = torch.rand(1, 3, 32, 48, dtype=torch.float64)
    with torch.no_grad():
        itself, disguised = net(rgb), twin(rgb)
    torch.testing.assert_close(disguised.logits, itself.logits, rtol=0, atol=1e-9)
    assert d["apart"](disguised.taps["decode2"], itself.taps["decode2"]) > 1
    assert torch.equal(disguised.taps["decode3"], itself.taps["decode3"])


def test_measures_by_definition():
    a, b = features(3, 4, 5), features(3, 4, 5)
    k, m = (gram(f, kernel="laplace") for f in (a, b))
    off = torch.triu(torch.ones(4, 4, dtype=torch.bool), 1)
    for i in range(3):
        for j in range(3):
            assert abs(d["differences"](a, b)[i, j] - (a[i] - b[j]).norm() / b[j].norm()) < 1e-9
            expected = torch.corrcoef(torch.stack([k[i][off], m[j][off]]))[0, 1]
            assert abs(d["correlations"](k, m)[i, j] - expected) < 1e-9


def test_right_pairs_are_those_on_the_diagonal():
    table = torch.tensor([[0.1, 0.5, 0.9], [0.2, 0.3, 0.4], [0.6, 0.5, 0.2]])
    assert d["right_and_wrong"](table) == pytest.approx((0.2, 3.1 / 6))


def test_a_correlation_counts_as_the_distance_of_standardised_entries():
    a, b = features(3, 6, 4), features(3, 6, 5)
    entries = [d["upper"](gram(f, kernel="laplace")) for f in (a, b)]
    entries = [(k - k.mean(1, keepdim=True)) / (k - k.mean(1, keepdim=True)).norm(dim=1, keepdim=True) for k in entries]
    expected = d["right_and_wrong"](torch.cdist(*entries))
    assert d["between_grams"](a, b) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("factor", [0.2, 1.0, 3.0])
def test_the_smoother_with_another_bandwidth_is_the_librarys(factor):
    arfd = ARFD(*pair(*SHAPES[0]), kernel="laplace", smoother=True, bandwidth_factor=factor)
    f = features(2, 9, 4)
    torch.testing.assert_close(d["smooth"](f, factor=factor), arfd._recalibrate(f), rtol=0, atol=1e-9)


def test_mean_discrepancy_is_that_of_the_definition_and_blind_to_the_places():
    t, s = features(5, 3), features(7, 3)

    def mean(a, b):
        return torch.tensor([(-(x - y).abs().sum() / 2.5).exp() for x in a for y in b]).mean().item()

    assert d["mmd"](t, s, 2.5) == pytest.approx(mean(t, t) + mean(s, s) - 2 * mean(t, s))
    assert d["mmd"](t, s[torch.randperm(7)], 2.5) == pytest.approx(d["mmd"](t, s, 2.5))
    assert d["mmd"](t, t[torch.randperm(5)], 2.5) == pytest.approx(0)


def test_within_network_blocks_alone_do_not_see_a_discrepancy():
    t = features(40, 3)
    far = t + 100  # the same cloud elsewhere: the blocks within are equal, the discrepancy is as large as it gets
    torch.testing.assert_close(gram(t, kernel="laplace"), gram(far, kernel="laplace"))
    assert d["mmd"](t, far, 2.5) == pytest.approx(2 * gram(t, kernel="laplace", bandwidth=2.5).mean().item())


def test_a_mark_stands_in_the_middle_of_its_class():
    classes = torch.tensor([0] * 50 + [3] * 2 + [9] * 48)
    marks = d["marks"](classes, "positions", True)
    assert list(marks.values()) == ["road", "sky"]
    assert list(marks) == pytest.approx([24.5 / 99, 75.5 / 99])
    assert list(d["marks"](classes, "positions", False).values()) == ["top", "bottom"]


def test_with_channels_as_rows_a_discrepancy_forgets_the_channels_and_knows_the_places():
    t = features(6, 4)
    assert d["mmd"](t.T, t[:, torch.randperm(4)].T, 2.5) == pytest.approx(0)
    assert d["mmd"](t.T, t.roll(1, 0).T, 2.5) > 1e-3
