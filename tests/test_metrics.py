"""The metrics against scikit-learn."""

import math

import pytest
import torch
from sklearn.metrics import f1_score, jaccard_score

from lixlib.metrics import confusion_matrix, scores


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


def test_rows_are_the_truth():
    matrix = confusion_matrix(torch.tensor([1, 1]), torch.tensor([0, 255]), 2)
    assert matrix.tolist() == [[0, 1], [0, 0]]


def test_unequal_shapes_are_named():
    with pytest.raises(ValueError, match=r"\(2,\).*\(3,\)"):
        confusion_matrix(torch.zeros(2, dtype=torch.long), torch.zeros(3, dtype=torch.long), 2)
