"""How a network is scored on a data set, and whether a data set has anything to score."""

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from lixlib.core.output import call
from lixlib.core.sample import IGNORE, collate
from lixlib.metrics import confusion_matrix, scores


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
            'give it an attribute classes = lixlib.data.Classes(("road", ...), colours=None)'
        )
    return len(dataset.classes.names)


@torch.no_grad()
def evaluate(net: nn.Module, dataset: Dataset, *, batch: int = 8, device: torch.device | str = "cpu") -> dict:
    """The metrics of `lixlib.metrics.scores` of a network over a data set, in float32 and eval mode.

    Args:
        dataset: of `Sample`s, with an attribute `classes` (`lixlib.data.Classes`).

    Raises:
        TypeError: the data set has no classes.
        ValueError: there is no image, no labelled pixel in any of them, a sample whose RGB or X is not finite, or whose
            labels are not classes of the data set.
    """
    check_split(dataset, "test")
    num_classes = number_of_classes(dataset)
    was_training = net.training
    net.to(device).eval()
    confusion = torch.zeros(num_classes, num_classes, dtype=torch.int64, device=device)
    for samples in DataLoader(dataset, batch, collate_fn=collate):
        samples.check_finite()  # before it goes to a GPU, which would have to wait for the answer
        samples = samples.to(device)
        output = call(net, samples.rgb, samples.x)
        confusion += confusion_matrix(output.logits.argmax(1), samples.label, num_classes)
    net.train(was_training)
    return scores(confusion.cpu())
