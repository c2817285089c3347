"""Chapter 06: ARFD with channels as samples, and what either choice of samples notices."""

import torch
from torch import Tensor

from lixlib.course.checker import Exercise, Inputs, randn
from lixlib.functional import cka, gram


def _aligned(generator: torch.Generator) -> Inputs:
    contrast = torch.tensor([1e3, 1e-3], dtype=torch.float64)[:, None, None]
    return {
        "random features": (randn(generator, 2, 12, 5), randn(generator, 2, 12, 5)),
        "as many positions as channels": (randn(generator, 3, 7, 7), randn(generator, 3, 7, 7)),
        "more channels than positions": (randn(generator, 1, 6, 20), randn(generator, 1, 6, 20)),
        "images of very different contrast": (randn(generator, 2, 9, 4), contrast * randn(generator, 2, 9, 4)),
    }


def _channel_loss(s: Tensor, t: Tensor, kernel: str = "laplace") -> Tensor:
    return 1 - cka(gram(s.mT, kernel=kernel), gram(t.mT, kernel=kernel)).mean()


def _noticed(*rows: tuple[int, int]) -> Tensor:
    """Positions shuffled, channels shuffled, all doubled, one channel + 1, one channel negated; a column for a view."""
    return torch.tensor(rows)


EXERCISES = {
    "06.1": Exercise(
        expected=_channel_loss,
        inputs=_aligned,
        hint="gram takes the rows of each matrix for samples: what must become a row?",
        mistakes={
            "these are still the positions; the channels must become the rows.": lambda s, t: _channel_loss(s.mT, t.mT),
            "reshape mixes positions and channels up; transpose with .mT.": lambda s, t: _channel_loss(
                s.reshape(s.shape[0], s.shape[2], -1).mT, t.reshape(t.shape[0], t.shape[2], -1).mT
            ),
            "that is the similarity; the loss is one minus it.": lambda s, t: 1 - _channel_loss(s, t),
            "that is the linear kernel; ask gram for the Laplace kernel.": lambda s, t: _channel_loss(s, t, "linear"),
            "that is the Gaussian kernel; ask gram for the Laplace kernel.": lambda s, t: _channel_loss(
                s, t, "gaussian"
            ),
            "that is the sum over the images; take their mean.": lambda s, t: len(s) * _channel_loss(s, t),
            "that is one minus the sum over the images; take the mean of their CKA.": lambda s, t: (
                1 - len(s) * (1 - _channel_loss(s, t))
            ),
        },
    ),
    "06.2": Exercise(
        expected=lambda: _noticed((1, 0), (0, 1), (0, 0), (0, 1), (0, 1)),
        inputs=lambda generator: {"your prediction": ()},
        hint="write the distance of two samples as a sum, first over channels, then over positions, and change it.",
        mistakes={
            "the two columns are swapped: positions as samples come first.": lambda: _noticed(
                (0, 1), (1, 0), (0, 0), (1, 0), (1, 0)
            ),
            "the bandwidth s is the mean distance, so that doubling everything doubles it, too.": lambda: _noticed(
                (1, 0), (0, 1), (1, 1), (0, 1), (0, 1)
            ),
            "between two positions, a constant in one channel cancels, and so does its sign.": lambda: _noticed(
                (1, 0), (0, 1), (0, 0), (1, 1), (1, 1)
            ),
            "between two positions, one channel's sign does not matter: |a - b| = |b - a|.": lambda: _noticed(
                (1, 0), (0, 1), (0, 0), (0, 1), (1, 1)
            ),
            "with channels as samples, a channel that is moved has other distances to the rest.": lambda: _noticed(
                (1, 0), (0, 1), (0, 0), (0, 0), (0, 1)
            ),
        },
    ),
}
