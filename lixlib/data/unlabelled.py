"""Labelled images together with unlabelled ones, of which only a teacher can say something."""

from dataclasses import replace

import torch
from torch.utils.data import Dataset

from lixlib.data.sample import IGNORE, Sample


class Unlabelled(Dataset):
    """A data set with its labels taken away: every pixel is 255."""

    def __init__(self, dataset: Dataset):
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        sample = self.dataset[index]
        return replace(sample, label=torch.full_like(sample.label, IGNORE))


class HalfUnlabelled(Dataset):
    """A labelled data set in which every other draw, by torch's global generator, is an unlabelled image instead.

    It is as long as the labelled one, so that a run over it makes as many updates as one without unlabelled images.
    """

    def __init__(self, labelled: Dataset, unlabelled: Dataset):
        self.labelled, self.unlabelled = labelled, unlabelled
        self.name, self.split, self.classes = labelled.name, labelled.split, labelled.classes
        self.x_channels = labelled.x_channels

    def __len__(self) -> int:
        return len(self.labelled)

    def __getitem__(self, index: int) -> Sample:
        if torch.rand(()) < 0.5:
            return self.labelled[index]
        return self.unlabelled[int(torch.randint(len(self.unlabelled), ()))]
