"""Where the runs of a grid are trained: in processes of this machine, or by the workers of a Dask scheduler."""

import json
import multiprocessing
import os
import shlex
import signal
import sys
import threading
from dataclasses import fields, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from lixlib.core.devices import choose_device
from lixlib.core.files import at_home
from lixlib.core.plugins import PLUGINS, import_plugins
from lixlib.core.text import one_line
from lixlib.lab.plan import Step, runs_folder
from lixlib.lab.recipe import Recipe
from lixlib.lab.run import run
from lixlib.training import TrainingFailed

if TYPE_CHECKING:
    from distributed import Future

_alone = threading.Lock()  # torch's random numbers belong to the process: it trains one run at a time


class RunFailed(RuntimeError):
    """A run's process ended in an error; the message is that error in one line."""


def command_of(
    recipe: Recipe,
    *,
    device: str = "auto",
    threads: int | None = None,
    root: Path | str = "ROOT",
    results: Path | None = None,
) -> str:
    """The `lix train` line that makes this run.

    Args:
        root: stands for the folder of its data.
        results: folder that its result line shall be added to. The command is then complete, for someone who repeats
            the run: it names the plugins, too.
    """
    words = ["lix", "train", "--dataset", recipe.dataset, "--method", recipe.method, "--seed", str(recipe.seed)]
    default = Recipe(recipe.dataset, method=recipe.method, seed=recipe.seed).told()
    told = recipe.told(by_name=True)
    for option in fields(recipe):
        value = told.get(option.name)
        if option.name == "root":
            words += ["--root", str(root)] if recipe.root else []
        elif value != default[option.name]:
            flag = option.name.replace("_", "-")
            values = value if isinstance(value, tuple | list) else [value]
            given = [f"--{flag}", *(json.dumps(v) if isinstance(v, dict) else str(v) for v in values)]
            words += [f"--no-{flag}"] if value is False else given
    words += [] if device == "auto" else ["--device", device]
    words += [] if results is None else ["--results", str(results)]
    plugins = os.environ.get(PLUGINS) if results is not None else None
    given = f"{PLUGINS}={shlex.quote(plugins)} " if plugins else ""
    return given + (f"OMP_NUM_THREADS={threads} " if threads else "") + shlex.join(words)


def _one_line(error: Exception) -> str:
    text = one_line(str(error))
    expected = isinstance(error, ValueError | OSError | TrainingFailed | RunFailed)
    return text if text and expected else f"{type(error).__name__}: {text}"


def _work(recipe: Recipe, runs: str, device: str, command: str) -> tuple[dict, bool]:
    """One run, wherever that is; its result line, and whether it was trained."""
    with _alone:
        import_plugins()  # a process that has just started knows nothing of them
        os.environ["LIX_RUNS"] = runs
        finished = run(recipe, device=device, command=command, progress=False)
        return finished.line, finished.trained


def _work_of(step: Step, workers: "_Processes | _Cluster") -> tuple[Recipe, str, str, str]:
    """The arguments of `_work`, with folders that are right in any working directory."""
    recipe = step.recipe
    root = recipe.root and str(at_home(recipe.root).absolute())
    return replace(recipe, root=root), str(runs_folder().absolute()), workers.device, workers.command_of(recipe)


class _Cluster:
    """The workers of a Dask scheduler; a run whose worker dies is given to another one and goes on there."""

    jobs = sys.maxsize  # the scheduler knows how many there are

    def __init__(self, address: str, device: str):
        try:
            from distributed import Client
        except ImportError:
            raise ValueError("a scheduler needs Dask: install it by `pip install -e '.[cluster]'`") from None
        self.device, self.client, self.futures = device, Client(address), []

    def command_of(self, recipe: Recipe, **place) -> str:
        return command_of(recipe, device=self.device, **place)

    def start(self, step: Step) -> "Future":
        # no retries: Dask repeats what a dead worker did without, and an error of ours would come back
        future = self.client.submit(_work, *_work_of(step, self), key=str(step.folder), pure=False)
        self.futures.append(future)
        return future

    def __enter__(self) -> "_Cluster":
        return self

    def __exit__(self, *_) -> None:
        self.client.cancel(self.futures)
        self.client.close()


class _Processes:
    """A new process of this machine for every run."""

    def __init__(self, jobs: int | None, device: str):
        if jobs is not None and jobs < 1:
            raise ValueError(f"jobs is {jobs}: give the number of runs at the same time, at least 1")
        on_gpu = choose_device(device).type == "cuda"
        self.jobs = jobs or (1 if on_gpu else _cores())
        self.device, self.processes = device, []
        self.threads = 1 if self.jobs > 1 else int(os.environ.get("OMP_NUM_THREADS", 0)) or None

    def command_of(self, recipe: Recipe, **place) -> str:
        return command_of(recipe, device=self.device, threads=self.threads, **place)

    def start(self, step: Step) -> "_Process":
        process = _Process(self.threads, *_work_of(step, self))
        self.processes.append(process)
        return process

    def __enter__(self) -> "_Processes":
        return self

    def __exit__(self, *_) -> None:
        for process in self.processes:
            process.stop()


class _Process:
    def __init__(self, threads: int | None, *work):
        context = multiprocessing.get_context("spawn")
        self.answer, answer = context.Pipe(duplex=False)
        self.process = context.Process(target=_in_child, args=(answer, threads, *work))
        self.process.start()
        answer.close()

    def done(self) -> bool:
        return self.answer.poll() or not self.process.is_alive()

    def result(self) -> tuple[dict, bool]:
        try:
            found, error = self.answer.recv()
        except EOFError:
            self.process.join()
            code = self.process.exitcode
            raise RunFailed(_why_it_ended(code)) from None
        self.process.join()
        if error:
            raise RunFailed(error)
        return found

    def stop(self) -> None:
        self.process.terminate()
        self.process.join(timeout=10)
        self.process.kill()


def _why_it_ended(code: int) -> str:
    if code < 0:
        return f"its process was killed by signal {-code}"
    advice = ': a script calls compare below `if __name__ == "__main__":`, because each process imports it'
    return f"its process ended with exit code {code} before it trained{advice if code == 1 else ''}"


def _in_child(answer: Connection, threads: int | None, *work) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which then stops this process
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and it tidies up
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if threads:
        torch.set_num_threads(threads)
    try:
        answer.send((_work(*work), None))
    except Exception as error:
        answer.send((None, _one_line(error)))


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
