"""Weights of the classes in the cross-entropy, from how often the training labels show each class."""

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from lixlib.core.checks import check_choice
from lixlib.core.sample import IGNORE, check_label
from lixlib.training.evaluation import number_of_classes

ClassWeighting = Literal["none", "sqrt", "median", "enet"]


class ClassFrequencies(NamedTuple):
    """How often the classes occur in a data set; ignored pixels are left out.

    **Shapes**: both (C,) int64.

    Args:
        pixels: the pixels of a class.
        pixels_beside: all labelled pixels of the images in which the class occurs.
    """

    pixels: Tensor
    pixels_beside: Tensor


def class_frequencies(dataset: Dataset, *, progress: bool = True) -> ClassFrequencies:
    """Count the classes in the labels of a data set, in one pass over its images.

    Of a data set that joins labelled and unlabelled images (`lixlib.data.unlabelled.WithUnlabelled`) the labelled ones
    alone are read. No random number is drawn.

    Args:
        progress: show a progress bar if it takes longer than 3 seconds.

    Raises:
        TypeError: the data set has no classes.
        ValueError: a label that is no class, or no labelled pixel at all.
    """
    dataset = getattr(dataset, "labelled", dataset)
    classes = number_of_classes(dataset)
    pixels, pixels_beside = torch.zeros(2, classes, dtype=torch.int64)
    bar = {"desc": "class frequencies", "unit": "image", "delay": 3, "leave": False, "disable": not progress}
    for index in tqdm(range(len(dataset)), **bar):
        sample = dataset[index]
        check_label(sample.label, classes, sample.name)
        counts = torch.bincount(sample.label[sample.label != IGNORE].long(), minlength=classes)
        pixels += counts
        pixels_beside += counts.sum() * (counts > 0)
    if not pixels.any():
        raise ValueError(f"no labelled pixel in any of {len(dataset)} images: class frequencies need labels")
    return ClassFrequencies(pixels, pixels_beside)


def class_weights(frequencies: ClassFrequencies, kind: ClassWeighting) -> Tensor:
    """The weight of every class in the cross-entropy, with a mean of 1 over the labelled pixels.

    With p the share of a class in all labelled pixels, and f its share in the images in which it occurs:

    - "none": 1
    - "sqrt": 1 / sqrt(p)
    - "median": median(f) / f, Eigen and Fergus, "Predicting Depth, Surface Normals and Semantic Labels with a Common
      Multi-Scale Convolutional Architecture", ICCV 2015
    - "enet": 1 / ln(1.02 + p), Paszke et al., "ENet", 2016

    All are then divided by their mean over the labelled pixels, sum p w, so that 1 means "as without weights" and the
    kinds can be compared; the median over the classes cancels there. A class that never occurs receives the largest
    weight of those that do: no weight is infinite, and a class that only other images show is not left out silently.

    **Shapes**: (C,) float32.

    Raises:
        ValueError: an unknown kind, or frequencies without a single pixel.
    """
    check_choice("class weighting", kind, get_args(ClassWeighting))
    pixels, pixels_beside = (torch.as_tensor(counts).double() for counts in frequencies)
    occurs = pixels > 0
    if not occurs.any():
        raise ValueError("no class occurs: class weights need the frequencies of labelled images")
    p = pixels[occurs] / pixels.sum()
    f = pixels[occurs] / pixels_beside[occurs]
    match kind:
        case "none":
            found = torch.ones_like(p)
        case "sqrt":
            found = p.rsqrt()
        case "median":
            found = f.quantile(0.5) / f
        case "enet":
            found = 1 / (1.02 + p).log()
    found /= (p * found).sum()
    weights = found.max().expand_as(pixels).clone()
    weights[occurs] = found
    return weights.float()
