"""How a network is trained and scored: the schedule, the loop, its checkpoints."""

from lixlib.training.loop import (
    Schedule,
    TrainingFailed,
    check_split,
    check_training,
    evaluate,
    fit,
    fit_stage,
    launch,
    sgd,
    update,
)

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
