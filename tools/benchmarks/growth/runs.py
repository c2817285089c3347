"""What a run of `lix compare` costs beyond its training, with more Dask workers and in a larger grid."""

import io
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

from distributed import Client, LocalCluster

from lixlib.core.files import write_json_lines
from lixlib.lab import results
from lixlib.lab.grid import compare, grid
from lixlib.lab.recipe import Recipe
from lixlib.lab.run import run

TINY = {
    "size": (32, 64),
    "epochs": 1,
    "splits": ("train", None, "test"),
    "dataset_options": {"count": 8, "eval_count": 2},
}
WORKERS, RUNS, LINES = (1, 2, 4, 8), 16, (10, 100, 1000)


def measure_workers(quick: bool) -> list[dict]:
    """Seconds a run of a grid of tiny runs, by the number of Dask workers, which have trained one run each before.

    `alone` is a run's time in this process, one after another. `overhead` is how much longer than that a processor core
    is busy, or waits, for a run of the grid.
    """
    count = 2 if quick else RUNS
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with _own_folders() as folder:
        _train_one()
        start = time.perf_counter()
        for recipe in _recipes(count):
            run(recipe, device="cpu", progress=False)
        alone = (time.perf_counter() - start) / count
        found = []
        for workers in WORKERS[:2] if quick else WORKERS:
            seconds = _seconds_with(workers, count, folder / str(workers)) / count
            overhead = seconds * min(workers, cores) - alone
            row = {"x": workers, "seconds": round(seconds, 4), "alone": round(alone, 4), "overhead": round(overhead, 4)}
            found.append({**row, "runs": count, "cores": cores})
    return found


def measure_asked_again(quick: bool) -> list[dict]:
    """Seconds of a grid whose runs are all finished, by their number: what each takes before any is trained."""
    with _own_folders() as folder:
        found = []
        for count in LINES[:2] if quick else LINES:
            recipes = _recipes(count)
            _write_lines(recipes, folder)
            start = time.perf_counter()
            report = compare(recipes, results_dir=folder, device="cpu")
            found.append({"x": count, "seconds": round(time.perf_counter() - start, 5)})
            if report.written != count:
                raise RuntimeError(f"{report.written} of {count} lines were found")
    return found


def measure_append(quick: bool) -> list[dict]:
    """Seconds in which a run's line is added to a file, by the number of its lines."""
    with _own_folders() as folder:
        found = []
        for count in LINES[:2] if quick else LINES:
            line = _write_lines(_recipes(count), folder)
            start = time.perf_counter()
            results.append(line, folder)
            found.append({"x": count, "seconds": round(time.perf_counter() - start, 5)})
    return found


def _seconds_with(workers: int, count: int, folder: Path) -> float:
    """Seconds in which so many workers train so many runs."""
    cluster_options = {
        "n_workers": workers,
        "threads_per_worker": 1,
        "dashboard_address": None,
        "silence_logs": logging.CRITICAL,
    }
    with LocalCluster(**cluster_options) as cluster, Client(cluster) as client:
        client.wait_for_workers(workers)
        client.run(_train_one)
        recipes = _recipes(count, first=1000 * workers)
        start = time.perf_counter()
        report = compare(recipes, results_dir=folder, scheduler=cluster.scheduler_address, device="cpu")
        seconds = time.perf_counter() - start
    if report.trained != count:
        raise RuntimeError(f"{report.trained} of {count} runs were trained: {report.failures}")
    return seconds


def _recipes(count: int, first: int = 0) -> list[Recipe]:
    return grid(methods=["student"], seeds=range(first, first + count), **TINY)


def _train_one() -> dict:
    """Train a run that no other process trains, and return its line."""
    (recipe,) = _recipes(1, first=10**6 + os.getpid())
    return run(recipe, device="cpu", progress=False).line


def _write_lines(recipes: list[Recipe], folder: Path) -> dict:
    """Write a line for each of these recipes, as if it had been trained; return the last one."""
    line = _train_one()
    lines = [
        {**line, "seed": recipe.seed, "recipe": {**line["recipe"], "seed": recipe.seed}, "command": "lix compare"}
        for recipe in recipes
    ]
    write_json_lines(folder / "toydrive" / "mfnet.jsonl", lines)
    return lines[-1]


@contextmanager
def _own_folders() -> Iterator[Path]:
    """An empty folder, with folders in it that take the place of runs and rendered frames; nothing is printed."""
    with tempfile.TemporaryDirectory() as folder:
        own = {"LIX_RUNS": f"{folder}/runs", "LIX_CACHE": f"{folder}/cache", "OMP_NUM_THREADS": "1"}
        silence = io.StringIO()
        with mock.patch.dict(os.environ, own), redirect_stdout(silence), redirect_stderr(silence):
            yield Path(folder)
