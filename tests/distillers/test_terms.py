"""What the loss terms of every method have in common: gradients, a frozen teacher, ignored pixels, weights."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from two_layers import ALL, C, Net, make, make_batch, methods, outputs, trainable

from lixlib.distillers import METHODS, build
from lixlib.distillers.common import default_options

# how a stage is trained is tested in test_stage.py
pytestmark = pytest.mark.filterwarnings("ignore:the stage of .* is as it was initialised")

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
