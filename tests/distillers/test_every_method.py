"""Every method trains end to end on ToyDrive: two short epochs, every loss term finite, and their sum falling.

And every method fits the maps of every network; and one's own method, network and data set need no other file.
"""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from lixlib import data, nets
from lixlib.data import Classes, Sample
from lixlib.distillers import METHODS, Distiller, Method, build
from lixlib.distillers.common import encoder_pairs
from lixlib.lab import results
from lixlib.lab.demo import four_networks
from lixlib.lab.recipe import Recipe
from lixlib.lab.run import run
from lixlib.lab.statistics import estimates
from lixlib.lab.tables import gain_table
from tools.dev.readme_tables import table

QUICK = Recipe(
    network_options={"width": 0.5},
    size=(32, 64),
    epochs=2,
    splits=("train", None, "test"),
    dataset_options={"count": 16, "eval_count": 8},
    unlabelled=16,
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One folder for all, so that the teacher is trained once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIX_RUNS", str(tmp_path_factory.mktemp("runs")))
        yield


@pytest.mark.parametrize("method", ["teacher", "student", "mean-teacher", *METHODS])
def test_loss_is_finite_and_falls(method, runs):
    hyper = {"stage_epochs": 2} if method in ("ft", "maskd") else {}
    recipe = QUICK.of_teacher() if method == "teacher" else replace(QUICK, method=method, method_options=hyper)
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


@pytest.mark.parametrize("method", list(METHODS))
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


class OwnMethod(nn.Module):
    """Compares the brightness of the maps."""

    def __init__(self, student, teacher, *, weight: float = 1.0, tap: str = "only"):
        super().__init__()
        self.weight, self.tap = weight, tap

    def forward(self, student, teacher, target):
        gap = student.taps[self.tap].mean((1, 2, 3)) - teacher.taps[self.tap].mean((1, 2, 3))
        return {"own": self.weight * gap.square().mean()}


class OwnNet(nn.Module):
    """One convolution; a student does not even have the attribute x_channels."""

    def __init__(self, num_classes, x_channels=None, *, width: int = 6):
        super().__init__()
        if x_channels is not None:
            self.x_channels = x_channels
        self.body = nn.Conv2d(3 + (x_channels or 0), width, 3, padding=1)
        self.head = nn.Conv2d(width, num_classes, 1)

    def forward(self, rgb, *x):
        features = self.body(torch.cat([rgb, *x], 1))
        return nets.Output(self.head(features.relu()), {"only": features})


class OwnData(torch.utils.data.Dataset):
    """Images whose brightness tells the class; nothing is read from the folder."""

    x_channels, classes = 1, Classes(("dark", "bright"), None)

    def __init__(self, root, split, *, size, with_x=True):
        self.name, self.split, self.size = "own-data", split, size

    def __len__(self):
        return 8

    def __getitem__(self, index):
        if not 0 <= index < len(self):
            raise IndexError(index)
        generator = torch.Generator().manual_seed(index + 100 * len(self.split))
        rgb = torch.rand(3, *self.size, generator=generator)
        label = (rgb.mean(0) > 0.5).long()
        return Sample(rgb, label[None].float(), torch.ones(1, *self.size, dtype=torch.bool), label, f"own{index}")


@pytest.fixture
def own(monkeypatch, tmp_path):
    """One's own method, network and data set in the four tables where things have their names."""
    monkeypatch.setenv("LIX_RUNS", str(tmp_path / "runs"))
    monkeypatch.setitem(METHODS, "own", Method(OwnMethod, "Own", "logit"))
    monkeypatch.setitem(nets.NETWORKS, "own-net", OwnNet)
    monkeypatch.setattr(data, "DATASETS", dict(data.DATASETS))
    data.register("own-data", data.Entry(OwnData, (16, 24), 1, ("train", "val", "test")))


def test_what_one_adds_is_trained_reported_and_compared(own, tmp_path):
    common = {
        "dataset": "own-data",
        "root": str(tmp_path),
        "network": "own-net",
        "network_options": {"width": 8},
        "batch_size": 4,
    }
    recipe = Recipe(**common, method="own", method_options={"weight": 0.5})
    runs = [
        run(each, device="cpu", progress=False)
        for each in (replace(recipe, method="student", method_options={}), recipe)
    ]
    assert runs[1].line["hyper"] == {"weight": 0.5, "tap": "only", "net": {"width": 8}}
    assert set(runs[1].log[0]) == {"epoch", "ce", "own", "mIoU", "seconds"}
    for finished in runs:
        path = results.append(finished.line, tmp_path / "results")
    lines = results.read(tmp_path / "results", "own-data", "own-net")
    assert path.name == "own-net.jsonl" and list(results.by_method(lines)) == ["student", "own"]
    found = results.by_method(lines)
    assert results.NAMES["own"] == "Own" and "own" not in results.NAMES
    assert results.gains(found, "own").keys() == {0} and "| Own |" in table(lines)
    assert list(estimates(found, "student")) == ["own"] and "| own |" in gain_table(found, "student")


@pytest.mark.parametrize("network", OPTIONS)
def test_ones_own_method_is_asked_for_by_name(own, network):
    distilled = four_networks(method="own", network=network, lambda_l=0.5, quick=True)["distilled"]
    assert distilled.options == {"weight": 0.5} and distilled.of_teacher().method == "teacher"
    with pytest.raises(ValueError, match="OwnMethod has no option 'wait': it takes weight, tap"):
        Recipe(method="own", method_options={"wait": 1})
