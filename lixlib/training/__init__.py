"""How a network is trained and scored: the schedule, the loop, its checkpoints."""

from lixlib.training.evaluate import check_split, evaluate
from lixlib.training.loop import TrainingFailed, check_training, fit, launch, sgd, update
from lixlib.training.schedule import Schedule
from lixlib.training.stage import fit_stage

__all__ = [
    "Schedule",
    "TrainingFailed",
    "check_split",
    "check_training",
    "evaluate",
    "fit",
    "fit_stage",
    "launch",
    "sgd",
    "update",
]
