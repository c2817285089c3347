"""Methods that learn something from the teacher alone, before the student: what they share, and how it is trained."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lixlib.core.output import Output, call
from lixlib.distillers.common import targets

if TYPE_CHECKING:
    from lixlib.core.sample import Sample


class TwoStage(nn.Module):
    """A method whose module `stage` learns from the teacher alone, and is frozen before the student learns.

    `lixlib.training.fit_stage` trains it; `lixlib.lab.run.run` does so by itself. Until then the stage is frozen as it
    was initialised, and training a student gives a warning. A subclass makes its stage before anything else that is
    random: a seed then gives it the same start whatever the other options are.
    """

    STAGE_OPTIONS: tuple[str, ...]  # the names of the options that decide what the stage becomes

    stage: nn.Module

    def __init__(self, stage: nn.Module, *, epochs: int, lr: float):
        super().__init__()
        self.stage = stage.requires_grad_(False).eval()
        self.stage_epochs, self.stage_lr, self.stage_trained = epochs, lr, False

    def stage_loss(self, teacher: Output, target: Tensor) -> dict[str, Tensor]:
        """The terms by which the stage is trained."""
        raise NotImplementedError

    def train(self, mode: bool = True) -> TwoStage:
        super().train(mode)
        self.stage.eval()
        return self

    def check_stage(self) -> None:
        """Warn if a student is trained by a stage that has not been."""
        if self.training and not self.stage_trained:
            warnings.warn(
                f"the stage of {type(self).__name__} is as it was initialised: train it, by lixlib.training.fit_stage",
                stacklevel=2,
            )


class Stage(nn.Module):
    """The stage of a method beside its frozen teacher, as one module that `lixlib.training.fit` trains."""

    def __init__(self, teacher: nn.Module, method: TwoStage):
        super().__init__()
        self.teacher, self.stage = teacher, method.stage.requires_grad_(True)
        self._loss = method.stage_loss

    def train(self, mode: bool = True) -> Stage:
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(self, batch: Sample) -> dict[str, Tensor]:
        """The terms of `stage_loss`; in an image with no label the target is the class that the teacher sees."""
        with torch.no_grad():
            teacher = call(self.teacher, batch.rgb, batch.x)
        return self._loss(teacher, targets(batch.label, teacher))
