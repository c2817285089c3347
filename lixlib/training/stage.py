"""The first stage of two-stage methods: what they learn from the teacher before the student is trained."""

from dataclasses import replace

from torch.utils.data import Dataset

from lixlib.distillers import Distiller, Stage
from lixlib.training.loop import fit
from lixlib.training.schedule import Schedule


def fit_stage(distiller: Distiller, train: Dataset, schedule: Schedule, **options) -> list[dict]:
    """Train the first stage of the distiller's method (`lixlib.distillers.TwoStage`); return the log, as `fit` does.

    It takes the `options` of `fit`, with a folder of its own; a stage that was trained there already is loaded. The
    number of epochs and the learning rate are the method's `stage_epochs` and `stage_lr`; there is neither early
    stopping nor a moving average. The stage is frozen afterwards.
    """
    method = distiller.method
    schedule = replace(schedule, epochs=method.stage_epochs, lr=method.stage_lr, patience=0, ema=0.0)
    log = fit(Stage(distiller.teacher, method), train, schedule, **options)
    method.stage.requires_grad_(False).eval()
    method.stage_trained = True
    return log
