"""The command line, one module a command: each adds itself to the app when it is imported."""

from lixlib.cli import demo, train, compare, experiment, eval, predict, export, check  # isort: skip
from lixlib.cli.app import main

__all__ = ["check", "compare", "demo", "eval", "experiment", "export", "main", "predict", "train"]
