"""Distiller: which networks and labels it takes, what it leaves alone, and what it says of bad options."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn
from two_layers import C, Net, make, make_batch, outputs

from lixlib.core.sample import Sample
from lixlib.distillers import METHODS, Distiller, Method, build


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_labels_of_any_integer_type(dtype):
    batch = make_batch()
    distiller = make("lix", batch)
    expected = distiller(batch)
    found = distiller(replace(batch, label=batch.label.to(dtype)))
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    found = distiller(replace(batch, label=batch.label.to(dtype).numpy()))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_network_does_not_teach_itself():
    net = Net()
    with pytest.raises(ValueError, match="student and teacher are one network"):
        Distiller(net, net, "kd", example=(torch.rand(2, 3, 12, 20), None))
    assert all(p.requires_grad for p in net.parameters())


@pytest.mark.parametrize("method", ["none", "lix"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda y: y.float(), "integer labels are needed, found torch.float32"),
        (lambda y: y > 2, "integer labels are needed, found torch.bool"),
        (lambda y: y[:, 1:], r"found target \(2, 11, 20\) and logits \(2, 4, 12, 20\)"),
        (lambda y: y.clone().fill_(C), "label 4 at image 0, row 0, column 0"),
        (lambda y: y.clone().fill_(-1), "label -1 at image 0, row 0, column 0"),
    ],
)
def test_labels_that_cannot_be_used(method, change, message):
    batch = make_batch()
    distiller = make(method, batch)
    with pytest.raises(ValueError, match=message):
        distiller(replace(batch, label=change(batch.label)))


def test_none_trains_any_network():
    batch = make_batch()
    distiller = Distiller(Net(7, 1))
    assert set(distiller.train()(batch)) == {"ce"} and distiller.teacher is None
    with pytest.raises(ValueError, match="Net reads X in 1 channels"):
        distiller(Sample(batch.rgb, None, None, batch.label))


def test_building_changes_nothing():
    batch = make_batch()
    student, teacher = Net().train(), Net(7, 1)
    student.stem.eval()
    before = {k: v.clone() for k, v in student.state_dict().items()}
    distiller = Distiller(student, teacher, "arfd", example=(batch.rgb, batch.x))
    assert student.training and not student.stem.training and student.body.training
    assert all(torch.equal(v, before[k]) for k, v in student.state_dict().items())
    assert not distiller.teacher.training


def test_a_custom_output_will_do():
    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = Net()

        def forward(self, rgb):
            output = self.net(rgb)
            return type("Anything", (), {"logits": output.logits, "taps": output.taps})

    batch = make_batch()
    terms = Distiller(Plain(), Net(7, 1), "lix", example=batch)(batch)
    assert all(value.isfinite() for value in terms.values())


def test_errors():
    batch = make_batch()
    student, teacher, _ = outputs()
    with pytest.raises(ValueError, match="unknown method 'rd': choose one of kd, cwkd, dkd"):
        Distiller(Net(), Net(7, 1), "rd", example=batch)
    with pytest.raises(ValueError, match="DKD has no option 'gamma': it takes weight, alpha, beta, temperature"):
        make("dkd", batch, gamma=2)
    with pytest.raises(ValueError, match="DWLD has no option 'taps'"):
        build("lix", student, teacher, logit={"taps": ()})
    with pytest.raises(ValueError, match="no option 'weight'.*it takes none"):
        Distiller(Net(), weight=2)
    with pytest.raises(ValueError, match="needs a teacher"):
        Distiller(Net(), method="kd", example=batch)
    with pytest.raises(ValueError, match="the student has early, late; the teacher has a, b"):
        make("arfd", batch, teacher=Net(7, 1, names=("a", "b")))
    with pytest.raises(ValueError, match="no common tap deep: the student has early, late"):
        make("arfd", batch, taps=("early", "deep"))
    batch.label[1, 2, 3] = 9
    with pytest.raises(ValueError, match="label 9 at image 1, row 2, column 3"):
        Distiller(Net())(batch)
    for method, option, allowed in (
        ("arfd", {"kernel": "cosine"}, "kernel must be 'laplace', 'gaussian', 'linear' or 'none', found 'cosine'"),
        ("arfd", {"measure": "l1"}, "'cka', 'cosine', 'euclidean' or 'pearson'"),
        ("arfd", {"samples": "pixels"}, "'positions' or 'channels'"),
        ("arfd", {"smoother": True, "kernel": "linear"}, "smoother"),
        ("arfd", {"max_positions": 1}, "max_positions must be at least 2"),
        ("dwld", {"weighting": "fixed"}, "'joint', 'closed-form', 'reversed', 'normalised'"),
        ("dwld", {"divergence": "js"}, "'kl' or 'bregman'"),
        ("dwld", {"input": "both"}, "'student' or 'teacher'"),
        ("dwld", {"features": "z"}, "'probabilities' or 'logits'"),
        ("dwld", {"kind": "variance"}, "negentropy"),
        ("dwld", {"kind": "entropy", "weighting": "closed-form"}, "confidence in"),
        ("dwld", {"kind": "entropy", "weighting": "confidence-gap"}, "confidence in"),
        ("dwld", {"beta_min": 3, "beta_max": 2}, "beta_min <= beta_max"),
        ("dwld", {"depth": 0}, "depth must be at least 1"),
    ):
        with pytest.raises(ValueError, match=allowed):
            build(method, student, teacher, **option)


def test_an_image_without_labels_is_distilled_towards_what_the_teacher_sees():
    batch = make_batch(ignored=0.0)
    bare = replace(batch, label=torch.full_like(batch.label, 255))
    distiller = make("dkd", batch).eval()
    seen = replace(batch, label=distiller.teacher(batch.rgb, batch.x).logits.argmax(1))
    assert distiller(bare)["ce"] == 0
    torch.testing.assert_close(distiller(bare)["dkd"], distiller(seen)["dkd"])
    partly = replace(batch, label=batch.label.clone())
    partly.label[:, :6] = 255  # some labels: the rest stays ignored
    assert distiller(partly)["dkd"] != distiller(replace(partly, label=seen.label))["dkd"]


class Says(torch.nn.Module):
    def __init__(self, student, teacher, *, what="ok"):
        super().__init__()
        self.what = what

    def forward(self, student, teacher, target):
        one = student.logits.mean()
        return {
            "vector": {"own": one[None]},
            "float": {"own": 1.0},
            "nothing": None,
            "ce": {"ce": one},
            "epoch": {"epoch": one},
        }[self.what]


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("vector", r"Says returned a tensor \(1,\) as its term 'own': a tensor without dimensions is needed"),
        ("float", "Says returned float as its term 'own'"),
        ("nothing", "Says returned NoneType: a dictionary of loss terms by name is needed"),
        ("ce", "Says returned a term 'ce', which is the name of something else: rename it"),
        ("epoch", "Says returned a term 'epoch'"),
    ],
)
def test_terms_that_no_training_can_take_are_named(monkeypatch, what, message):
    monkeypatch.setitem(METHODS, "says", Method(partial(Says), "Says", "logit"))
    batch = make_batch()
    with pytest.raises(ValueError, match=message):
        make("says", batch, what=what)(batch)
