"""Training and evaluation of networks: the schedule, the training loop, its checkpoints, the metrics on a data set."""

from lixlib.training.average import MovingAverage
from lixlib.training.class_balance import ClassFrequencies, ClassWeighting, class_frequencies, class_weights
from lixlib.training.evaluation import check_split, evaluate, evaluate_images
from lixlib.training.loop import TrainingFailed, check_training, fit, launch, sgd, update
from lixlib.training.schedule import Schedule
from lixlib.training.stage import fit_stage

__all__ = [
    "ClassFrequencies",
    "ClassWeighting",
    "MovingAverage",
    "Schedule",
    "TrainingFailed",
    "check_split",
    "check_training",
    "class_frequencies",
    "class_weights",
    "evaluate",
    "evaluate_images",
    "fit",
    "fit_stage",
    "launch",
    "sgd",
    "update",
]
