"""How long and how fast to train."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Interval

from lixlib.core.options import Epochs, Positive, Seed, Weight, check_fields


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    Args:
        epochs: passes over the training images.
        batch: images an update; the last, incomplete batch of an epoch is dropped.
        lr: initial rate of SGD; it falls to 0 as (1 - t) ** power over the updates.
        momentum: of SGD.
        weight_decay: of SGD.
        power: of the polynomial decay.
        patience: stop after that many epochs without a better validation mIoU and go back to the best one; 0 never
            stops early and keeps the last weights.
        seed: of the order of the images, the augmentation and every other random choice of the loop.
    """

    epochs: Epochs = 40
    batch: Annotated[int, Interval(ge=1, le=2**16)] = 8
    lr: Positive = 0.02
    momentum: Annotated[float, Interval(ge=0, lt=1)] = 0.9
    weight_decay: Weight = 5e-4
    power: Weight = 0.9
    patience: Annotated[int, Interval(ge=0, le=1_000_000)] = 0
    seed: Seed = 0

    def __post_init__(self):
        check_fields(self)
