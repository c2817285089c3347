"""Distiller and its methods, on networks of two layers: terms, frozen teacher, adapters, options, controller."""

from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import nn

from lixlib.core.sample import Sample
from lixlib.distillers import DWLD, METHODS, Distiller, DynamicWeightController, PredictX, XHead, build
from lixlib.distillers.common import deepest_pair, default_options, encoder_pairs
from lixlib.distillers.dwld import WEIGHTINGS
from lixlib.functional import (
    attention_transfer_loss,
    cwkd_loss,
    decouple,
    dist_loss,
    fitnet_loss,
    gram,
    nst_loss,
    rkd_loss,
    sp_loss,
    wsld_loss,
)
from lixlib.nets import Output

# how a stage is trained is tested in test_stage.py
pytestmark = pytest.mark.filterwarnings("ignore:the stage of .* is as it was initialised")

C = 4
ALL = list(METHODS)
methods = pytest.mark.parametrize("method", ALL)


class Net(nn.Module):
    """Two convolutions with batch norm; taps at full and at half size."""

    def __init__(self, width=5, x_channels=None, names=("early", "late"), stride=2):
        super().__init__()
        self.x_channels, self.names = x_channels, names
        self.stem = nn.Sequential(nn.Conv2d(3 + (x_channels or 0), width, 3, padding=1), nn.BatchNorm2d(width))
        self.body = nn.Conv2d(width, 2 * width, 3, stride=stride, padding=1)
        self.head = nn.Conv2d(2 * width, C, 1)

    def forward(self, rgb, *x):
        assert len(x) == (self.x_channels is not None), "a student must not see X"
        early = self.stem(torch.cat([rgb, *x], 1))
        late = self.body(early.relu())
        logits = nn.functional.interpolate(self.head(late.relu()), rgb.shape[-2:])
        return Output(logits, dict(zip(self.names, (early, late), strict=True)))


def make_batch(size=2, h=12, w=20, ignored=0.2):
    label = torch.randint(C, (size, h, w))
    label[torch.rand(size, h, w) < ignored] = 255
    x = torch.rand(size, 1, h, w)
    return Sample(torch.rand(size, 3, h, w), x, x > 0, label, tuple("ab"[:size]))


def make(method, batch, teacher=None, **hyper):
    return Distiller(Net(), teacher or Net(7, 1), method, example=batch, **hyper)


def outputs(batch_size=2, h=6, w=9, widths=(3, 5), scale=2.0):
    def one(width):
        return Output(scale * torch.randn(batch_size, C, h, w), {"tap": torch.randn(batch_size, width, h, w)})

    return one(widths[0]), one(widths[1]), torch.randint(C, (batch_size, h, w))


def trainable(module):
    return {id(p) for p in module.parameters() if p.requires_grad}


TERMS = {"kd": {"kd"}, "dkd": {"dkd"}, "dwld": {"dwld"}, "arfd": {"arfd"}, "lix": {"dwld", "arfd"}}
OF_WEIGHT_ONE = {"noise", "autoencoder"}  # DiffKD's, which train its modules and not the student
NO_SIGNAL = {"rkd": 2, "sp": 1}  # images in a batch that have no relation to be taught


@methods
@pytest.mark.parametrize("size, h, w", [(2, 12, 20), (1, 9, 7)])
def test_terms_and_gradients(method, size, h, w):
    batch = make_batch(size, h, w)
    distiller = make(method, batch).train()
    terms = distiller(batch)
    assert list(terms)[0] == "ce"
    assert set(terms) - {"ce"} == TERMS.get(method, set(terms) - {"ce"}) and len(terms) > 1
    for name, value in terms.items():
        assert value.dim() == 0 and value.isfinite() and (value == 0) == (size <= NO_SIGNAL.get(name, 0)), name
    expected = nn.functional.cross_entropy(distiller.student(batch.rgb).logits, batch.label, ignore_index=255)
    torch.testing.assert_close(terms["ce"], expected)
    sum(terms.values()).backward()
    for name, parameter in distiller.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        else:
            assert parameter.grad is None, name
    grads = [p.grad for p in distiller.method.parameters() if p.requires_grad]
    assert any(grad.abs().max() > 0 for grad in grads) or not grads


@methods
def test_training_leaves_the_teacher_alone(method):
    batch = make_batch()
    distiller = make(method, batch).train()
    assert distiller.student.training and not any(m.training for m in distiller.teacher.modules())
    assert trainable(distiller) == trainable(distiller.student) | trainable(distiller.method)
    assert not any(key.startswith("method") for key in distiller.student.state_dict())
    assert distiller.student.state_dict().keys() == Net().state_dict().keys()
    before = {k: v.clone() for k, v in distiller.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in distiller.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        sum(distiller(batch).values()).backward()
        optimizer.step()
    for key, value in distiller.state_dict().items():
        if key.startswith("teacher"):
            assert torch.equal(value, before[key]), key
        elif key.startswith("student") and key.endswith("weight"):
            assert not torch.equal(value, before[key]), key


@methods
def test_autocast(method):
    batch = make_batch()
    distiller = make(method, batch).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = distiller(batch)
    assert all(value.dtype == torch.float32 and value.isfinite() for value in terms.values())
    sum(terms.values()).backward()
    assert all(p.grad.isfinite().all() for p in distiller.parameters() if p.requires_grad)


@methods
def test_without_any_label_the_teachers_classes_are_the_target(method):
    batch = make_batch(ignored=1.1)
    distiller = make(method, batch).train()
    terms = distiller(batch)
    assert terms["ce"] == 0
    if distiller.teacher is not None:
        seen = distiller.teacher(batch.rgb, batch.x).logits.argmax(1)
        labelled = distiller(replace(batch, label=seen))
        for name in terms.keys() & {"kd", "dkd", "dwld"}:
            torch.testing.assert_close(terms[name], labelled[name])
            assert terms[name] > 0
    sum(terms.values()).backward()
    assert all(p.grad.isfinite().all() for p in distiller.parameters() if p.requires_grad)


@pytest.mark.parametrize("method", ["kd", "dkd", "dwld"])
@pytest.mark.parametrize("weighting", ["joint", "normalised", "closed-form"])
def test_ignored_pixels_do_not_count(method, weighting):
    student, teacher, target = outputs()
    target[:, 3:] = 255
    term = build(method, student, teacher, **({"weighting": weighting} if method == "dwld" else {}))
    expected = term(student, teacher, target)[method]
    student.logits[:, :, 3:] += torch.randn(2, C, 3, 9)
    assert torch.equal(term(student, teacher, target)[method], expected)


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


@pytest.mark.parametrize("method", ["kd", "dkd", "dist", "wsld", "dwld"])
def test_a_teacher_that_fails_at_ignored_pixels_does_no_harm(method):
    batch = make_batch(ignored=0)
    batch.label[:, 6:] = 255
    distiller = make(method, batch, input="teacher") if method == "dwld" else make(method, batch)

    def fails_below(net, inputs, output):
        output.logits[:, :, 6:] = torch.nan

    distiller.teacher.register_forward_hook(fails_below)
    sum(distiller(batch).values()).backward()
    assert all(p.grad.isfinite().all() for p in distiller.parameters() if p.grad is not None)


# the others have a weight for each of their terms
@pytest.mark.parametrize("method", [name for name in ALL if "weight" in default_options(METHODS[name].make)])
def test_the_weight_multiplies(method):
    student, teacher, target = outputs(3)
    weight = default_options(METHODS[method].make)["weight"]
    terms = []
    for factor in (1, 0.1):
        torch.manual_seed(0)
        module = build(method, student, teacher, weight=factor * weight)
        terms.append(module(student, teacher, target))
    for name, value in terms[0].items():
        torch.testing.assert_close((1 if name in OF_WEIGHT_ONE else 0.1) * value, terms[1][name])


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
    with pytest.raises(ValueError, match="unknown method 'rd': choose one of none, kd, cwkd, dkd"):
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


def test_the_encoders_taps_end_at_the_deepest():
    sizes = {"conv2": 8, "conv3": 4, "conv4": 2, "decode4": 2, "decode3": 8}
    student = Output(None, {name: torch.rand(1, 2, n, n + 1, requires_grad=True) for name, n in sizes.items()})
    teacher = Output(None, {name: 2 * tap for name, tap in student.taps.items() if name != "conv2"})
    assert list(encoder_pairs(student, student)) == ["conv2", "conv3", "conv4"]
    pairs = encoder_pairs(student, teacher)
    assert list(pairs) == ["conv3", "conv4"]
    assert all(s is student.taps[name] and torch.equal(t, 2 * s) for name, (s, t) in pairs.items())
    assert not any(t.requires_grad for _, t in pairs.values())
    assert list(encoder_pairs(student, teacher, ["decode3", "conv3"])) == ["decode3", "conv3"]
    for name, expected in ((None, "conv4"), ("decode4", "decode4")):
        found, s, t = deepest_pair(student, teacher, name)
        assert found == expected and s is student.taps[found] and torch.equal(t, 2 * s) and not t.requires_grad
    for function, names in ((encoder_pairs, ["conv2"]), (deepest_pair, "conv2")):
        with pytest.raises(ValueError, match="no common tap conv2: the student has conv2, conv3"):
            function(student, teacher, names)


# the methods with one function


@pytest.mark.parametrize(
    "method, function",
    [("cwkd", cwkd_loss), ("dist", dist_loss), ("wsld", wsld_loss), ("fitnet", fitnet_loss), ("sp", sp_loss)],
)
def test_a_method_is_its_function(method, function):
    student, teacher, target = outputs(3, widths=(4, 4))
    module = build(method, student, teacher, weight=2.0)
    found = module(student, teacher, target)[method]
    if method == "cwkd":
        expected = cwkd_loss(student.logits, teacher.logits, temperature=4.0)
    elif method in ("dist", "wsld"):
        expected = function(student.logits, teacher.logits, target)
    else:
        s = module.adapter(student.taps["tap"]) if method == "fitnet" else student.taps["tap"]
        expected = function(s, teacher.taps["tap"])
    torch.testing.assert_close(found, 2 * expected)


@pytest.mark.parametrize("method, function", [("at", attention_transfer_loss), ("nst", nst_loss)])
def test_at_and_nst_sum_over_the_taps(method, function):
    student, teacher, target = outputs()
    pairs = {"early": (12, 18), "tap": (6, 9), "late": (12, 18)}
    taps = [{name: torch.randn(2, width, *size) for name, size in pairs.items()} for width in (3, 5)]
    student, teacher = (o._replace(taps=t) for o, t in zip((student, teacher), taps, strict=True))
    each = {name: function(taps[0][name], taps[1][name]) for name in pairs}
    found = build(method, student, teacher, weight=2.0)(student, teacher, target)[method]
    torch.testing.assert_close(found, 2 * (each["early"] + each["tap"]))
    found = build(method, student, teacher, weight=2.0, taps=("late",))(student, teacher, target)[method]
    torch.testing.assert_close(found, 2 * each["late"])


def test_rkd_compares_the_averages_of_the_deepest_map():
    student, teacher, target = outputs(4)
    found = build("rkd", student, teacher)(student, teacher, target)["rkd"]
    torch.testing.assert_close(found, rkd_loss(*(o.taps["tap"].mean((2, 3)) for o in (student, teacher))))
    assert build("rkd", student, teacher, distance_weight=0, angle_weight=0)(student, teacher, target)["rkd"] == 0


def test_fitnet_has_one_convolution_and_takes_maps_of_any_size():
    student, teacher, target = outputs()
    large = Output(teacher.logits, {"tap": torch.randn(2, 5, 11, 18)})
    fitnet = build("fitnet", student, large)
    assert [tuple(p.shape) for p in fitnet.parameters()] == [(5, 3, 1, 1)]
    assert fitnet(student, large, target)["fitnet"] > 0


# ARFD


@pytest.mark.parametrize("samples", ["positions", "channels"])
@pytest.mark.parametrize("measure", ["cka", "cosine", "euclidean", "pearson"])
@pytest.mark.parametrize(
    "kernel, smoother", [("laplace", 0), ("gaussian", 0), ("linear", 0), ("none", 0), ("laplace", 1)]
)
def test_arfd_options(samples, measure, kernel, smoother):
    student, teacher, target = outputs()
    student.taps["tap"].requires_grad_()
    teacher.taps["tap"].requires_grad_()
    arfd = build("arfd", student, teacher, samples=samples, measure=measure, kernel=kernel, smoother=bool(smoother))
    value = arfd(student, teacher, target)["arfd"]
    value.backward()
    gradient = student.taps["tap"].grad
    assert value > 0 and gradient.isfinite().all() and gradient.abs().max() > 0
    assert teacher.taps["tap"].grad is None
    assert arfd.adapters[0].weight.grad.abs().max() > 0


@pytest.mark.parametrize("measure", ["cka", "cosine", "euclidean", "pearson"])
@pytest.mark.parametrize("samples", ["positions", "channels"])
def test_arfd_of_equal_features_is_zero(measure, samples):
    student, teacher, target = outputs(widths=(4, 4))
    arfd = build("arfd", student, teacher, measure=measure, samples=samples)
    nn.init.dirac_(arfd.adapters[0].weight)
    nn.init.zeros_(arfd.adapters[0].bias)
    assert arfd(teacher, teacher, target)["arfd"].item() == pytest.approx(0, abs=1e-6)
    assert arfd.similarity(teacher, teacher)["tap"] == pytest.approx(1, abs=1e-6)
    assert 0 < arfd.similarity(student, teacher)["tap"] < 0.995  # four rows of noise: biased CKA is near 1


@pytest.mark.parametrize(
    "student, teacher, limit, expected",
    [
        ((6, 9), (6, 9), 256, (6, 9)),
        ((32, 104), (32, 104), 256, (8, 28)),
        ((12, 9), (6, 18), 256, (6, 9)),
        ((1, 900), (2, 900), 256, (1, 256)),
    ],
)
def test_arfd_map_sizes(student, teacher, limit, expected):
    s, t = (Output(torch.randn(1, C, 4, 4), {"tap": torch.randn(1, 3, *size)}) for size in (student, teacher))
    arfd = build("arfd", s, t, max_positions=limit)
    aligned = arfd._align(s.taps["tap"], t.taps["tap"], arfd.adapters[0])
    assert all(tuple(f.shape) == (1, expected[0] * expected[1], 3) for f in aligned)
    assert arfd(s, t, None)["arfd"].isfinite()


def test_arfd_adapts_only_the_student_and_survives_dead_features():
    student, teacher, target = outputs(widths=(3, 5))
    arfd = build("arfd", student, teacher)
    assert [tuple(p.shape) for p in arfd.parameters()] == [(5, 3, 1, 1), (5,)]
    dead = Output(teacher.logits, {"tap": -torch.ones_like(teacher.taps["tap"])})
    student.taps["tap"].requires_grad_()
    value = arfd(student, dead, target)["arfd"]
    value.backward()
    assert value == 1 and (student.taps["tap"].grad == 0).all()


@pytest.mark.parametrize("measure", ["cka", "cosine", "pearson"])
@pytest.mark.parametrize("kernel", ["none", "laplace", "linear"])
def test_arfd_of_a_dead_map_gives_no_gradient(measure, kernel):
    student, teacher, target = outputs()
    student.taps["tap"] = torch.zeros_like(student.taps["tap"], requires_grad=True)
    arfd = build("arfd", student, teacher, measure=measure, kernel=kernel)
    nn.init.ones_(arfd.adapters[0].bias)  # constant above 0: the ReLU lets the gradient through
    arfd(student, teacher, target)["arfd"].backward()
    assert (student.taps["tap"].grad.abs() < 1e-3).all() and arfd.adapters[0].weight.grad.abs().max() < 1e-3


def test_arfd_needs_two_samples():
    student, teacher, _ = outputs(h=1, w=1)
    with pytest.raises(ValueError, match="tap 'tap' has 1 of positions"):
        build("arfd", student, teacher)


def test_distillation_brings_the_features_together():
    batch = make_batch()
    distiller = make("arfd", batch).train()
    with torch.no_grad():
        teacher = distiller.teacher(batch.rgb, batch.x)
    before = distiller.method.similarity(distiller.student(batch.rgb), teacher)
    optimizer = torch.optim.Adam([p for p in distiller.parameters() if p.requires_grad], lr=0.01)
    for _ in range(30):
        optimizer.zero_grad()
        distiller(batch)["arfd"].backward()
        optimizer.step()
    after = distiller.method.similarity(distiller.student(batch.rgb), teacher)
    assert set(after) == {"early", "late"} and all(after[name] > before[name] for name in after)


@pytest.mark.parametrize("factor", [0.3, 3.0])
@pytest.mark.parametrize("bandwidth", [None, 2.0])
@pytest.mark.parametrize("kernel", ["laplace", "gaussian", "linear"])
def test_arfd_bandwidth_factor_scales_the_bandwidth(kernel, bandwidth, factor):
    student, teacher, target = outputs()
    arfd = build("arfd", student, teacher, kernel=kernel, bandwidth=bandwidth, bandwidth_factor=factor)
    f = torch.randn(2, 7, 5)
    gap, pairs = (f[:, :, None] - f[:, None]).abs(), 7 * 6
    mean = {"laplace": gap.sum((1, 2, 3)) / pairs, "gaussian": (gap.square().sum((1, 2, 3)) / pairs).sqrt()}
    own = mean.get(kernel, torch.ones(2)).tolist() if bandwidth is None else [bandwidth] * 2  # of each image
    expected = torch.stack([gram(one, kernel=kernel, bandwidth=s * factor) for one, s in zip(f, own, strict=True)])
    torch.testing.assert_close(arfd._recalibrate(f), expected)
    plain = build("arfd", student, teacher, kernel=kernel, bandwidth=bandwidth)
    plain.load_state_dict(arfd.state_dict())
    values = [module(student, teacher, target)["arfd"] for module in (arfd, plain)]
    assert torch.equal(*values) == (kernel == "linear")


def test_arfd_bandwidth_factor_must_be_above_zero():
    student, teacher, _ = outputs()
    with pytest.raises(ValueError, match="bandwidth_factor must be above 0, found 0"):
        build("arfd", student, teacher, bandwidth_factor=0)


def test_arfd_adapts_both_sides_if_asked():
    student, teacher, target = outputs(widths=(3, 5))
    teacher.taps["tap"].requires_grad_()
    arfd = build("arfd", student, teacher, adapters="both")
    shapes = {name: tuple(p.shape) for name, p in arfd.named_parameters()}
    assert shapes["adapters.0.weight"] == (5, 3, 1, 1) and shapes["teacher_adapters.0.weight"] == (5, 5, 1, 1)
    value = arfd(student, teacher, target)["arfd"]
    value.backward()
    assert all(p.grad.abs().max() > 0 for p in (arfd.adapters[0].weight, arfd.teacher_adapters[0].weight))
    assert teacher.taps["tap"].grad is None, "the teacher itself learns nothing"
    one = build("arfd", student, teacher)
    one.adapters.load_state_dict(arfd.adapters.state_dict())
    nn.init.dirac_(arfd.teacher_adapters[0].weight)
    nn.init.zeros_(arfd.teacher_adapters[0].bias)
    torch.testing.assert_close(arfd(student, teacher, target)["arfd"], one(student, teacher, target)["arfd"])
    assert arfd.similarity(student, teacher) == pytest.approx(one.similarity(student, teacher))
    with pytest.raises(ValueError, match="adapters must be 'student' or 'both', found 'teacher'"):
        build("arfd", student, teacher, adapters="teacher")


# Predicting X


def plain_x_loss(head, features, x, valid):
    """Written out: 1x1 convolution, bilinear to the size of X, the mean |error| over valid pixels and channels."""
    weight, bias = head.weight[:, :, 0, 0], head.bias
    maps = torch.einsum("oc,bchw->bohw", weight, features) + bias[:, None, None]
    maps = nn.functional.interpolate(maps, size=x.shape[-2:], mode="bilinear")
    errors = [
        (maps[b, c, i, j] - x[b, c, i, j]).abs()
        for b, c, i, j in product(*map(range, x.shape))
        if valid[b, min(c, valid.shape[1] - 1), i, j]
    ]
    return torch.stack(errors).mean()


@pytest.mark.parametrize("channels", [1, 3])
def test_x_head_is_its_transcription(channels):
    batch = make_batch(h=6, w=8)
    batch = replace(batch, x=torch.rand(2, channels, 6, 8), valid=torch.rand(2, 1, 6, 8) > 0.3)
    student = Net()
    output = student(batch.rgb)
    head = XHead(output, channels)
    assert head.tap == "early" and head.head.weight.shape == (channels, 5, 1, 1)
    expected = plain_x_loss(head.head, output.taps["early"], batch.x, batch.valid)
    torch.testing.assert_close(head(output, batch), expected)
    model = PredictX(student, batch)
    model.head = head
    torch.testing.assert_close(model(batch)["x"], expected)


def test_x_head_takes_the_decoders_map_of_two_of_one_size():
    maps = {"encoder": torch.zeros(1, 4, 6, 8), "deep": torch.zeros(1, 9, 3, 4), "decoder": torch.zeros(1, 2, 6, 8)}
    head = XHead(Output(torch.zeros(1, C, 6, 8), maps), 1)
    assert head.tap == "decoder" and head.head.in_channels == 2


def test_invalid_x_does_not_count():
    batch = make_batch()
    valid = torch.rand(2, 1, 12, 20) > 0.5
    batch = replace(batch, valid=valid)
    student = Net()
    output = student(batch.rgb)
    head = XHead(output, 1)
    expected = head(output, batch)
    wrong = batch.x.where(valid, float("inf"))
    value = head(output, replace(batch, x=wrong))
    assert torch.equal(value, expected)
    value.backward()
    assert all(p.grad.isfinite().all() for p in (*head.parameters(), student.stem[0].weight))
    nothing = head(output, replace(batch, valid=torch.zeros_like(valid)))
    assert nothing == 0, "no valid pixel: no loss, no NaN"


def test_predicting_x_is_one_more_term_that_ignores_labels():
    batch = make_batch()
    torch.manual_seed(1)
    one = make("kd", batch, auxiliary=0.5).train()
    terms = one(batch)
    assert list(terms) == ["ce", "x", "kd"]
    torch.testing.assert_close(terms["x"], 0.5 * one.x_head(one.student(batch.rgb), batch))
    assert torch.equal(one(replace(batch, label=torch.full_like(batch.label, 255)))["x"], terms["x"])
    assert trainable(one) == trainable(one.student) | trainable(one.method) | trainable(one.x_head)
    assert not any("x_head" in key for key in one.student.state_dict())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert one(batch)["x"].dtype == torch.float32
    alone = Distiller(Net(), example=batch, auxiliary=2.0)
    assert list(alone(batch)) == ["ce", "x"] and make("kd", batch).x_head is None


def test_pretraining_learns_x_from_rgb():
    batch = make_batch()
    batch = replace(batch, x=batch.rgb.mean(1, keepdim=True))  # RGB tells it
    model = PredictX(Net(), batch).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    values = []
    for _ in range(30):
        terms = model(batch)
        values.append(terms["x"].item())
        optimizer.zero_grad()
        terms["x"].backward()
        optimizer.step()
    assert list(terms) == ["x"] and values[-1] < 0.5 * values[0]


# DWLD


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("divergence", ["kl", "bregman"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"input": "teacher", "kind": "squares"},
        {"with_confidence": False, "features": "logits"},
        {"depth": 1, "kind": "max"},
        {"depth": 5, "dropout": 0.5, "hidden": 8, "temperature": 4.0},
    ],
)
def test_dwld_options(weighting, divergence, options):
    student, teacher, target = outputs()
    target[0, :3] = 255
    student.logits.requires_grad_()
    teacher.logits.requires_grad_()
    dwld = build("dwld", student, teacher, weighting=weighting, divergence=divergence, **options)
    value = dwld(student, teacher, target)["dwld"]
    value.backward()
    assert value.isfinite() and student.logits.grad.isfinite().all() and student.logits.grad.abs().max() > 0
    assert teacher.logits.grad is None
    assert (dwld.controller is None) == (weighting in ("closed-form", "confidence-gap", "focal"))
    assert all(p.grad.isfinite().all() for p in dwld.parameters())
    weights = dwld.weights(student, teacher, target)
    assert weights.shape == student.logits.shape and (weights > 0).all()
    if weighting != "normalised":
        assert weights.min() >= 1 and weights.max() <= 10


def test_the_weights_pass_no_gradient_to_the_student():
    student, teacher, target = outputs()
    student.logits.requires_grad_()
    for weighting in WEIGHTINGS:
        weights = build("dwld", student, teacher, weighting=weighting).weights(student, teacher, target)
        assert (
            not weights.requires_grad
            or torch.autograd.grad(weights.sum(), student.logits, allow_unused=True)[0] is None
        )


def test_closed_form_follows_the_confidence():
    student, teacher, _ = outputs()
    student.logits[0, :, 0, 0] = 0
    student.logits[0, :, 0, 1] = torch.tensor([100.0, 0, 0, 0])
    weights = build("dwld", student, teacher, weighting="closed-form", beta_min=2, beta_max=6).weights(student)
    torch.testing.assert_close(weights[0, :, 0, 0], torch.full((C,), 6.0))
    torch.testing.assert_close(weights[0, :, 0, 1], torch.full((C,), 2.0))


def test_confidence_gap_is_where_the_teacher_is_sure_and_the_student_is_not():
    student, teacher, _ = outputs()
    sure, unsure = torch.tensor([100.0, 0, 0, 0]), torch.zeros(C)
    pixels = {(0, 0): (unsure, sure, 6.0), (0, 1): (sure, unsure, 2.0), (0, 2): (sure, sure, 2.0)}
    for (row, column), (s, t, _) in pixels.items():
        student.logits[0, :, row, column], teacher.logits[0, :, row, column] = s, t
    dwld = build("dwld", student, teacher, weighting="confidence-gap", beta_min=2, beta_max=6)
    weights = dwld.weights(student, teacher)
    for (row, column), (_, _, expected) in pixels.items():
        torch.testing.assert_close(weights[0, :, row, column], torch.full((C,), expected))


def test_focal_grows_with_ncld():
    student, teacher, target = outputs()
    teacher.logits[0, :, 0, 0] = student.logits[0, :, 0, 0]
    dwld = build("dwld", student, teacher, weighting="focal", beta_min=2, beta_max=6)
    weights = dwld.weights(student, teacher, target)
    torch.testing.assert_close(weights[0, :, 0, 0], torch.full((C,), 2.0))
    ncld = decouple(student.logits, teacher.logits, target)[1]
    torch.testing.assert_close(weights[:, 0], 6 - 4 * (-ncld).exp())


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ({"weighting": "confidence-gap"}, "confidence-gap reads the teacher: pass it"),
        ({"weighting": "focal"}, "focal reads the teacher and the target: pass"),
        ({"weighting": "joint", "input": "teacher"}, "reads the teacher: pass it"),
    ],
)
def test_weights_say_what_they_need(options, missing):
    student, teacher, _ = outputs()
    with pytest.raises(ValueError, match=missing):
        build("dwld", student, teacher, **options).weights(student)


def test_normalised_keeps_the_mean():
    student, teacher, target = outputs()
    target[1, 2:] = 255
    dwld = build("dwld", student, teacher, weighting="normalised")
    nn.init.normal_(dwld.controller.mlp[-1].weight)
    weights = dwld.weights(student, teacher, target).movedim(1, -1)
    valid = target != 255
    non_target = ~nn.functional.one_hot(target[valid], C).bool()
    assert weights[valid][non_target].mean().item() == pytest.approx(5.5, rel=1e-5)


def test_lix_is_dwld_and_arfd():
    student, teacher, target = outputs()
    torch.manual_seed(1)
    lix = build(
        "lix",
        student,
        teacher,
        lambda_l=0.5,
        lambda_f=2,
        logit={"weighting": "closed-form"},
        feature={"kernel": "linear"},
    )
    torch.manual_seed(1)
    dwld = build("dwld", student, teacher, weight=0.5, weighting="closed-form")(student, teacher, target)
    arfd = build("arfd", student, teacher, weight=2, kernel="linear")(student, teacher, target)
    assert lix(student, teacher, target) == {**dwld, **arfd}


def train_toy(weighting, divergence="kl", steps=250):
    """Student logits and controller, trained on one pixel whose teacher is (.6, .3, .1) beside the target class."""
    teacher = Output(torch.log(torch.tensor([0.5, 0.3, 0.15, 0.05])).view(1, C, 1, 1), {})
    student = Output(torch.zeros(1, C, 1, 1, requires_grad=True), {})
    dwld = DWLD(student, teacher, weighting=weighting, divergence=divergence)
    optimizer = torch.optim.Adam([student.logits, *dwld.parameters()], lr=0.04)
    target = torch.zeros(1, 1, 1, dtype=torch.int64)
    for _ in range(steps):
        optimizer.zero_grad()
        dwld(student, teacher, target)["dwld"].backward()
        optimizer.step()
    q = student.logits.detach()[0, 1:, 0, 0].softmax(0)
    return q, dwld.weights(student).detach()[0, 1:, 0, 0]


def test_a_controller_trained_jointly_exploits_the_weighted_kl():
    q, w = train_toy("joint")
    torch.testing.assert_close(w, torch.tensor([1.0, 10, 10]), rtol=0, atol=0.3)
    torch.testing.assert_close(q, torch.tensor([0.13, 0.65, 0.22]), rtol=0, atol=0.03)  # the teacher says .6, .3, .1


@pytest.mark.parametrize("weighting", ["joint", "reversed", "closed-form"])
def test_bregman_finds_the_teacher_whatever_the_weights(weighting):
    q, _ = train_toy(weighting, "bregman")
    torch.testing.assert_close(q, torch.tensor([0.6, 0.3, 0.1]), rtol=0, atol=0.02)


def test_joint_weights_fall_and_reversed_weights_rise():
    student, teacher, target = outputs()
    moved = {}
    for weighting in ("joint", "reversed"):
        torch.manual_seed(0)
        dwld = build("dwld", student, teacher, weighting=weighting, divergence="bregman")
        before = dwld.weights(student).mean()
        optimizer = torch.optim.SGD(dwld.parameters(), lr=0.1)
        for _ in range(20):
            optimizer.zero_grad()
            dwld(student, teacher, target)["dwld"].backward()
            optimizer.step()
        moved[weighting] = (dwld.weights(student).mean() - before).item()
    assert moved["joint"] < -0.5 and moved["reversed"] > 0.5


def test_reversal_leaves_the_students_gradient():
    student, teacher, target = outputs()
    gradients = []
    for weighting in ("joint", "reversed"):
        torch.manual_seed(0)
        dwld = build("dwld", student, teacher, weighting=weighting)
        logits = student.logits.clone().requires_grad_()
        dwld(Output(logits, {}), teacher, target)["dwld"].backward()
        gradients.append((logits.grad, dwld.controller.mlp[0].weight.grad))
    assert torch.equal(gradients[0][0], gradients[1][0])
    assert torch.equal(gradients[0][1], -gradients[1][1])


def test_controller_is_an_mlp_on_every_pixel():
    controller = DynamicWeightController(C, hidden=8)
    assert [m.out_channels for m in controller.mlp if isinstance(m, nn.Conv2d)] == [8, 8, C]
    assert controller.mlp[0].in_channels == C + 1
    logits = torch.randn(2, C, 3, 5)
    pixel = controller(logits[1:, :, 2:, 3:4])
    torch.testing.assert_close(controller(logits)[1:, :, 2:, 3:4], pixel)


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


# Methods with modules of their own


@methods
def test_batch_norm_of_a_single_value_says_what_to_do(method):
    student, teacher, target = outputs(1, h=1, w=1, widths=(9, 16))
    try:
        module = build(method, student, teacher)
    except ValueError as error:  # it compares positions
        assert "two are needed" in str(error)
        return
    if any(isinstance(layer, nn.BatchNorm2d) and layer.training for layer in module.modules()):
        with pytest.raises(ValueError, match=r"tap 'tap' is \(1, 9, 1, 1\): take a larger batch, larger images or"):
            module(student, teacher, target)
        two = outputs(2, h=1, w=1, widths=(9, 16))
        assert all(value.isfinite() for value in module(*two).values())
        module.eval()
    assert all(value.isfinite() for value in module(student, teacher, target).values())


@methods
def test_taps_of_different_sizes(method):
    (student, _, target), (_, teacher, _) = outputs(h=6, w=9, widths=(9, 16)), outputs(h=12, w=5, widths=(9, 16))
    teacher = teacher._replace(logits=student.logits + 1)
    student.taps["tap"].requires_grad_()
    terms = build(method, student, teacher)(student, teacher, target)
    assert all(value.isfinite() for value in terms.values())


def test_vid_starts_with_a_variance_of_five_and_trains_it():
    student, teacher, target = outputs()
    vid = build("vid", student, teacher)
    (raw,) = vid.raw_variances
    torch.testing.assert_close(nn.functional.softplus(raw) + 1e-5, torch.full((5,), 5.0))
    vid(student, teacher, target)["vid"].backward()
    assert raw.grad.abs().min() > 0


def test_pad_bounds_the_variance():
    student, teacher, target = outputs()
    pad = build("pad", student, teacher)
    nn.init.constant_(pad.head[1].bias, -1e9)
    projected = pad.projection(student.taps["tap"])
    expected = ((projected - teacher.taps["tap"]).square() / (1e-6 + torch.tensor(-10.0).exp()) - 10).mean()
    torch.testing.assert_close(pad(student, teacher, target)["pad"], expected)


@pytest.mark.parametrize(
    "channels, size, groups, fit",
    [(132, (3, 10), 12, (3, 1)), (16, (64, 96), 16, (4, 4)), (7, (6, 40), 7, (4, 1)), (34, (1, 1), 2, (1, 1))],
)
def test_afdcd_fits_groups_patch_and_pooling_to_the_map(channels, size, groups, fit):
    student, teacher, target = outputs(h=size[0], w=size[1], widths=(5, channels))
    afdcd = build("afdcd", student, teacher)
    assert (afdcd.groups, afdcd._fit(teacher.taps["tap"])) == (groups, fit)
    terms = afdcd(student, teacher, target)
    assert set(terms) == {"distance", "contrast", "kd"} and all(value.isfinite() for value in terms.values())


def test_afdcd_rebuilds_from_a_quarter_of_the_positions():
    student, teacher, target = outputs(h=30, w=40, widths=(4, 4))
    afdcd, seen = build("afdcd", student, teacher), []
    afdcd.projector.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    afdcd(student, teacher, target)
    hidden = (seen[0] == 0).all(1)
    assert (~hidden).float().mean().item() == pytest.approx(0.25, abs=0.03)
    torch.testing.assert_close(seen[0][0, :, ~hidden[0]], afdcd.align(student.taps["tap"])[0, :, ~hidden[0]])


def test_diffkd_takes_the_noise_out_in_five_steps():
    student, teacher, _ = outputs(h=4, w=4, widths=(5, 20))
    diffkd = build("diffkd", student, teacher)
    assert diffkd.times == [400, 300, 200, 100, 0] and diffkd.head[0].in_channels == 10
    assert build("diffkd", student, teacher, steps=2).times == [250, 0]
    signal, noise = torch.randn(2, 10, 4, 4), torch.randn(2, 10, 4, 4)
    level = diffkd.levels[400]
    start = level**0.5 * signal + (1 - level) ** 0.5 * noise
    diffkd.adapter.forward = lambda x: 1.0
    diffkd.predictor.forward = lambda x, times: noise  # it knows
    diffkd.head = nn.Identity()
    torch.testing.assert_close(diffkd.denoise(start), signal, rtol=1e-4, atol=1e-4)


def test_only_diffkd_s_own_term_teaches_the_student():
    student, teacher, target = outputs()
    student.taps["tap"].requires_grad_()
    terms = build("diffkd", student, teacher)(student, teacher, target)
    assert terms["noise"].requires_grad and terms["autoencoder"].requires_grad
    for name in ("noise", "autoencoder"):
        (gradient,) = torch.autograd.grad(terms[name], student.taps["tap"], allow_unused=True, retain_graph=True)
        assert gradient is None
    assert torch.autograd.grad(terms["diffkd"], student.taps["tap"])[0].abs().max() > 0
