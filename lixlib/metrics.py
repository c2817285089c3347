"""The paper's four metrics, from one confusion matrix."""

import torch
from torch import Tensor

from lixlib.data.sample import IGNORE


def confusion_matrix(prediction: Tensor, label: Tensor, num_classes: int, *, ignore_index: int = IGNORE) -> Tensor:
    """Count (truth, prediction) pairs over the valid pixels.

    **Shapes**: prediction and label of one shape, int64 -> (C, C) int64, rows are the truth.

    Raises:
        ValueError: the two shapes differ.
    """
    if prediction.shape != label.shape:
        raise ValueError(f"prediction {tuple(prediction.shape)} and label {tuple(label.shape)} differ in shape")
    valid = label != ignore_index
    pairs = label[valid] * num_classes + prediction[valid]
    return torch.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def scores(confusion: Tensor) -> dict:
    """mIoU, fwIoU, mFsc, fwFsc and the per-class IoU and F1 of a confusion matrix.

    IoU_c = TP / (TP + FP + FN), F_c = 2 TP / (2 TP + FP + FN). The means run over the classes that occur in the truth
    or in the prediction; "fw" weights a class by its share of the true pixels.

    **Shapes**: confusion (C, C), rows are the truth; `IoU` and `F1` are lists of C values in [0, 1], NaN for a class
    that does not occur.
    """
    confusion = torch.as_tensor(confusion).double()
    true_positive, truth = confusion.diagonal(), confusion.sum(1)
    union = truth + confusion.sum(0) - true_positive
    occurs = union > 0
    iou = true_positive / union
    f1 = 2 * true_positive / (union + true_positive)
    frequency = truth / truth.sum()

    def weighted(values: Tensor) -> float:
        return float((frequency[occurs] * values[occurs]).sum())

    return {
        "mIoU": float(iou[occurs].mean()),
        "fwIoU": weighted(iou),
        "mFsc": float(f1[occurs].mean()),
        "fwFsc": weighted(f1),
        "IoU": iou.tolist(),
        "F1": f1.tolist(),
    }
