"""Labelled images together with unlabelled ones, of which only a teacher can say something."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch.utils.data import Dataset

from lixlib.core.digests import digest, digest_of_samples
from lixlib.core.sample import IGNORE, Sample
from lixlib.data.splits import draw


class Unlabelled(Dataset):
    """A data set with its labels taken away: every pixel is 255."""

    def __init__(self, dataset: Dataset):
        self.dataset = dataset

    @property
    def digest(self) -> str | None:
        return getattr(self.dataset, "digest", None)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        sample = self.dataset[index]
        return replace(sample, label=torch.full_like(sample.label, IGNORE))


class Part(Dataset):
    """Some images of a data set, in this order."""

    def __init__(self, dataset: Dataset, indices: Sequence[int]):
        self.dataset, self.indices = dataset, list(indices)
        self.name, self.split, self.classes = dataset.name, dataset.split, dataset.classes
        self.x_channels = dataset.x_channels

    @property
    def digest(self) -> str:
        return digest([digest_of_samples(self.dataset), self.indices])

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Sample:
        return self.dataset[self.indices[index]]


def divide(count: int, kept: int, *, seed: int) -> tuple[list[int], list[int]]:
    """The indices of the images that keep their labels, and of the others; the draw depends on these numbers alone.

    Raises:
        ValueError: there are fewer images than shall keep their labels.
    """
    if kept > count:
        raise ValueError(f"labelled is {kept}, and the training split has {count} images: ask for fewer")
    drawn = {int(name) for name in draw([f"{i:06d}" for i in range(count)], {"kept": kept}, seed=seed)["kept"]}
    return sorted(drawn), [i for i in range(count) if i not in drawn]


class WithUnlabelled(Dataset):
    """A labelled data set, and for every image of it one that is drawn from an unlabelled data set.

    Twice as long as the labelled one: with batches twice as large, a pass over it makes as many updates as one without
    unlabelled images, and shows every labelled image once; a batch is half and half on average. The draw is by torch's
    global generator.
    """

    def __init__(self, labelled: Dataset, unlabelled: Dataset):
        self.labelled, self.unlabelled = labelled, unlabelled
        self.name, self.split, self.classes = labelled.name, labelled.split, labelled.classes
        self.x_channels = labelled.x_channels

    @property
    def digest(self) -> str:
        return digest([getattr(part, "digest", None) for part in (self.labelled, self.unlabelled)])

    def __len__(self) -> int:
        return 2 * len(self.labelled)

    def __getitem__(self, index: int) -> Sample:
        if index < len(self.labelled):
            return self.labelled[index]
        return self.unlabelled[int(torch.randint(len(self.unlabelled), ()))]
