"""Samples, batches, and augmentation."""

from dataclasses import replace

import pytest
import torch

from lixlib.data import Augment, Sample, collate

SIZE = (32, 48)


def sample(size=SIZE, x_channels=1, name="one", unit="2 m / depth"):
    label = torch.randint(5, size)
    return Sample(torch.rand(3, *size), torch.rand(x_channels, *size), torch.ones(1, *size).bool(), label, name, unit)


@pytest.mark.parametrize("x_channels", [1, 3])
def test_a_batch_is_a_sample_with_a_leading_dimension(x_channels):
    samples = [sample(x_channels=x_channels, name=name) for name in ("a", "b")]
    batch = collate(samples).check(5)
    assert batch.rgb.shape == (2, 3, *SIZE) and batch.x.shape == (2, x_channels, *SIZE)
    assert batch.valid.shape == (2, 1, *SIZE) and batch.label.shape == (2, *SIZE)
    assert batch.name == ("a", "b") and batch.unit == "2 m / depth"
    assert torch.equal(batch.label[1], samples[1].label)
    assert (batch.to("cpu").name, batch.to("cpu").unit) == (batch.name, batch.unit)


def test_samples_of_different_sizes_form_no_batch():
    with pytest.raises(ValueError, match=r"different sizes \[\(32, 48\), \(32, 64\)\]"):
        collate([sample(), sample((32, 64))])


def test_samples_whose_x_differs_in_unit_form_no_batch():
    with pytest.raises(ValueError, match=r"differs in unit \['2 m / depth', 'normal'\] cannot form a batch"):
        collate([sample(), sample(unit="normal")])


@pytest.mark.parametrize("wrong", [5, 254, -1])
def test_a_label_that_is_no_class_is_named(wrong):
    bad = sample()
    bad.label[3, 7] = wrong
    with pytest.raises(
        ValueError, match=rf"one: label {wrong} at \[3, 7\] is neither one of the 5 classes 0..4 nor 255"
    ):
        bad.check(5)
    bad.label[3, 7] = 255
    assert bad.check(5) is bad


@pytest.mark.parametrize("field", ["rgb", "x"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_value_that_is_not_finite_is_named(field, value):
    bad, good = sample(name="bad"), sample(name="good")
    getattr(bad, field)[0, 3, 7] = value
    for broken in (bad, collate([good, bad])):
        with pytest.raises(ValueError, match=f"bad: {field} is {value} at channel 0, row 3, column 7"):
            broken.check(5)


@pytest.mark.parametrize(
    ("field", "dtype"), [("label", torch.float32), ("label", torch.bool), ("x", torch.uint8), ("valid", torch.uint8)]
)
def test_types_that_do_not_fit(field, dtype):
    with pytest.raises(ValueError, match=f"one: .*{dtype}"):
        replace(sample(), **{field: torch.zeros_like(getattr(sample(), field), dtype=dtype)}).check(5)
    assert replace(sample(), label=sample().label.to(torch.uint8)).check(5)


@pytest.mark.parametrize("change", [{"x": torch.zeros(2, *SIZE)}, {"rgb": torch.zeros(3, 32, 40)}])
def test_shapes_that_do_not_fit_together(change):
    with pytest.raises(ValueError, match=f"one: {next(iter(change))} is .* but its label is"):
        replace(sample(), **change).check(5)


def ramps(batch=16):
    """Columns are written into red, the first X and the label; rows into green, the second X and the mask."""
    height, width = SIZE
    columns = torch.arange(width).expand(height, width).float()
    rows = torch.arange(height)[:, None].expand(height, width).float()
    one = Sample(
        rgb=torch.stack([columns / width, rows / height, torch.full(SIZE, 0.5)]),
        x=torch.stack([columns / width, rows / height, columns / width]),
        valid=(rows < height / 2)[None],
        label=columns.long(),
    )
    return collate([one] * batch)


def test_augmentation_moves_image_x_mask_and_label_together():
    height, width = SIZE
    before = ramps()
    after = Augment(SIZE, jitter=0)(before)
    assert after.rgb.shape == before.rgb.shape and after.label.dtype == torch.int64 and after.valid.dtype == torch.bool
    assert not torch.equal(after.label, before.label)
    column, row = after.label.float() / width, after.x[:, 1]
    assert torch.equal(after.x[:, 0], column), "X and label are resampled the same way"
    assert (after.rgb[:, 0] - column).abs().max() <= 1.01 / width
    assert (after.rgb[:, 1] - row).abs().max() <= 1.01 / height
    assert torch.equal(after.valid[:, 0], row < 0.5)
    flipped = after.label[:, 0, 0] > after.label[:, 0, -1]
    assert flipped.any() and not flipped.all()
    kept = (after.label.amax((1, 2)) - after.label.amin((1, 2)) + 1) / width
    assert kept.min() < 0.8 and (kept > 0.55).all(), "a crop keeps 0.4 of the area or more"


def test_augmentation_invents_no_label_and_no_x():
    batch = ramps()
    batch.label = torch.where(batch.label % 2 == 0, 255, 3)
    batch.x = batch.x.round()
    after = Augment(SIZE)(batch)
    assert set(after.label.unique().tolist()) == {3, 255}
    assert set(after.x.unique().tolist()) <= {0.0, 1.0}


def test_jitter_changes_rgb_alone():
    batch = ramps()
    torch.manual_seed(1)
    plain = Augment(SIZE, jitter=0)(batch)
    torch.manual_seed(1)
    jittered = Augment(SIZE, jitter=0.5)(batch)
    assert not torch.equal(plain.rgb, jittered.rgb)
    assert jittered.rgb.min() >= 0 and jittered.rgb.max() <= 1
    for field in ("x", "valid", "label"):
        assert torch.equal(getattr(plain, field), getattr(jittered, field)), field


def test_a_mirrored_image_has_mirrored_normals():
    batch = ramps()
    normal = torch.tensor([0.6, -0.48, -0.64])[:, None, None]
    batch.x = normal.expand(16, 3, *SIZE)
    as_they_are = Augment(SIZE, jitter=0)
    torch.manual_seed(1)
    unknown = as_they_are(batch)
    torch.manual_seed(1)
    normals = as_they_are(replace(batch, unit="normal"))
    mirrored = normals.label[:, 0, 0] > normals.label[:, 0, -1]
    assert mirrored.any() and not mirrored.all()
    assert torch.equal(unknown.x, batch.x) and torch.equal(normals.label, unknown.label)
    assert torch.equal(normals.x[~mirrored], batch.x[~mirrored])
    assert torch.equal(normals.x[mirrored], batch.x[mirrored] * torch.tensor([-1, 1, 1])[:, None, None])


def test_augmentation_repeats_itself_under_a_seed():
    batch, augment = ramps(), Augment(SIZE)
    torch.manual_seed(5)
    first = augment(batch)
    torch.manual_seed(5)
    again = augment(batch)
    other = augment(batch)
    for field in ("rgb", "x", "valid", "label"):
        assert torch.equal(getattr(first, field), getattr(again, field)), field
    assert not torch.equal(first.label, other.label)


def test_augmentation_can_leave_images_as_they_are():
    before = ramps()
    after = Augment(SIZE, flip=0.0, scale=(1.0, 1.0), stretch=(1.0, 1.0), jitter=0.0)(before)
    assert torch.allclose(after.rgb, before.rgb, atol=1e-6) and torch.equal(after.x, before.x)
    assert torch.equal(after.label, before.label) and torch.equal(after.valid, before.valid)
