"""Every method trains end to end on ToyDrive: two short epochs, every loss term finite, and their sum falling.

And every method fits the maps of every network.
"""

import math
from dataclasses import replace

import pytest
import torch

from lixlib import nets
from lixlib.data import Sample
from lixlib.distillers import METHODS, Distiller, build
from lixlib.distillers.common import encoder_pairs
from lixlib.run import Recipe, run

QUICK = Recipe(
    size=(32, 96),
    epochs=2,
    splits=("train", None, "test"),
    data={"count": 32, "eval_count": 8},
    unlabelled=32,
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One folder for all, so that the teacher is trained once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIX_RUNS", str(tmp_path_factory.mktemp("runs")))
        yield


@pytest.mark.parametrize("method", ["teacher", "student", *(name for name in METHODS if name != "none")])
def test_loss_is_finite_and_falls(method, runs):
    hyper = {"stage_epochs": 2} if method in ("ft", "maskd") else {}
    recipe = QUICK.of_teacher() if method == "teacher" else replace(QUICK, method=method, hyper=hyper)
    finished = run(recipe, device="cpu", progress=False)
    first, second = (sum(v for k, v in row.items() if k not in ("epoch", "seconds")) for row in finished.log)
    assert math.isfinite(first) and second < first
    assert all(math.isfinite(value) for row in finished.log for value in row.values())
    assert finished.line["method"] == method and 0 < finished.line["metrics"]["mIoU"] < 1
    assert ("stage_seconds" in finished.line) == (method in ("ft", "maskd"))


OPTIONS = {"mfnet": {}, "sne-roadseg": {"encoder": "resnet18"}, "off-net": {}}
ENCODER_TAPS = {
    "mfnet": ["conv2", "conv3", "conv4", "conv5"],
    "sne-roadseg": ["e1", "e2", "e3", "e4", "e5"],
    "off-net": ["c1", "c2", "c3", "c4"],
}


@pytest.fixture(scope="module", params=OPTIONS)
def pair(request):
    """A student and a teacher of one network."""
    torch.manual_seed(0)
    options = {"num_classes": 5, **OPTIONS[request.param]}
    return nets.build(request.param, **options), nets.build(request.param, x_channels=1, **options)


@pytest.fixture(scope="module")
def outputs(pair):
    """What the two make of images that say enough: RKD compares distances, CKA compares positions."""
    rgb, x = torch.rand(3, 3, 64, 96), torch.rand(3, 1, 64, 96)
    with torch.no_grad():
        return pair[0](rgb), pair[1](rgb, x)


@pytest.mark.parametrize("method", [name for name in METHODS if name != "none"])
@pytest.mark.filterwarnings("ignore:the stage of")
def test_a_method_moves_the_maps_of_every_network(method, outputs):
    student, teacher = outputs
    taps = {name: tap.clone().requires_grad_() for name, tap in student.taps.items()}
    student = nets.Output(student.logits.clone().requires_grad_(), taps)
    terms = build(method, student, teacher).train()(student, teacher, torch.randint(5, (3, 64, 96)))
    assert all(torch.isfinite(term) for term in terms.values())
    sum(terms.values()).backward()
    gradients = [tensor.grad for tensor in (student.logits, *taps.values()) if tensor.grad is not None]
    assert gradients and all(torch.isfinite(gradient).all() and gradient.any() for gradient in gradients)


def test_the_encoders_maps_come_first_and_have_the_same_names(pair, outputs):
    student, teacher = outputs
    assert list(student.taps) == list(teacher.taps)
    assert list(encoder_pairs(student, teacher)) == ENCODER_TAPS[pair[0].name]


def test_a_step_of_lix_reaches_every_parameter(pair):
    student, teacher = pair
    rgb, x, label = torch.rand(2, 3, 32, 64), torch.rand(2, 1, 32, 64), torch.randint(5, (2, 32, 64))
    distiller = Distiller(student, teacher, "lix", example=(rgb, x)).train()
    sum(distiller(Sample(rgb, x, x > 0, label)).values()).backward()
    trained = [(name, p) for name, p in distiller.named_parameters() if p.requires_grad]
    assert [name for name, p in trained if p.grad is None or not torch.isfinite(p.grad).all()] == []
