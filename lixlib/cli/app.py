"""What the commands share: the app, how words are read, mistakes in one line, tables."""

import contextlib
import difflib
import functools
import io
import json
import os
import re
import shlex
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, NoReturn

import torch
import tyro
from torch.distributed import is_torchelastic_launched
from tqdm import tqdm

from lixlib import data, nets
from lixlib.cli.photographs import say
from lixlib.core import devices
from lixlib.core.files import at_home, told, without_folders
from lixlib.core.options import shown
from lixlib.core.plugins import import_plugins
from lixlib.core.text import one_line, repeated
from lixlib.distillers import METHODS
from lixlib.lab import results
from lixlib.lab.finished import Run
from lixlib.lab.grid import compare as compare_recipes
from lixlib.lab.plan import runs_folder
from lixlib.lab.recipe import Recipe, all_methods
from lixlib.lab.record import Record
from lixlib.lab.tables import over_seeds
from lixlib.training import TrainingFailed

DESCRIPTION = (
    "Learning to Infuse X: a network with a camera and a second sensor X teaches one with the camera alone. "
    "Try `lix demo --quick` first; `lix COMMAND --help` explains a command."
)

Device = Annotated[devices.Device, tyro.conf.arg(help="Where to compute: auto takes a GPU if there is one.")]
Folder = Annotated[Path | None, tyro.conf.arg(metavar="DIR")]


# Flags by their names of before, in commands of committed result lines.
FORMER = {
    "--net": "--network-options",
    "--hyper": "--method-options",
    "--data": "--dataset-options",
    "--batch": "--batch-size",
}


class App(tyro.extras.SubcommandApp):
    """Gives the call that the command line asks for, to be made afterwards: what is said until then is a mistake."""

    def command(self, function: Callable | None = None, **options) -> Callable:
        def register(function: Callable) -> Callable:
            asked = functools.wraps(function)(lambda *args, **keywords: functools.partial(function, *args, **keywords))
            self.documented.append((asked, asked.__doc__))
            self.names.append(options.get("name", function.__name__))
            super(App, self).command(asked, **options)
            return function

        return register if function is None else register(function)

    def __init__(self):
        super().__init__()
        self.documented: list[tuple[Callable, str]] = []
        self.names: list[str] = []

    def tell_names(self) -> None:
        """Put into the help of every command the names that there are now, those of plugins among them."""
        known = (
            f"Data sets: {', '.join(data.DATASETS)}.\n"
            f"    Networks: {', '.join(nets.NETWORKS)}; or your own, as module.path:factory.\n"
            f"    Methods: {', '.join(all_methods())}."
        )
        for function, text in self.documented:
            function.__doc__ = text.replace("{names}", known)


registry = tyro.constructors.ConstructorRegistry()
app = App()


def _one_word(kind: type, metavar: str, read: Callable[[str], object], write: Callable[[object], str]) -> None:
    """Tell tyro how options of a type are read from one word."""

    @registry.primitive_rule
    def _(info: tyro.constructors.PrimitiveTypeInfo) -> tyro.constructors.PrimitiveConstructorSpec | None:
        if info.type is not kind:
            return None
        return tyro.constructors.PrimitiveConstructorSpec(
            nargs=1,
            metavar=metavar,
            instance_from_str=lambda words: read(words[0]),
            is_instance=lambda value: isinstance(value, kind),
            str_from_instance=lambda value: [write(value)],
        )


def _read_object(text: str) -> dict:
    def once(pairs: list[tuple[str, object]]) -> dict:
        if (doubled := repeated([name for name, _ in pairs])) is not None:
            raise ValueError(f"{shown(text)} says {doubled!r} twice: say it once")
        return dict(pairs)

    def no_number(word: str) -> None:
        raise ValueError(f"{shown(text)} holds {word}, which is no number of JSON: give a finite one")

    try:
        value = json.loads(text, object_pairs_hook=once, parse_constant=no_number)
    except (json.JSONDecodeError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ValueError(f"""{shown(text)} is no JSON object: write it like '{{"lambda_l": 0.5}}'""")
    return value


_one_word(dict, "JSON", _read_object, json.dumps)
_one_word(Path, "PATH", at_home, str)


def train_grid(
    recipes: list[Recipe],
    results_dir: Path,
    tables: Mapping[str, Iterable[tuple[str, Path]]] | None = None,
    **options,
) -> None:
    """Train what is missing, and print the scores.

    Args:
        tables: by their titles, what each row is called and the folder of its run; by default one table of all runs, by
            their methods.
    """
    report = compare_recipes(recipes, results_dir=results_dir, **options)
    say(
        f"{len(report.lines)} of {len(recipes)} runs are in {results_dir}; {report.trained} trained now, "
        f"{report.loaded} loaded from {runs_folder()}, {report.written} already in {results_dir}",
        sys.stdout,
    )
    for title, rows in (
        tables or {"in %": [(line["method"], folder) for folder, line in report.found.items()]}
    ).items():
        named = [(name, report.found[folder]) for name, folder in rows if folder in report.found]
        if named:
            scores = [[_called(name, line), *line["metrics"].values()] for name, line in named]
            say(table([title, *results.METRICS], scores), sys.stdout)
        if summary := over_seeds(named):
            told = "mean ± standard deviation in %; gain over the student in points, paired by seed"
            say(f"\n{told}\n{summary}", sys.stdout)
    for failure in report.failures:
        say(f"failed: {failure.command}\n    {failure.error}", sys.stderr)
    if report.failures:
        command = " ".join(sys.argv[1:2])
        say(f"repeat a failed run by its command above, or give the same {command} command again", sys.stderr)
        raise SystemExit(1)


def _called(name: str, line: Record) -> str:
    return f"{line['dataset']} {line['network']} {name}, seed {line['seed']}"


def main() -> None:
    """Run the command that sys.argv names; bad input gives one line on stderr and exit code 2, a warning one line."""
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            import_plugins()
            app.tell_names()
            sys.argv[1:] = _with_todays_flags(sys.argv[1:])
            _parse()()
    except OSError as error:
        _fail(told(error))
    except (ValueError, TrainingFailed) as error:
        _fail(str(error))
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and "allocate memory" not in str(error):
            raise
        _fail("not enough memory: choose a smaller size or batch (--size, --batch-size)")
    except KeyboardInterrupt:
        say("lix: stopped; the same command goes on after the last finished epoch", sys.stderr)
        raise SystemExit(130) from None


def _with_todays_flags(words: list[str]) -> list[str]:
    parts = [word.partition("=") if word.startswith("--") else (word, "", "") for word in words]
    given = {flag for flag, _, _ in parts}
    for former, flag in FORMER.items():
        if {former, flag} <= given:
            raise ValueError(f"{former} is the former name of {flag}: give it once")
    flags = [flag.replace("_", "-") for flag, _, _ in parts if flag.startswith("--")]
    if (twice := repeated(flags)) is not None:
        raise ValueError(f"{twice} is there more than once, and all but the last would be lost: give it once")
    return [FORMER.get(flag, flag) + equals + value for flag, equals, value in parts]


def _parse() -> Callable[[], None]:
    """The call that the command line asks for; what tyro says in boxes becomes one line."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return app.cli(prog="lix", description=DESCRIPTION, registry=registry)
    except SystemExit as stop:
        if not stop.code:  # --help
            raise
        text = re.sub("^.*╭.*$|[│╰╯]", "", said.getvalue(), flags=re.MULTILINE)
        text = re.sub("-{4,}", "──", text)  # tyro's rules where the terminal has ASCII alone
        if unknown := re.search(r"Unrecognized (?:or misplaced )?options:(.*?)(?:─{2,}|\Z)", text, re.DOTALL):
            _check_known(re.sub(r"\(applied to .*?\)", "", unknown[1], flags=re.DOTALL).replace(",", " ").split())
        sections = (" ".join(section.split()) for section in re.split("─{2,}", text))
        # of options that may be left out, and of several words, tyro tells how it tried
        wanted = r"no type matching (?:\{None\}\|)?\{?(.+?)\}? could be instantiated from (\[.*?\])\. Got errors: [^;]*"
        sections = (re.sub(wanted, r"expected \1, found \2", section) for section in sections)
        sections = (re.sub(r"typing\.Annotated\[(\w+), [^]]*\]", r"\1", section) for section in sections)
        _fail("; ".join(each for each in sections if each and not each.startswith("Argument helptext")))


def _check_known(words: list[str]) -> None:
    """Name one of the words that the command does not know, and the option that may be meant."""
    command = sys.argv[1]
    if command not in app.names:
        return  # tyro lists the commands
    word = next((word for word in words if word.startswith("--")), words[0]).partition("=")[0]
    if not word.startswith("--"):
        _fail(f"{shown(word)} belongs to no option of {command}: run `lix {command} --help`")
    near = difflib.get_close_matches(word, _options_of(command), n=1)
    meant = f"the nearest that it has is {near[0]}; " if near else ""
    _fail(f"{command} has no option {word}: {meant}run `lix {command} --help`")


def _options_of(command: str) -> list[str]:
    """The options that the help of a command lists."""
    page = io.StringIO()
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(page), contextlib.redirect_stderr(io.StringIO()):
        app.cli(prog="lix", args=[command, "--help"], registry=registry)
    return re.findall(r"^\W{0,3}(--[a-z][\w-]*)", page.getvalue(), re.MULTILINE)


def _fail(text: str) -> NoReturn:
    say(f"lix: {one_line(text)}", sys.stderr)
    raise SystemExit(2) from None


def _show_warning(message: Warning | str, *_, **__) -> None:
    tqdm.write(f"lix: warning: {one_line(str(message))}", file=sys.stderr)  # above a progress bar


def command_line() -> str:
    """The command line without what only this machine knows."""
    words = ["lix"]
    if is_torchelastic_launched():
        words = ["torchrun", f"--nproc_per_node={os.environ['LOCAL_WORLD_SIZE']}", "-m", "lixlib.cli"]
    for word in sys.argv[1:]:
        flag, equals, value = ("", "", word) if word.startswith("{") else word.rpartition("=")
        if word.startswith("--") and equals:  # a value may hold "=", too
            flag, equals, value = word.partition("=")
        if "--root" in (flag, words[-1]):
            value = "ROOT"
        elif value.startswith("{"):
            options = {name: each for name, each in _read_object(value).items() if name != "cache"}
            value = json.dumps(without_folders(options))
        else:
            value = without_folders(value)
        words.append(f"{flag}{equals}{value}")
    return shlex.join(words)


def check_some(**lists: tuple) -> None:
    for name, values in lists.items():
        if not values:
            raise ValueError(f"{name if name.isupper() else '--' + name} is empty: nothing would be trained, name some")


def origin(finished: Run) -> str:
    """Where a run comes from, and the options of its method: who chose them, and for which images."""
    recipe = finished.recipe
    told = f"{recipe.method}: {'trained now' if finished.trained else 'loaded'}, {finished.folder}"
    if not recipe.options:
        return told
    origins, method = [], METHODS.get(recipe.method)
    if method and method.tuned:
        alone = method.tuned_labelled_only and not recipe.unlabelled
        origins.append(f"tuned for {'labelled images alone' if alone else 'training with images without labels'}")
    if recipe.method_options:
        origins.append(f"given by you: {', '.join(recipe.method_options)}")
    whence = "; ".join(origins)
    return f"{told}\n    options of {recipe.method}{f' ({whence})' * bool(whence)}: {json.dumps(recipe.options)}"


def metrics_table(lines: list[Record]) -> str:
    return table(["in %", *results.METRICS], [[line["method"], *line["metrics"].values()] for line in lines])


def table(header: list[str], rows: list[list]) -> str:
    """Aligned columns; shares as percentages, a class that does not occur as a dash."""
    texts = [header, *([row[0], *("-" if v is None else f"{100 * v:.2f}" for v in row[1:])] for row in rows)]
    first = max(len(row[0]) for row in texts)
    return "\n".join(row[0].ljust(first) + "".join(text.rjust(8) for text in row[1:]) for row in texts)
