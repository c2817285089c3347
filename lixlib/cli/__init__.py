"""The command line, one module a command: each adds itself to the app when it is imported."""

import gc

collects = gc.isenabled()
gc.disable()  # what is imported stays: looking for garbage in it takes a third of the time of `lix --help`

from lixlib.cli import demo, train, compare, experiment, eval, predict, export, check  # noqa: E402  isort: skip
from lixlib.cli.app import main  # noqa: E402

if collects:
    gc.freeze()
    gc.enable()

__all__ = ["check", "compare", "demo", "eval", "experiment", "export", "main", "predict", "train"]
