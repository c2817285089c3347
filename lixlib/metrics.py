"""The paper's four metrics, from one confusion matrix; and how far probabilities can be believed."""

import math
from typing import TypedDict

import torch
from torch import Tensor

from lixlib.core.checks import check_classes, check_one_device, place, shape, whole
from lixlib.core.constants import IGNORE

# the paper's, by their names in result lines and tables
METRICS = ("mIoU", "fwIoU", "mFsc", "fwFsc")


def confusion_matrix(
    prediction: Tensor, label: Tensor, num_classes: int, *, ignore_index: int = IGNORE, per_image: bool = False
) -> Tensor:
    """Count (truth, prediction) pairs over the valid pixels.

    **Shapes**: prediction and label of one shape, of any integer types -> (C, C) int64, rows are the truth; per_image:
    both (B, ...) -> (B, C, C).

    Raises:
        ValueError: the two differ in shape or device, are not of an integer type, or hold what is no class: the label
            besides `ignore_index`, the prediction at a valid pixel.
    """
    prediction, label = torch.as_tensor(prediction), torch.as_tensor(label)
    if prediction.shape != label.shape:
        raise ValueError(f"prediction {shape(prediction)} and label {shape(label)} differ in shape")
    check_one_device(prediction=prediction, label=label)
    label = whole(label)
    check_classes(label, num_classes, ignore_index, waits=True)
    valid = label != ignore_index
    prediction = whole(prediction, "prediction").where(valid, 0)
    check_classes(prediction, num_classes, None, "prediction", waits=True)
    pairs, bins = label * num_classes + prediction, num_classes**2
    if not per_image:
        return torch.bincount(pairs[valid], minlength=bins).reshape(num_classes, num_classes)
    image = torch.arange(len(pairs), device=pairs.device).reshape(-1, *[1] * (pairs.dim() - 1))
    found = torch.bincount((pairs + bins * image)[valid], minlength=bins * len(pairs))
    return found.reshape(-1, num_classes, num_classes)


class Scores(TypedDict):
    """What a confusion matrix tells, in [0, 1]; NaN where there is nothing to tell."""

    mIoU: float
    fwIoU: float
    mFsc: float
    fwFsc: float
    IoU: list[float]  # one a class, as F1
    F1: list[float]


def scores(confusion: Tensor) -> Scores:
    """mIoU, fwIoU, mFsc, fwFsc and the per-class IoU and F1 of a confusion matrix.

    IoU_c = TP / (TP + FP + FN), F_c = 2 TP / (2 TP + FP + FN). The means run over the classes that occur in the truth
    or in the prediction; "fw" weights a class by its share of the true pixels.

    **Shapes**: confusion (C, C), rows are the truth; `IoU` and `F1` are lists of C values in [0, 1], NaN for a class
    that does not occur. If nothing is counted at all, everything is NaN.
    """
    confusion = torch.as_tensor(confusion).double()
    if confusion.dim() != 2 or confusion.shape[0] != confusion.shape[1]:
        raise ValueError(f"confusion must be (C, C), found {shape(confusion)}")
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

    **Shapes**: probability (B, C, H, W), label (B, H, W) of an integer type -> (3, bins) float64; rows: the number of
    pixels, the sum of their confidences, the number of those that are right.

    Raises:
        ValueError: no bin; shapes or devices that do not fit together; a label that is no class and not `ignore_index`;
            at a valid pixel, a largest probability outside [0, 1], as logits have.
    """
    probability, label = torch.as_tensor(probability), torch.as_tensor(label)
    if bins < 1:
        raise ValueError(f"bins is {bins}: give at least 1")
    if probability.dim() != 4 or probability[:, 0].shape != label.shape:
        raise ValueError(f"probability {shape(probability)} does not fit label {shape(label)}")
    check_one_device(probability=probability, label=label)
    label = whole(label)
    check_classes(label, probability.shape[1], ignore_index, waits=True)
    valid = label != ignore_index
    confidence, prediction = probability.double().max(1)
    wrong = valid & ~((confidence >= 0) & (confidence <= 1 + 1e-2))  # of half precision, 1 may be a little more
    if wrong.any():
        at = tuple(wrong.nonzero()[0].tolist())
        raise ValueError(f"probability {confidence[at].item():.4g} at {place(at)}: give the softmax, in [0, 1]")
    edges = torch.arange(1, bins, dtype=torch.float64, device=label.device) / bins
    bin_of = torch.bucketize(confidence[valid], edges)  # an upper edge belongs to the bin below it
    right = (prediction == label)[valid].double()
    rows = (torch.ones_like(right), confidence[valid], right)
    return torch.stack([torch.bincount(bin_of, weights=row, minlength=bins) for row in rows])


def calibration_error(reliability: Tensor) -> float:
    """The expected calibration error: |accuracy - confidence| of every bin, weighted by its share of the pixels.

    Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, Eq. (5).

    **Shapes**: (3, bins) of `reliability` -> in [0, 1].
    """
    count, confidence, right = torch.as_tensor(reliability, dtype=torch.float64)
    return float((right - confidence).abs().sum() / count.sum())
