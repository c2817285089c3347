"""The class-weighted cross-entropy of every method, and the weights from the frequencies of the training labels."""

from dataclasses import replace
from math import log, sqrt
from types import SimpleNamespace

import pytest
import torch
from torch.nn.functional import cross_entropy
from two_layers import C, Net, make, make_batch, methods

from lixlib.core.sample import IGNORE, Sample
from lixlib.data.unlabelled import Unlabelled, WithUnlabelled
from lixlib.distillers import Distiller
from lixlib.training import ClassFrequencies, class_frequencies, class_weights

pytestmark = pytest.mark.filterwarnings("ignore:the stage of .* is as it was initialised")
WEIGHTS = torch.tensor([0.25, 1.0, 3.0, 0.5], dtype=torch.float64)
KINDS = ("none", "sqrt", "median", "enet")


class Labels(list):
    """A data set of these labels, whose RGB and X are empty."""

    name, split, x_channels = "labels", "train", 1

    def __init__(self, labels, classes=C):
        void = torch.zeros(0)
        super().__init__(Sample(void, void, void, torch.as_tensor(label), "an image") for label in labels)
        self.classes = SimpleNamespace(names=tuple("abcdefgh"[:classes]))


# The loss


def test_it_is_torchs_cross_entropy_with_weights_and_gradients_in_float64():
    batch = make_batch()
    distiller = Distiller(Net(), class_weights=WEIGHTS).double()
    batch = replace(batch, rgb=batch.rgb.double())
    found = distiller(batch)["ce"]
    logits = distiller.student(batch.rgb).logits
    expected = cross_entropy(logits, batch.label, weight=WEIGHTS, ignore_index=IGNORE)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    parameters = list(distiller.student.parameters())
    for one, other in zip(
        torch.autograd.grad(found, parameters), torch.autograd.grad(expected, parameters), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-14)
    assert not torch.isclose(found, cross_entropy(logits, batch.label, ignore_index=IGNORE), rtol=1e-3)


@methods
def test_the_cross_entropy_alone_is_weighted(method):
    batch = make_batch()
    torch.manual_seed(1)
    plain = make(method, batch).eval()
    torch.manual_seed(1)
    weighted = make(method, batch, class_weights=WEIGHTS.float()).eval()
    torch.manual_seed(2)
    expected = plain(batch)
    torch.manual_seed(2)
    found = weighted(batch)
    logits = weighted.student(batch.rgb).logits
    torch.testing.assert_close(
        found.pop("ce"), cross_entropy(logits, batch.label, weight=WEIGHTS.float(), ignore_index=IGNORE)
    )
    expected.pop("ce")
    assert found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in found)


def test_the_scale_of_the_weights_does_not_matter_and_ones_change_nothing():
    batch, net = make_batch(), Net().eval()
    losses = [Distiller(net, class_weights=w)(batch)["ce"] for w in (WEIGHTS.float(), 100 * WEIGHTS.float())]
    torch.testing.assert_close(*losses)
    torch.testing.assert_close(Distiller(net, class_weights=torch.ones(C))(batch)["ce"], Distiller(net)(batch)["ce"])


@pytest.mark.parametrize("left", [(), (0,)])
def test_without_a_pixel_that_counts_the_loss_is_0_with_gradient_0(left):
    """No label at all, or only labels of a class of weight 0."""
    batch = make_batch()
    keep = torch.isin(batch.label, torch.tensor(left, dtype=torch.int64))
    distiller = Distiller(Net(), class_weights=torch.tensor([0.0, 1, 1, 1]))
    loss = distiller(replace(batch, label=batch.label.where(keep, IGNORE)))["ce"]
    loss.backward()
    assert loss == 0 and all((p.grad == 0).all() for p in distiller.parameters())


def test_it_is_taken_in_single_precision_under_autocast():
    batch, distiller = make_batch(), Distiller(Net(), class_weights=WEIGHTS.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = distiller(batch)["ce"]
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, distiller(batch)["ce"], rtol=2e-2, atol=0)


def test_the_state_dict_does_not_hold_them():
    plain, weighted = Distiller(Net()), Distiller(Net(), class_weights=WEIGHTS)
    assert plain.state_dict().keys() == weighted.state_dict().keys()
    assert list(plain.buffers()) and "class_weights" not in dict(plain.named_buffers())
    assert weighted.to(torch.float16).class_weights.dtype == torch.float16, "it moves with the module"


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (torch.ones(1, C), r"must be \(C,\) of a float type, found \(1, 4\)"),
        (torch.ones(C, dtype=torch.int64), "of a float type, found .* of torch.int64"),
        (torch.tensor([1.0, -1, 1, 1]), r"at least 0 and not all 0, found \[1.0, -1.0"),
        (torch.tensor([1.0, torch.inf, 1, 1]), "must be finite"),
        (torch.zeros(C), "not all 0"),
    ],
)
def test_wrong_weights_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        Distiller(Net(), class_weights=weights)


def test_weights_of_another_number_of_classes_are_refused():
    with pytest.raises(ValueError, match=r"3 class weights do not fit logits \(2, 4, 12, 20\): give one a class"):
        Distiller(Net(), class_weights=torch.ones(3))(make_batch())


# Frequencies and weights

SCENES = [[[0, 0, 0], [0, 1, 1]], [[0, 0, 2], [IGNORE, IGNORE, IGNORE]]]
FREQUENCIES = ClassFrequencies(torch.tensor([6, 2, 1, 0]), torch.tensor([9, 6, 3, 0]))


def test_frequencies_count_the_labelled_pixels():
    found = class_frequencies(Labels(SCENES))
    assert all(torch.equal(count, expected) for count, expected in zip(found, FREQUENCIES, strict=True))


def test_frequencies_read_the_labelled_images_alone_and_draw_nothing():
    labelled = Labels(SCENES)
    joined = WithUnlabelled(labelled, Unlabelled(Labels([[[3, 3, 3]] * 2])))
    before = torch.get_rng_state()
    assert torch.equal(class_frequencies(joined).pixels, FREQUENCIES.pixels)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ([[[0, 4]]], ValueError, "an image: label 4 at .* is neither one of the 4 classes"),
        ([[[IGNORE]], [[IGNORE]]], ValueError, "no labelled pixel in any of 2 images"),
        (None, TypeError, "list does not say its classes, and their number is needed"),
    ],
)
def test_frequencies_of_wrong_labels_are_refused(labels, error, message):
    with pytest.raises(error, match=message):
        class_frequencies([] if labels is None else Labels(labels))


def plain_weights(kind):
    """Of the classes of FREQUENCIES that occur, as the papers write them."""
    p, f = (6 / 9, 2 / 9, 1 / 9), (6 / 9, 2 / 6, 1 / 3)
    median = sorted(f)[1]
    return {
        "none": [1, 1, 1],
        "sqrt": [1 / sqrt(share) for share in p],
        "median": [median / share for share in f],
        "enet": [1 / log(1.02 + share) for share in p],
    }[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_those_of_the_papers_with_a_mean_of_1_over_the_pixels(kind):
    found, expected = class_weights(FREQUENCIES, kind), torch.tensor(plain_weights(kind))
    assert found.dtype == torch.float32 and found.shape == (4,)
    torch.testing.assert_close(found[:3] / found[0], expected / expected[0])
    pixels = FREQUENCIES.pixels / FREQUENCIES.pixels.sum()
    assert float((pixels * found).sum()) == pytest.approx(1)
    assert found[3] == found[:3].max(), "a class that never occurs weighs as the heaviest one"
    assert kind == "none" or found[0] < found[2]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pixels", [[1, 10**12], [5, 5], [0, 7], [3, 0]])
def test_no_weight_is_infinite(kind, pixels):
    pixels = torch.tensor(pixels)
    found = class_weights(ClassFrequencies(pixels, pixels.sum() * (pixels > 0)), kind)
    assert found.isfinite().all() and (found > 0).all()
    Distiller(Net(), class_weights=found)


def test_weights_of_nothing_are_refused():
    with pytest.raises(ValueError, match="no class occurs"):
        class_weights(ClassFrequencies(torch.zeros(3), torch.zeros(3)), "sqrt")
    with pytest.raises(ValueError, match="unknown class weighting 'log': choose one of none, sqrt, median, enet"):
        class_weights(FREQUENCIES, "log")
