"""Evaluation of a network on a data set, and the check that a split has labels."""

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from lixlib.core.output import call
from lixlib.core.sample import IGNORE, collate
from lixlib.metrics import Scores, confusion_matrix, scores


def check_split(dataset: Dataset, what: str) -> None:
    """Raise a ValueError unless an image of the split has a labelled pixel; images after the first such are not read.

    Args:
        what: the name of the split for the message, where the data set has none: training, validation or test.
    """
    name = " ".join(filter(None, (getattr(dataset, "name", ""), getattr(dataset, "split", "")))) or what
    if not len(dataset):
        raise ValueError(f"split {name} has no image: there is nothing to learn from or to score, choose another split")
    if not any((dataset[index].label != IGNORE).any() for index in range(len(dataset))):
        raise ValueError(
            f"split {name} has no labelled pixel in any of its {len(dataset)} images, all are {IGNORE} (ignored): "
            "look at its label files, or choose another split"
        )


def number_of_classes(dataset: Dataset) -> int:
    """The number of classes that a data set has; a TypeError if it has no attribute `classes`."""
    if not hasattr(dataset, "classes"):
        raise TypeError(
            f"{type(dataset).__name__} does not say its classes, and their number is needed: "
            'give it an attribute classes = lixlib.data.Classes(("road", ...))'
        )
    return len(dataset.classes.names)


def evaluate(net: nn.Module, dataset: Dataset, *, batch: int = 8, device: torch.device | str = "cpu") -> Scores:
    """The metrics of `lixlib.metrics.scores` of a network on a data set: those of the sum of `evaluate_images`."""
    _, confusions = evaluate_images(net, dataset, batch=batch, device=device)
    return scores(confusions.sum(0))


@torch.no_grad()
def evaluate_images(
    net: nn.Module, dataset: Dataset, *, batch: int = 8, device: torch.device | str = "cpu"
) -> tuple[list[str], Tensor]:
    """The names of a data set's images, and the confusion matrix of each, in float32 and evaluation mode.

    **Shapes**: N names, and (N, C, C) int64 on the CPU, rows are the truth.

    Args:
        dataset: items are `Sample`s; its attribute `classes` (`lixlib.data.Classes`) gives the number of classes.
        batch: images per forward pass.

    Raises:
        TypeError: the data set has no attribute `classes`.
        ValueError: there is no image or no labelled pixel, a sample's RGB or X is not finite, or a label is not a class
            of the data set.
    """
    check_split(dataset, "test")
    num_classes = number_of_classes(dataset)
    was_training = net.training
    net.to(device).eval()
    names: list[str] = []
    confusions: list[Tensor] = []
    for samples in DataLoader(dataset, batch, collate_fn=collate):
        samples.check_finite()  # on the CPU, because the answer from a GPU would have to be waited for
        samples = samples.to(device)
        output = call(net, samples.rgb, samples.x)
        names += samples.name
        confusions.append(confusion_matrix(output.logits.argmax(1), samples.label, num_classes, per_image=True))
    net.train(was_training)
    return names, torch.cat(confusions).cpu()
