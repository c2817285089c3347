"""Kill -9 at every write of a piece of work, and repeat the work: `python killed.py WORK FOLDER`, for test_kills.py.

The work is done once whole, in this process, so that no fork need repeat what is slow the first time: imports, and
what torch prepares for each shape. Then for every n a fork does it in a folder of its own and kills itself when its
n-th file is written but not yet renamed into place, at the end also when the last one is; a second fork repeats it
there. What each ends with is printed.
"""

import gc
import json
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import torch
from in_process import InProcess
from safetensors.torch import save_file

import lixlib.lab.grid
from lixlib import nets
from lixlib.core.digests import digest_of_file
from lixlib.core.files import read_json_lines, write_atomically
from lixlib.data import ToyDrive
from lixlib.distillers import Distiller
from lixlib.lab.grid import compare, grid
from lixlib.lab.recipe import Recipe
from lixlib.lab.run import run
from lixlib.training import Schedule, fit

SMALL = {
    "network_options": {"width": 0.25},
    "size": (16, 32),
    "batch_size": 2,
    "dataset_options": {"count": 4, "eval_count": 2},
    "unlabelled": 2,
    "epochs": 2,
}
TAUGHT = {"teacher": {"epochs": 1, "patience": 0}}
FT = Recipe(method="ft", method_options={"stage_epochs": 1}, pretrain=1, patience=2, **SMALL, **TAUGHT)


def one_run(folder: Path) -> None:
    run(FT, device="cpu", progress=False)


def one_grid(folder: Path) -> None:
    lixlib.lab.grid._Processes = InProcess  # where kills are counted
    report = compare(grid(methods=["teacher", "kd"], **SMALL, **TAUGHT), results_dir=folder / "results")
    assert len(report.lines) == 2 and not report.failures, report


def one_cache(folder: Path) -> None:
    assert len(ToyDrive("train", size=(16, 32), count=2, cache=folder)) == 2


def one_average(folder: Path) -> None:
    torch.manual_seed(0)
    data = ToyDrive("train", size=(16, 32), count=4)
    distiller = Distiller(nets.build("mfnet", num_classes=len(data.classes.names)))
    schedule = Schedule(epochs=2, batch=2, patience=2, ema=0.9)
    fit(distiller, data, schedule, folder=folder / "runs", validation=data, progress=False)
    state = {name: tensor.contiguous() for name, tensor in distiller.student.state_dict().items()}
    write_atomically(folder / "student.safetensors", lambda path: save_file(state, path))


def in_fork(work: Callable[[], None]) -> int:
    """Do it in a fork; its exit code, negative for a signal."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def killing(work: Callable[[], None], at: int, *, after: bool = False) -> Callable[[], None]:
    replace, done = os.replace, [0]

    def counted(source, target):
        done[0] += 1
        if after:
            replace(source, target)
        if done[0] == at:
            os.kill(os.getpid(), signal.SIGKILL)
        if not after:
            replace(source, target)

    def killed() -> None:
        os.replace = counted
        work()

    return killed


def ends_of(folder: Path) -> dict:
    """The files that the work left, without what differs between runs: seconds, bytes of caches and checkpoints."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    found = {str(path.relative_to(folder)): None for path in files}
    for path in files:
        if path.suffix == ".jsonl":
            rows = [{**row, "seconds": 0, "stage_seconds": 0} for row in read_json_lines(path)]
            found[str(path.relative_to(folder))] = sorted(rows, key=json.dumps) if "results" in path.parts else rows
        elif path.suffix == ".safetensors":
            found[str(path.relative_to(folder))] = digest_of_file(path)
    return found


def main(work: Callable[[Path], None], folder: Path) -> None:
    torch.set_num_threads(1)
    os.fsync = os.fstat  # as in conftest.py
    os.environ["LIX_CACHE"] = str(folder / "cache")  # rendered once; the work "cache" has its own
    print(json.dumps(list(reports(work, folder))))


def reports(work: Callable[[Path], None], folder: Path) -> Iterator[dict]:
    def there(name: str) -> tuple[Path, Callable[[], None]]:
        place = folder / name
        place.mkdir()

        def do() -> None:
            os.environ["LIX_RUNS"] = str(place / "runs")
            warnings.simplefilter("error")  # a kill damages nothing
            work(place)

        return place, do

    place, do = there("whole")
    do()
    whole = ends_of(place)
    gc.freeze()  # no fork looks for garbage in what all of them share

    def killed(n: int, **when) -> dict:
        place, do = there(f"killed-{n}-{len(when)}")
        code = in_fork(killing(do, n, **when))
        again, found = in_fork(do), ends_of(place)
        different = sorted(name for name in whole | found if whole.get(name, 0) != found.get(name, 0))
        return {"at": n, "killed": code, "again": again, "different": different}

    for n in count(1):
        report = killed(n)
        if not report["killed"]:  # there is no n-th file
            yield killed(n - 1, after=True)
            return
        yield report


if __name__ == "__main__":
    main({"run": one_run, "grid": one_grid, "cache": one_cache, "average": one_average}[sys.argv[1]], Path(sys.argv[2]))
