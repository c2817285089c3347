"""The runs of a grid in this process, one after another: put in the place of the processes that a grid starts."""

from lixlib.lab.plan import Step
from lixlib.lab.run import run
from lixlib.lab.workers import command_of


class InProcess:
    jobs, device = 1, "cpu"

    def __init__(self, *_):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def command_of(self, recipe, **place):
        return command_of(recipe, **place)

    def start(self, step):
        return Done(step)


class Done:
    def __init__(self, step: Step):
        self.step = step

    def done(self):
        return True

    def result(self):
        finished = run(self.step.recipe, device="cpu", progress=False)
        return finished.line, finished.trained
