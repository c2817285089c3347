"""Result lines: one run, one line of JSON, in results/<dataset>/<network>.jsonl; and what is read off many of them."""

import json
import math
import shutil
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from lixlib.core.digests import digest
from lixlib.core.files import as_name, make_folder, one_at_a_time, write_atomically
from lixlib.distillers import METHODS
from lixlib.distillers.registry import SELF_TAUGHT
from lixlib.lab import confusions as files
from lixlib.lab.plan import runs_folder
from lixlib.lab.record import Record, checked, identity, read_lines
from lixlib.metrics import METRICS as METRICS

# what two students share whose scores may stand in one table
SCHEDULE = ("split", "size", "epochs", "updates", "batch")
# The methods of the paper's Tables I-III, in their order, by what they distil, and how one writes them
FAMILIES = {
    "baseline": {"teacher": "teacher", "student": "student"},
    **{
        family: {name: method.title for name, method in METHODS.items() if method.family == family and method.in_paper}
        for family in ("logit", "feature", "both")
    },
}


class _Names(dict):
    """A method that is in none of the paper's tables has the title of its entry, or is written as it is called."""

    def __missing__(self, method: str) -> str:
        entry = METHODS.get(method) or SELF_TAUGHT.get(method)
        return entry.title if entry else method


NAMES = _Names({method: name for family in FAMILIES.values() for method, name in family.items()})

Runs = Mapping[str, Mapping[int, Record]]  # lines by method and seed


def append(line: Record, root: Path | str = "results") -> Path:
    """Add a line to its file, in place of an earlier line of the same run, and copy the matrices that it names."""
    add(line, root)
    return _path(line, root)


def add(line: Record, root: Path | str = "results") -> Record:
    """As `append`; the line as it stands in the results, where its matrices have another name."""
    path, own = _path(line, root), identity(line)
    with one_at_a_time(path.parent):  # two trainings may end at the same moment
        try:
            before = path.read_text(encoding="utf-8-sig").splitlines() if path.exists() else []
            kept = [checked(text) for text in before]
            line = _with_matrices(line, Path(root))
            texts = [*(text for other, text in kept if other != own), json.dumps(line, allow_nan=False)]
        except (ValueError, RecursionError) as error:
            if path.exists():
                read_lines(path)  # it says which line is wrong
            raise ValueError(f"cannot write {path}: {error}; a value that does not exist is null in JSON") from error
        write_atomically(path, lambda temporary: temporary.write_text("\n".join([*texts, ""]), encoding="utf-8"))
    return line


def confusions(line: Record, root: Path | str = "results") -> np.ndarray:
    """The confusion matrices of the images that a run was scored on.

    **Shapes**: (N, C, C) int64, rows are the truth.

    Args:
        root: the folder of results that the line is read from; of a run's own line the folder of runs.

    Raises:
        FileNotFoundError: the line names no file, or one that is not there.
        ValueError: the file holds something else.
    """
    return _matrices(line, root)[1]


def images(line: Record, root: Path | str = "results") -> list[str]:
    """The names of the images that a run was scored on, in the order of `confusions`; it raises what that raises."""
    return _matrices(line, root)[0]


def _matrices(line: Record, root: Path | str) -> tuple[list[str], np.ndarray]:
    if not (named := line.get("confusion")):
        raise FileNotFoundError(
            f"{line['dataset']} {line['network']} {line['method']}, seed {line['seed']}: its line names no confusion "
            "matrices, as of a run that is older than they are: make them by lixlib.lab.run.score_images(recipe) and "
            f"add the line that it returns to {root}"
        )
    return files.read(Path(root) / named)


def _with_matrices(line: Record, root: Path) -> Record:
    """The line with its matrices copied into the results; without a word of them if they are gone."""
    if not (named := line.get("confusion")):
        return line
    target = Path(line["dataset"], "confusion", f"{digest(identity(line))}.npz")
    there = [path for path in (runs_folder() / named, root / named) if path.is_file()]
    if not there:
        warnings.warn(f"{runs_folder() / named} is gone: the line goes without its confusion matrices", stacklevel=4)
        return {name: value for name, value in line.items() if name != "confusion"}
    if there[0] != root / target:
        write_atomically(root / target, lambda temporary: shutil.copyfile(there[0], temporary))
    return {**line, "confusion": target.as_posix()}


def _path(line: Record, root: Path | str) -> Path:
    return Path(root) / line["dataset"] / f"{as_name(line['network'])}.jsonl"


def check_folder(root: Path | str, dataset: str, network: str) -> None:
    """Raise before anything is trained what `append` would raise afterwards.

    Raises:
        OSError: the folder cannot be made or be written to.
        ValueError: a line that is there is none.
    """
    path = Path(root) / dataset / f"{as_name(network)}.jsonl"
    if path.exists():
        read_lines(path)
    make_folder(path.parent)


def read(root: Path | str, dataset: str, network: str = "mfnet") -> list[Record]:
    """All lines of a data set and network.

    Raises:
        FileNotFoundError: no such results; the message says how to make them.
        ValueError: as `lixlib.lab.record.read_lines`.
    """
    path = Path(root) / dataset / f"{as_name(network)}.jsonl"
    others = "" if network == "mfnet" else f" --networks {network}"
    return read_lines(there(path, f"lix compare --datasets {dataset}{others} --results {root}"))


def there(path: Path, command: str) -> Path:
    """The path itself, if there is such a file or folder of results.

    Raises:
        FileNotFoundError: there is none; the message names the command that makes it.
    """
    if not path.exists():
        raise FileNotFoundError(f"no results in {path}: make them by `{command}`")
    return path


def gap_closed(teacher: float, student: float, distilled: float) -> float | None:
    """The share of the way from the student to its teacher that distillation went; None where there is no way to go."""
    return (distilled - student) / (teacher - student) if teacher > student else None


def one_schedule(lines: Iterable[Record], epochs: int | None = None) -> list[Record]:
    """The lines that may stand in one table: students of one split, size and schedule, and the teachers of these.

    Of several schedules it is the one with the most methods, and of these the one with the most runs.

    Args:
        epochs: of the schedule; None: any.
    """
    schedules: dict[str, list[Record]] = {}
    for line in lines:
        if epochs is None or line["method"] == "teacher" or line["epochs"] == epochs:
            schedules.setdefault(_key(line, *SCHEDULE), []).append(line)
    students = [[line for line in group if line["method"] != "teacher"] for group in schedules.values()]
    group = max(students, key=lambda group: (len({line["method"] for line in group}), len(group)), default=[])
    taught = {_key(line, "split", "size") + str(_epochs_of_teacher(line)) for line in group}
    teachers = [line for group in schedules.values() for line in group if line["method"] == "teacher"]
    return [line for line in teachers if _key(line, "split", "size") + str(line["epochs"]) in taught] + group


def by_method(lines: Iterable[Record], epochs: int | None = None) -> dict[str, dict[int, Record]]:
    """The lines of `one_schedule` by method, in the paper's order, and by seed.

    A method that was run with several options is there once, with those of its newest line.
    """
    runs: dict[str, dict[str, dict[int, Record]]] = {}
    newest: dict[str, str] = {}
    for line in one_schedule(lines, epochs):
        runs.setdefault(line["method"], {}).setdefault(_key(line, "hyper"), {})[line["seed"]] = line
        newest[line["method"]] = _key(line, "hyper")
    chosen = {method: variants[newest[method]] for method, variants in runs.items()}
    order = [*NAMES, *(method for method in chosen if method not in NAMES)]
    return {method: dict(sorted(chosen[method].items())) for method in order if method in chosen}


def gains(runs: Runs, method: str, *, against: str = "student", metric: str = "mIoU") -> dict[int, float]:
    """A method's score minus that of another method (the student alone), in points, by every seed that both have.

    A run that diverged has no score, and so no gain.
    """
    ours, theirs = scored(runs.get(method, {}), metric), scored(runs.get(against, {}), metric)
    return {seed: 100 * (ours[seed] - theirs[seed]) for seed in ours if seed in theirs}


def scored(lines: Mapping[int, Record], metric: str = "mIoU") -> dict[int, float]:
    """The scores of the runs that have one, by seed: that of a run that diverged is null."""
    return {seed: line["metrics"][metric] for seed, line in lines.items() if line["metrics"][metric] is not None}


def class_gains(runs: Runs, method: str, *, against: str = "student") -> dict[str, float]:
    """The gain in IoU by class, in points: the mean over the seeds that both have; NaN where a class never occurs."""
    pairs = [(line, runs[against][s]) for s, line in runs.get(method, {}).items() if s in runs.get(against, {})]
    found: dict[str, list[float]] = {}
    for pair in pairs:
        ours, theirs = (line.get("per_class", {}) for line in pair)  # which a line may lack
        for name in (name for name in ours if name in theirs):
            after, before = ours[name][0], theirs[name][0]
            found.setdefault(name, []).extend([] if None in (after, before) else [100 * (after - before)])
    return {name: sum(values) / len(values) if values else math.nan for name, values in found.items()}


def shares(runs: Runs, method: str, metric: str = "mIoU") -> dict[int, float | None]:
    """`gap_closed` of a method, by every seed for which there are a teacher and a student, too."""
    teacher, student, distilled = (scored(runs.get(name, {}), metric) for name in ("teacher", "student", method))
    seeds = [seed for seed in distilled if seed in student and seed in teacher]
    return {seed: gap_closed(teacher[seed], student[seed], distilled[seed]) for seed in seeds}


def title(line: Record) -> str:
    """How the method of a run is written; the paper's own methods say whose form it was.

    "LIX, as published" (or DWLD, ARFD) ran with what the paper says: the jointly trained controller, the kl elements, W
    from 1 to 10; positions as samples. "LIX, former" differs in at least one of them, as in our first tables. What
    is called "LIX, ours" is a method of its own, `lix-ours`.
    """
    method, options = line["method"], line["hyper"]
    if method == "lix":
        parts = {"dwld": options.get("logit") or {}, "arfd": options.get("feature") or {}}
    else:
        parts = {method: options}
    said = {part: METHODS[part].published for part in parts if part in METHODS}
    if not said or not all(said.values()):
        return NAMES[method]
    told = {part: {**said[part], **used} for part, used in parts.items()}
    published = all(told[part][name] == value for part in told for name, value in said[part].items())
    return f"{NAMES[method]}, {'as published' if published else 'former'}"


def _epochs_of_teacher(line: Record) -> int:
    return line.get("recipe", {}).get("teacher", {}).get("epochs", line["epochs"])


def _key(line: Record, *names: str) -> str:
    # as it reads in the file, where a tuple is a list
    return json.dumps([line.get(name) for name in names], sort_keys=True)
