"""`lix compare`: a grid of runs, side by side in processes of this machine or on a Dask cluster, into results."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path

from tqdm import tqdm

from lixlib.core.files import as_name
from lixlib.distillers.registry import UNTAUGHT
from lixlib.lab import results
from lixlib.lab.finished import LOG, finished_line
from lixlib.lab.inputs import load, load_unlabelled
from lixlib.lab.plan import Step, plan, runs_folder
from lixlib.lab.prepare import problem_of_network
from lixlib.lab.recipe import Recipe, all_methods
from lixlib.lab.record import Record, identity, read_lines, result_header
from lixlib.lab.workers import _Cluster, _one_line, _Processes

POLL = 0.2  # seconds between two looks at the runs
STARTING = "starting the first runs"  # the bar, until an epoch has ended


@dataclass(frozen=True)
class Failure:
    """A run that ended in an error, that error in one line, and the command that repeats the run."""

    recipe: Recipe
    error: str
    command: str


@dataclass
class Report:
    """What became of a grid: the result lines of its finished runs by folder, where they came from, and what failed."""

    found: dict[Path, Record] = field(default_factory=dict)
    trained: int = 0
    loaded: int = 0  # finished runs of the runs folder
    written: int = 0  # lines that were in the results
    failures: list[Failure] = field(default_factory=list)

    @property
    def lines(self) -> list[Record]:
        return list(self.found.values())


def grid(
    *,
    datasets: Iterable[str] = ("toydrive",),
    networks: Iterable[str] = ("mfnet",),
    methods: Iterable[str] | None = None,
    method_options: Mapping[str, dict] | None = None,
    seeds: Iterable[int] = (0,),
    roots: dict[str, str] | None = None,
    **common,
) -> list[Recipe]:
    """The recipes of every combination, all methods of a seed before the next seed; a shared teacher is there once.

    Args:
        methods: what to train; None: a teacher, a student alone, and a student by every method there is.
        method_options: by the method's name, its options that differ from the tuned ones.
        roots: folder of each data set that is read from files.
        common: what all recipes have in common, e.g. epochs or precision; `teacher` is what a teacher has different.

    Raises:
        ValueError: an unknown name, or an option that does not fit.
    """
    recipes, methods, given = {}, all_methods() if methods is None else list(methods), method_options or {}
    with_options = [method for method in methods if method not in ("teacher", "student")]
    if flat := {n: v for n, v in given.items() if n not in all_methods() and not isinstance(v, dict)}:
        example = json.dumps({(with_options or ["kd"])[0]: flat})
        raise ValueError(
            f"method_options has {', '.join(flat)}, which is no method: in a grid they are by method, write {example}"
        )
    if others := sorted(given.keys() - set(with_options)):
        raise ValueError(
            f"method_options has {', '.join(others)}, and is for {', '.join(with_options) or 'no method'} here"
        )
    for method, options in given.items():
        if not isinstance(options, dict):
            raise ValueError(f'method_options of {method} is {options!r}: write {{"{method}": {{"weight": 0.5}}}}')
    for seed, dataset, network, method in product(seeds, datasets, networks, methods):
        shared = {"dataset": dataset, "root": (roots or {}).get(dataset), "network": network, "seed": seed, **common}
        if method == "teacher":
            recipe = Recipe(**shared, method="student").of_teacher()
        else:
            alone = {"teacher": {}} if method in UNTAUGHT else {}
            recipe = Recipe(**{**shared, **alone}, method=method, method_options=given.get(method, {}))
        recipes[json.dumps([recipe.described, str(recipe.root)], sort_keys=True)] = recipe
    return list(recipes.values())


def compare(
    recipes: Iterable[Recipe],
    *,
    results_dir: Path | str = "results",
    jobs: int | None = None,
    scheduler: str | None = None,
    device: str = "auto",
) -> Report:
    """Train the recipes that `results_dir` has no line of, and add their lines.

    A teacher is trained before its students, once. A run that fails is reported and the others go on without it. What
    is killed goes on from its checkpoints when the same grid is asked for again.

    Args:
        jobs: runs at the same time; where not given, one on a GPU, else one for every core. Several of them compute
            with one thread each.
        scheduler: address of a Dask scheduler whose workers shall do the runs. They and this process must see the same
            runs folder and the same data.
        device: see `lixlib.lab.run.run`.

    Raises:
        ValueError: no job, or a scheduler without Dask.
    """
    plans, results_dir = [plan(recipe) for recipe in recipes], Path(results_dir)
    asked = {steps[-1].folder: steps for steps in plans}
    lines = dict.fromkeys(asked) | _lines_of([steps[-1] for steps in plans], results_dir)
    missing = {folder: steps for folder, steps in asked.items() if lines[folder] is None}
    for dataset, network in {(last.recipe.dataset, last.recipe.network) for *_, last in missing.values()}:
        results.check_folder(results_dir, dataset, network)
    report = Report(written=len(asked) - len(missing))
    for folder in missing:
        if line := finished_line(folder):
            lines[folder] = results.add(line, results_dir)
            report.loaded += 1
    untrained = [steps for folder, steps in missing.items() if lines[folder] is None]
    if untrained:
        with _Cluster(scheduler, device) if scheduler else _Processes(jobs, device) as workers:
            command = partial(workers.command_of, results=results_dir)
            todo = _needed(untrained, report, command)
            for folder, line, trained in _train_all(todo, workers, report, command) if todo else ():
                report.trained += trained
                report.loaded += not trained
                if folder in lines:  # not a teacher that nobody asked for
                    lines[folder] = results.add(line, results_dir)
    report.found = {folder: line for folder, line in lines.items() if line}
    return report


def lines_of(recipes: Iterable[Recipe], results_dir: Path | str = "results") -> dict[Path, Record]:
    """The result lines that are there already, by the folder of their recipe.

    Raises:
        ValueError: a file holds something else; the message names file and line.
    """
    return _lines_of([plan(recipe)[-1] for recipe in recipes], Path(results_dir))


def _lines_of(steps: list[Step], results_dir: Path) -> dict[Path, Record]:
    names = {(step.recipe.dataset, step.recipe.network) for step in steps}
    paths = (results_dir / dataset / f"{as_name(network)}.jsonl" for dataset, network in names)
    written = {identity(line): line for path in paths if path.exists() for line in read_lines(path)}
    found = {}
    for step in steps if written else ():
        with suppress(OSError, ValueError):  # of data that cannot be read there is no line, and the run says why
            found[step.folder] = written.get(identity(result_header(step.inputs)))
    return {folder: line for folder, line in found.items() if line}


def _needed(plans: list[list[Step]], report: Report, command: Callable[..., str]) -> dict[Path, Step]:
    """The runs of all plans that are to be trained, by their folder, each after its teacher, a shared one once.

    A teacher is needed where its run is not finished, also where its result line is there. Runs whose data or network,
    or those of their teachers, cannot be read or built fail before anything is trained.

    Args:
        command: the command that repeats the run of a recipe.
    """
    todo, problems = {}, {}
    for *before, last in plans:
        recipe, error = last.recipe, None
        try:
            last.inputs.digest  # noqa: B018  this reads the files
            if problem := problem_of_network(last.inputs, problems):
                error = _one_line(problem)
            if recipe.distils and (problem := problem_of_network(last.inputs.teacher, problems)):
                error = f"its teacher failed: {_one_line(problem)}"
        except (OSError, ValueError) as found:
            error = _one_line(found)
        if error:
            tqdm.write(f"{_name(recipe)}: FAILED, {error}")
            report.failures.append(Failure(recipe, error, command(recipe, root=recipe.root)))
            continue
        for step in before:
            if step.kind == "run" and not finished_line(step.folder):
                todo.setdefault(step.folder, step)
        todo.setdefault(last.folder, last)
    return todo


def _train_all(
    todo: dict[Path, Step], workers: _Processes | _Cluster, report: Report, command: Callable[..., str]
) -> Iterator[tuple[Path, Record, bool]]:
    """Folder and line of each run when it ends, and whether it was trained; the failures go into the report."""
    waiting, running, failed = dict(todo), {}, {}
    updates = _updates(todo)
    before = sum(_progress(todo[folder]) * count for folder, count in updates.items())
    teachers = {folder: step.teacher.folder for folder, step in todo.items() if step.teacher}
    # the mean rate since the start: runs end their epochs at odd moments
    about = {"unit": "update", "smoothing": 0, "mininterval": 1, "desc": STARTING}
    bar = tqdm(total=sum(updates.values()), initial=round(before), **about)

    def fail(folder: Path, error: str) -> None:
        failed[folder], recipe = error, todo[folder].recipe
        report.failures.append(Failure(recipe, error, command(recipe, root=recipe.root)))
        bar.write(f"{_name(recipe)}: FAILED, {error}")

    with bar:
        while waiting or running:
            for folder in list(waiting):
                teacher = teachers.get(folder)
                if teacher in failed:
                    del waiting[folder]
                    fail(folder, f"its teacher failed: {failed[teacher]}")
                elif len(running) < workers.jobs and teacher not in waiting and teacher not in running:
                    running[folder] = workers.start(waiting.pop(folder))
            for folder in [folder for folder, task in running.items() if task.done()]:
                recipe = todo[folder].recipe
                try:
                    line, trained = running.pop(folder).result()
                except Exception as error:  # whatever it is, the other runs go on
                    fail(folder, _one_line(error))
                    continue
                yield folder, line, trained
                bar.write(f"{_name(recipe)}: {_outcome(line, trained)}")
            ended = todo.keys() - waiting.keys() - running.keys()
            now = sum(count * (1 if folder in ended else _progress(todo[folder])) for folder, count in updates.items())
            if round(now) > bar.n:
                bar.set_description_str("", refresh=False)
                bar.update(round(now) - bar.n)
            if running:
                time.sleep(POLL)


def _outcome(line: Record, trained: bool) -> str:
    miou = line["metrics"]["mIoU"]
    score = "no mIoU" if miou is None else f"mIoU {100 * miou:.2f}"
    return f"{score}, {line['seconds']:.0f} s" if trained else f"{score}, loaded"


def _name(recipe: Recipe) -> str:
    return f"{recipe.dataset} {recipe.network} {recipe.method}, seed {recipe.seed}"


def _updates(todo: dict[Path, Step]) -> dict[Path, int]:
    """The number of updates of each run."""
    per_epoch: dict[str, int] = {}
    updates = {}
    for folder, recipe in ((folder, step.recipe) for folder, step in todo.items()):
        deciding = ("dataset", "root", "size", "batch_size", "splits", "dataset_options", "unlabelled", "labelled")
        seen = str([getattr(recipe, name) for name in deciding])
        if seen not in per_epoch:
            per_epoch[seen] = _updates_an_epoch(recipe)
        updates[folder] = per_epoch[seen] * recipe.epochs
    return updates


def _updates_an_epoch(recipe: Recipe) -> int:
    """Of one pass over the data, 1 where they cannot be read, as the run itself will say.

    ToyDrive's frames are rendered by this, once for all runs.
    """
    try:
        for split in filter(None, recipe.splits[1:]):
            load(recipe, split, with_x=False)
        if recipe.unlabelled:
            load_unlabelled(recipe, recipe.unlabelled, with_x=True)
        labelled = recipe.labelled or len(load(recipe, recipe.splits[0], with_x=False))
        return labelled // recipe.batch_size
    except (ValueError, OSError):
        return 1


def _progress(step: Step) -> float:
    """The share of its epochs that a run has finished, as its log says."""
    log = runs_folder() / step.folder / LOG
    try:
        return min(1, log.read_bytes().count(b"\n") / step.recipe.epochs)
    except OSError:
        return 0
