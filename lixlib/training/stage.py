"""What a method learns from its teacher before the student is trained."""

from dataclasses import replace

from torch.utils.data import Dataset

from lixlib.distillers import Distiller, Stage
from lixlib.training.loop import fit
from lixlib.training.schedule import Schedule


def fit_stage(distiller: Distiller, train: Dataset, schedule: Schedule, **options) -> list[dict]:
    """Train what the distiller's method learns from its teacher before the student (`lixlib.distillers.TwoStage`).

    As `fit`, whose `options` it takes, in a folder of its own: a finished stage is loaded. Epochs and rate are those of
    the method, `stage_epochs` and `stage_lr`; the stage is frozen afterwards.
    """
    method = distiller.method
    schedule = replace(schedule, epochs=method.stage_epochs, lr=method.stage_lr, patience=0)
    log = fit(Stage(distiller.teacher, method), train, schedule, **options)
    method.stage.requires_grad_(False).eval()
    method.stage_trained = True
    return log
