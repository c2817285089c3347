"""The metrics against scikit-learn."""

import json
import math

import pytest
import torch
from sklearn.metrics import f1_score, jaccard_score

from lixlib.lab.record import scored
from lixlib.metrics import calibration_error, confusion_matrix, reliability, scores


@pytest.mark.parametrize("num_classes", [2, 5, 19])
def test_scores_equal_scikit_learn(num_classes):
    generator = torch.Generator().manual_seed(num_classes)
    label = torch.randint(0, num_classes, (4, 13, 17), generator=generator)
    noise = torch.randint(0, num_classes, label.shape, generator=generator)
    prediction = torch.where(torch.rand(label.shape, generator=generator) < 0.6, label, noise)
    label[0, :3] = 255
    found = scores(confusion_matrix(prediction, label, num_classes))
    truth, guess = label[label != 255].numpy(), prediction[label != 255].numpy()
    assert found["mIoU"] == pytest.approx(jaccard_score(truth, guess, average="macro"))
    assert found["fwIoU"] == pytest.approx(jaccard_score(truth, guess, average="weighted"))
    assert found["mFsc"] == pytest.approx(f1_score(truth, guess, average="macro"))
    assert found["fwFsc"] == pytest.approx(f1_score(truth, guess, average="weighted"))
    assert found["IoU"] == pytest.approx(jaccard_score(truth, guess, average=None).tolist())
    assert found["F1"] == pytest.approx(f1_score(truth, guess, average=None).tolist())


def test_a_class_that_does_not_occur_is_left_out_of_the_means():
    found = scores(confusion_matrix(torch.tensor([0, 1, 1]), torch.tensor([0, 1, 0]), 3))
    assert math.isnan(found["IoU"][2])
    assert found["mIoU"] == pytest.approx((0.5 + 0.5) / 2)


def test_nothing_counted_is_no_score():
    found = scores(torch.zeros(3, 3))
    assert all(math.isnan(found[name]) for name in ("mIoU", "fwIoU", "mFsc", "fwFsc"))
    assert all(math.isnan(value) for value in (*found["IoU"], *found["F1"]))
    line = scored(found, ("a", "b", "c"))
    assert set(line["metrics"].values()) == {None} and line["per_class"] == dict.fromkeys("abc", [None, None])
    assert "NaN" not in json.dumps(line)


@pytest.mark.parametrize("shape", [(3,), (3, 4), (2, 3, 3)])
def test_what_is_no_confusion_matrix(shape):
    with pytest.raises(ValueError, match=r"confusion must be \(C, C\), found \("):
        scores(torch.zeros(shape))


def test_rows_are_the_truth():
    matrix = confusion_matrix(torch.tensor([1, 1]), torch.tensor([0, 255]), 2)
    assert matrix.tolist() == [[0, 1], [0, 0]]


def test_unequal_shapes_are_named():
    with pytest.raises(ValueError, match=r"\(2,\).*\(3,\)"):
        confusion_matrix(torch.zeros(2, dtype=torch.long), torch.zeros(3, dtype=torch.long), 2)


INTEGERS = [torch.uint8, torch.int8, torch.int16, torch.uint16, torch.int32, torch.int64]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_labels_and_predictions_of_any_integer_type(dtype):
    label = torch.arange(19).repeat(20)
    found = confusion_matrix(label.to(dtype), label.to(dtype), 19)
    assert torch.equal(found, 20 * torch.eye(19, dtype=torch.int64))
    assert torch.equal(confusion_matrix(label.numpy(), label.numpy().astype("uint8"), 19), found)
    probability = torch.eye(19)[label.view(4, 5, 19)].movedim(-1, 1)
    assert calibration_error(reliability(probability, label.view(4, 5, 19).to(dtype))) == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool])
def test_what_is_no_integer_is_no_label(dtype):
    whole, other = torch.zeros(1, 2, 2, dtype=torch.int64), torch.zeros(1, 2, 2, dtype=dtype)
    for call, what in (
        (lambda: confusion_matrix(whole, other, 2), "labels"),
        (lambda: confusion_matrix(other, whole, 2), "predictions"),
        (lambda: reliability(torch.full((1, 2, 2, 2), 0.5), other), "labels"),
    ):
        with pytest.raises(ValueError, match=f"integer {what} are needed, found {dtype}"):
            call()


@pytest.mark.parametrize("wrong", [-1, 3, 254])
def test_what_is_no_class_is_named_with_its_place(wrong):
    right = torch.zeros(2, 4, 4, dtype=torch.int64)
    bad = right.clone()
    bad[1, 2, 3] = wrong
    place = f"{wrong} at image 1, row 2, column 3: .* must be 0..2"
    with pytest.raises(ValueError, match=f"label {place}, or 255"):
        confusion_matrix(right, bad, 3)
    with pytest.raises(ValueError, match=f"prediction {place}$"):
        confusion_matrix(bad, right, 3)
    with pytest.raises(ValueError, match=f"label {place}, or 255"):
        reliability(torch.full((2, 3, 4, 4), 1 / 3), bad)
    with pytest.raises(ValueError, match="prediction 255 at"):
        confusion_matrix(bad.where(bad != wrong, 255), right, 3)
    right[1, 2, 3] = 255  # an ignored pixel may be called anything
    assert confusion_matrix(bad, right, 3).sum() == 31


@pytest.mark.parametrize("value", [-3.0, 1.5, math.nan])
def test_logits_are_no_probabilities(value):
    probability = torch.full((1, 2, 3, 3), 0.5)
    probability[0, :, 1, 2] = value
    label = torch.zeros(1, 3, 3, dtype=torch.int64)
    with pytest.raises(ValueError, match="probability .* at image 0, row 1, column 2: give the softmax"):
        reliability(probability, label)
    label[0, 1, 2] = 255
    assert reliability(probability, label)[0].sum() == 8


def test_two_devices_are_named():
    here, there = torch.zeros(3, dtype=torch.int64), torch.zeros(3, dtype=torch.int64, device="meta")
    with pytest.raises(ValueError, match="prediction on cpu and label on meta: move them to one device"):
        confusion_matrix(here, there, 2)


def plain_calibration_error(probability, label, bins):
    """Guo et al., ICML 2017, Eq. (5), pixel by pixel."""
    inside = [[] for _ in range(bins)]
    for p, truth in zip(probability.movedim(1, -1).reshape(-1, probability.shape[1]).tolist(), label.flatten().tolist(),
                        strict=True):  # fmt: skip
        if truth != 255:
            m = next(m for m in range(1, bins + 1) if (m - 1) / bins < max(p) <= m / bins)
            inside[m - 1].append((max(p), p.index(max(p)) == truth))
    n = sum(map(len, inside))
    error = 0.0
    for pixels in filter(None, inside):
        confidence, accuracy = (sum(values) / len(pixels) for values in zip(*pixels, strict=True))
        error += len(pixels) / n * abs(accuracy - confidence)
    return error


@pytest.mark.parametrize("bins", [1, 4, 15])
def test_calibration_error_equals_a_plain_transcription(bins):
    logits, label = 3 * torch.randn(2, 5, 7, 9, dtype=torch.float64), torch.randint(0, 5, (2, 7, 9))
    label[0, :2] = 255
    found = calibration_error(reliability(logits.softmax(1), label, bins=bins))
    assert found == pytest.approx(plain_calibration_error(logits.softmax(1), label, bins))


def test_an_upper_edge_belongs_to_the_bin_below():
    probability = torch.tensor([[0.5, 0.5], [0.75, 0.25], [1.0, 0.0]], dtype=torch.float64).T[None, :, None]
    found = reliability(probability, torch.tensor([[[0, 1, 0]]]), bins=4)
    assert found.tolist() == [[0, 1, 1, 1], [0, 0.5, 0.75, 1.0], [0, 1, 0, 1]]


def test_bins_merge():
    logits, label = torch.randn(2, 5, 7, 9), torch.randint(0, 5, (2, 7, 9))
    fine, coarse = (reliability(logits.softmax(1), label, bins=bins) for bins in (30, 15))
    torch.testing.assert_close(fine.reshape(3, 15, 2).sum(-1), coarse)
    assert calibration_error(coarse) <= calibration_error(fine) + 1e-12


def test_certain_and_right_is_calibrated():
    label = torch.randint(0, 3, (1, 4, 4))
    probability = torch.nn.functional.one_hot(label, 3).movedim(-1, 1).double()
    assert calibration_error(reliability(probability, label)) == 0
    assert calibration_error(reliability(probability, (label + 1) % 3)) == 1


@pytest.mark.parametrize(("shape", "bins", "message"), [((2, 3, 4, 4), 15, "does not fit"), ((1, 3, 4, 4), 0, "bins")])
def test_reliability_says_what_does_not_fit(shape, bins, message):
    with pytest.raises(ValueError, match=message):
        reliability(torch.rand(shape), torch.zeros(1, 4, 4, dtype=torch.long), bins=bins)
