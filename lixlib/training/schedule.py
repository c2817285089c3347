"""The schedule of a training: its length, its learning rate and what is kept at its end."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Interval

from lixlib.core.options import Epochs, Positive, Seed, Weight, check_fields


@dataclass(frozen=True)
class Schedule:
    """The length of a training, its optimiser and what is kept at its end.

    Args:
        epochs: passes over the training images.
        batch: images per update; the last, incomplete batch of an epoch is dropped.
        lr: initial learning rate of SGD; it falls to 0 as (1 - t) ** power while t goes from 0 to 1.
        momentum: of SGD.
        weight_decay: of SGD.
        power: exponent of the polynomial decay of the learning rate.
        patience: stop after this number of epochs without a better validation mIoU and return to the best epoch; 0
            never stops early and keeps the last weights.
        seed: of the order of the images, the augmentation and every other random choice of the loop.
        ema: decay of the moving average of the student's weights (`lixlib.training.MovingAverage`), which is then
            validated and kept in their place, e.g. 0.99; 0 for none.
        validate_every: epochs from one validation to the next; the last epoch is always validated. Where nothing is
            chosen by them, fewer validations save time and change no weight.

    Raises:
        ValueError: a field out of its range, or a patience that ends before the next validation.
    """

    epochs: Epochs = 40
    batch: Annotated[int, Interval(ge=1, le=2**16)] = 8
    lr: Positive = 0.02
    momentum: Annotated[float, Interval(ge=0, lt=1)] = 0.9
    weight_decay: Weight = 5e-4
    power: Weight = 0.9
    patience: Annotated[int, Interval(ge=0, le=1_000_000)] = 0
    seed: Seed = 0
    ema: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    validate_every: Annotated[int, Interval(ge=1, le=1_000_000)] = 1

    def __post_init__(self):
        check_fields(self)
        if 0 < self.patience < self.validate_every:
            raise ValueError(
                f"Schedule: patience is {self.patience} and validate_every is {self.validate_every}: validate at least "
                "once before patience ends"
            )

    def validates(self, epoch: int) -> bool:
        """Whether the student is scored after this epoch (1, 2, ...)."""
        return epoch % self.validate_every == 0 or epoch == self.epochs
