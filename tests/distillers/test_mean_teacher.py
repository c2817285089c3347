"""The mean teacher: its average and its term against their definitions, what it reads, and that a kill costs nothing.

That two processes train it alike is tested in test_parallel.py, that a quick recipe learns in test_every_method.py.
"""

import math
import shutil
from dataclasses import replace

import pytest
import torch
from test_train import SIZE, Scenes, assert_same, train, without_seconds
from two_layers import Net, make_batch, outputs

from lixlib.core.files import read_json_lines
from lixlib.data import Augment, collate
from lixlib.data.unlabelled import Unlabelled, WithUnlabelled
from lixlib.distillers import Distiller, build
from lixlib.functional import kd_loss
from lixlib.lab.grid import grid
from lixlib.lab.inputs import Inputs
from lixlib.lab.plan import plan
from lixlib.lab.recipe import Recipe
from lixlib.lab.results import NAMES
from lixlib.lab.run import run
from lixlib.training import Schedule


def mean_teacher(**options) -> Distiller:
    torch.manual_seed(0)
    return Distiller(Net(), method="mean-teacher", **options).train()


def states_of_updates(model, batch, count):
    """The student's floats before the first update and after each, in float64; the average has taken in all of them."""
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    found = []
    for _ in range(count + 1):
        state = model.student.state_dict()
        found.append({name: tensor.double() for name, tensor in state.items() if tensor.is_floating_point()})
        terms = model(batch)
        optimizer.zero_grad()
        sum(terms.values()).backward()
        optimizer.step()
    return found


@pytest.mark.parametrize("decay", [0.99, 0.5, 0.0])
def test_the_average_after_some_updates_is_that_of_the_definition(decay):
    model, n = mean_teacher(decay=decay), 5
    states = states_of_updates(model, make_batch(), n)
    if decay == 0.99:  # n / (n + 1) is smaller, and the average still the plain mean
        shares = [1 / (n + 1)] * (n + 1)
    else:  # from the first update on d is `decay`
        shares = [decay**n, *((1 - decay) * decay ** (n - i) for i in range(1, n + 1))]
    average = model.method.average.state_dict()
    for name in states[0]:
        expected = sum(share * state[name] for share, state in zip(shares, states, strict=True))
        torch.testing.assert_close(average[name].double(), expected, rtol=1e-5, atol=1e-7)
    assert not torch.equal(average["head.weight"], model.student.state_dict()["head.weight"])
    assert average["stem.1.num_batches_tracked"] == n, "whole numbers are copied"
    assert any(name.endswith("running_var") for name in states[0])


def test_weights_that_changed_before_the_first_update_are_taken_over():
    model = mean_teacher()  # a student that was pretrained, after the distiller was made
    with torch.no_grad():
        model.student.head.weight.fill_(3)
    model(make_batch())
    assert (model.method.average.head.weight == 3).all()


@pytest.mark.parametrize("consistency", ["mse", "kl"])
def test_the_term_is_that_of_the_definition(consistency):
    model = mean_teacher(weight=7.0, ramp_up=4, consistency=consistency)
    student, average, label = outputs()
    label[0, :2] = 255
    valid = label != 255
    p, q = (output.logits.double().softmax(1).movedim(1, -1)[valid] for output in (student, average))
    distance = (p - q).square().mean() if consistency == "mse" else (q * (q / p).log()).sum(1).mean()
    for n in range(1, 7):
        model.method.look(model.student, make_batch())
        ramp = math.exp(-5 * (1 - min(n, 4) / 4) ** 2)
        found = model.method(student, average, label)["consistency"]
        torch.testing.assert_close(found.double(), 7 * ramp * distance, rtol=1e-5, atol=1e-8)
    if consistency == "kl":
        torch.testing.assert_close(found, 7 * kd_loss(student.logits, average.logits, label))


def test_images_without_labels_move_the_student_alone():
    model, batch = mean_teacher(ramp_up=0), make_batch()
    terms = model(replace(batch, label=torch.full_like(batch.label, 255)))
    assert terms["ce"] == 0 and terms["consistency"] > 0
    terms["consistency"].backward()
    assert all(
        p.grad is not None and p.grad.any() for name, p in model.student.named_parameters() if "bias" not in name
    )
    assert not any(p.requires_grad for p in model.method.parameters()) and not model.method.average.training
    assert model.teacher is None


def test_the_student_alone_sees_noise_and_only_in_training():
    model, batch = mean_teacher(), make_batch()
    batch.label[1] = 255
    before = torch.get_rng_state()
    (first, answer), (second, _) = (model.method.look(model.student, batch) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before), "the batches are those of any other method"
    assert torch.equal(first[0], batch.rgb[0]) and torch.equal(second[0], batch.rgb[0]), "an image with labels"
    assert not torch.equal(first[1], second[1]) and not torch.equal(first[1], batch.rgb[1])
    assert first.min() >= 0 and first.max() <= 1
    everywhere = mean_teacher(disturbed="all").method.look(model.student, batch)[0]
    assert torch.equal(everywhere[1], first[1]) and not torch.equal(everywhere[0], batch.rgb[0])
    assert torch.equal(answer.logits, model.method.average(batch.rgb).logits)
    none = mean_teacher(jitter=0, noise=0, disturbed="all").method.look(model.student, batch)[0]
    torch.testing.assert_close(none, batch.rgb)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert torch.equal(model.eval().method.look(model.student, batch)[0], batch.rgb)
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


def test_x_is_never_read():
    batch = make_batch()
    without = replace(batch, x=torch.full_like(batch.x, torch.nan))
    one, other = mean_teacher(), mean_teacher()
    for _ in range(2):
        found, expected = one(without), other(batch)
        assert all(torch.isfinite(found[name]) and torch.equal(found[name], expected[name]) for name in found)


class Named(Scenes):
    name, split = "scenes", "train"


class Seen(Augment):
    """Remembers what it made of every batch."""

    def forward(self, batch):
        batch = super().forward(batch)
        self.batches = [*getattr(self, "batches", []), batch]
        return batch


def test_it_sees_the_batches_of_every_other_method(tmp_path):
    data = WithUnlabelled(Named(), Unlabelled(Scenes(12)))
    models = {"kd": Distiller(Net(), Net(7, 1), "kd", example=collate([data[0]])), "mean-teacher": mean_teacher()}
    seen = {method: Seen(SIZE) for method in models}
    for method, model in models.items():
        train(tmp_path / method, model, data, Schedule(epochs=2, batch=8), augment=seen[method])
    assert len(seen["kd"].batches) == 4
    for one, other in zip(*(augment.batches for augment in seen.values()), strict=True):
        assert one.name == other.name and torch.equal(one.rgb, other.rgb) and torch.equal(one.label, other.label)


@pytest.mark.parametrize("ema", [0.0, 0.6])
def test_an_interrupted_run_ends_as_if_it_had_not_been(ema, tmp_path):
    schedule = Schedule(epochs=3, batch=4, ema=ema)
    log, model = train(tmp_path / "whole", mean_teacher(ramp_up=5), schedule=schedule)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", mean_teacher(ramp_up=5), Scenes(stops_at=2 * 8 + 6), schedule)
    assert len(read_json_lines(tmp_path / "cut" / "log.jsonl")) == 2
    resumed_log, resumed = train(tmp_path / "cut", mean_teacher(ramp_up=5), schedule=schedule)
    assert_same(model, resumed)
    assert without_seconds(resumed_log) == without_seconds(log)
    assert {"consistency", "ce"} < log[0].keys() and log[2]["consistency"] > 0


def test_a_recipe_is_one_training_of_rgb_with_images_without_labels(camvid_root, tmp_path, monkeypatch):
    monkeypatch.setenv("LIX_RUNS", str(tmp_path / "runs"))
    root = tmp_path / "camvid"
    shutil.copytree(camvid_root, root)
    for split in ("train", "val"):
        shutil.rmtree(root / f"{split}disp")
    common = {"size": (16, 32), "epochs": 1, "batch_size": 2, "network_options": {"width": 0.25}, "unlabelled": 6}
    recipe = Recipe("camvid", root=str(root), method="mean-teacher", labelled=4, **common)
    assert not (recipe.distils or recipe.needs_x or recipe.sees_x) and len(plan(recipe)) == 1
    assert len(Inputs(recipe).train.unlabelled) == 6
    finished = run(recipe, device="cpu", progress=False)
    assert finished.line["teacher"] is None and finished.line["hyper"]["unlabelled"] == 6
    assert finished.line["hyper"]["weight"] == 30 and set(finished.log[0]) >= {"ce", "consistency"}
    assert finished.net.x_channels is None and finished.line["metrics"]["mIoU"] is not None


def test_it_is_a_baseline_by_name():
    assert Recipe(method="mean-teacher").unlabelled == Recipe(method="kd").unlabelled > 0
    assert NAMES["mean-teacher"] == "mean teacher, without X" and "mean-teacher" not in NAMES
    options = {"mean-teacher": {"weight": 3.0}}
    (recipe,) = grid(methods=["mean-teacher"], method_options=options, teacher={"epochs": 9})
    assert recipe.options["weight"] == 3 and recipe.options["decay"] == 0.99, "the defaults name the folder, too"
    assert recipe.teacher == {}, "no teacher, no change"
    with pytest.raises(ValueError, match="MeanTeacher has no option 'beta': it takes weight, decay, ramp_up"):
        Recipe(method="mean-teacher", method_options={"beta": 1.0})
    with pytest.raises(ValueError, match="decay"):
        Distiller(Net(), method="mean-teacher", decay=1.0)
    with pytest.raises(ValueError, match="needs the student itself, found Output"):
        build("mean-teacher", outputs()[0], None)
