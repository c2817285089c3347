"""Labelled images together with unlabelled ones, for which only a teacher gives targets."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch.utils.data import Dataset

from lixlib.core.digests import digest, digest_of_samples
from lixlib.core.sample import IGNORE, Sample
from lixlib.data.splits import draw


def read_batch(dataset: Dataset, indices: Sequence[int]) -> list[Sample]:
    """Several samples, read at once by a data set that can do so (`lixlib.data.image_files.Triplets`)."""
    if hasattr(dataset, "__getitems__"):
        return dataset.__getitems__(indices)
    return [dataset[index] for index in indices]


class Unlabelled(Dataset):
    """A data set whose labels are removed: every pixel is 255."""

    def __init__(self, dataset: Dataset):
        self.dataset = dataset

    @property
    def digest(self) -> str:
        return digest_of_samples(self.dataset)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        return _without_label(self.dataset[index])

    def __getitems__(self, indices: Sequence[int]) -> list[Sample]:
        return [_without_label(sample) for sample in read_batch(self.dataset, indices)]


def _without_label(sample: Sample) -> Sample:
    return replace(sample, label=torch.full_like(sample.label, IGNORE))


class Part(Dataset):
    """Images of a data set in the order of `indices`."""

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

    def __getitems__(self, indices: Sequence[int]) -> list[Sample]:
        return read_batch(self.dataset, [self.indices[index] for index in indices])


def divide(count: int, kept: int, *, seed: int) -> tuple[list[int], list[int]]:
    """Draw which images keep their labels; return their indices and those of the others.

    The draw depends only on the arguments.

    Raises:
        ValueError: `kept` is larger than `count`.
    """
    if kept > count:
        raise ValueError(f"labelled is {kept}, and the training split has {count} images: ask for fewer")
    drawn = {int(name) for name in draw([f"{i:06d}" for i in range(count)], {"kept": kept}, seed=seed)["kept"]}
    return sorted(drawn), [i for i in range(count) if i not in drawn]


class WithUnlabelled(Dataset):
    """A labelled data set and, for each of its images, one drawn at random from an unlabelled data set.

    It is twice as long as the labelled data set. With batches twice as large, an epoch therefore has as many updates as
    without unlabelled images and shows every labelled image once; on average half of a batch is labelled. The images
    are drawn with torch's global generator.
    """

    def __init__(self, labelled: Dataset, unlabelled: Dataset):
        self.labelled, self.unlabelled = labelled, unlabelled
        self.name, self.split, self.classes = labelled.name, labelled.split, labelled.classes
        self.x_channels = labelled.x_channels

    @property
    def digest(self) -> str:
        return digest([digest_of_samples(part) for part in (self.labelled, self.unlabelled)])

    def __len__(self) -> int:
        return 2 * len(self.labelled)

    def __getitem__(self, index: int) -> Sample:
        (sample,) = self.__getitems__([index])
        return sample

    def __getitems__(self, indices: Sequence[int]) -> list[Sample]:
        count = len(self.labelled)
        labelled = [index for index in indices if index < count]
        drawn = [int(torch.randint(len(self.unlabelled), ())) for index in indices if index >= count]
        first, second = iter(read_batch(self.labelled, labelled)), iter(read_batch(self.unlabelled, drawn))
        return [next(first if index < count else second) for index in indices]
