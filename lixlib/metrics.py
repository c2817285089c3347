"""The paper's four metrics, from one confusion matrix; and how far probabilities can be believed."""

import math

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
    that does not occur. If nothing is counted at all, everything is NaN.
    """
    confusion = torch.as_tensor(confusion).double()
    true_positive, truth = confusion.diagonal(), confusion.sum(1)
    union = truth + confusion.sum(0) - true_positive
    occurs = union > 0
    iou = true_positive / union
    f1 = 2 * true_positive / (union + true_positive)
    frequency = truth / truth.sum()

    def weighted(values: Tensor) -> float:
        return float((frequency[occurs] * values[occurs]).sum()) if occurs.any() else math.nan

    return {
        "mIoU": float(iou[occurs].mean()),
        "fwIoU": weighted(iou),
        "mFsc": float(f1[occurs].mean()),
        "fwFsc": weighted(f1),
        "IoU": iou.tolist(),
        "F1": f1.tolist(),
    }


def reliability(probability: Tensor, label: Tensor, *, bins: int = 15, ignore_index: int = IGNORE) -> Tensor:
    """Sort the valid pixels by confidence, the largest probability, into bins of equal width (Guo et al., ICML 2017).

    Bin m of M holds the confidences in ((m - 1) / M, m / M].

    **Shapes**: probability (B, C, H, W), label (B, H, W) int64 -> (3, bins) float64; rows: the number of pixels, the
    sum of their confidences, the number of those that are right.

    Raises:
        ValueError: no bin, or shapes that do not fit together.
    """
    if bins < 1:
        raise ValueError(f"bins is {bins}: give at least 1")
    if probability.dim() != 4 or probability[:, 0].shape != label.shape:
        raise ValueError(f"probability {tuple(probability.shape)} does not fit label {tuple(label.shape)}")
    confidence, prediction = probability.double().max(1)
    valid = label != ignore_index
    edges = torch.arange(1, bins, dtype=torch.float64, device=label.device) / bins
    place = torch.bucketize(confidence[valid], edges)  # an upper edge belongs to the bin below it
    right = (prediction == label)[valid].double()
    rows = (torch.ones_like(right), confidence[valid], right)
    return torch.stack([torch.bincount(place, weights=row, minlength=bins) for row in rows])


def calibration_error(reliability: Tensor) -> float:
    """The expected calibration error: |accuracy - confidence| of every bin, weighted by its share of the pixels.

    Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, Eq. (5).

    **Shapes**: (3, bins) of `reliability` -> in [0, 1].
    """
    count, confidence, right = torch.as_tensor(reliability, dtype=torch.float64)
    return float((right - confidence).abs().sum() / count.sum())
