"""The command line: `lix demo`, `lix train`, `lix compare`, `lix eval`, `lix predict`."""

import ast
import contextlib
import functools
import io
import json
import os
import re
import shlex
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

import torch
import tyro
from torch.distributed import is_torchelastic_launched
from tqdm import tqdm

from lixlib import checkpoints, data, nets
from lixlib.cli.photographs import class_table, colour, pair, say
from lixlib.core import devices
from lixlib.core.checks import check_choice
from lixlib.core.files import at_home, told, without_folders
from lixlib.core.options import check_pixels, shown
from lixlib.lab import experiments, results
from lixlib.lab.grid import ALL_METHODS, grid
from lixlib.lab.grid import compare as compare_recipes
from lixlib.lab.run import Recipe, Run, run, runs_folder, trio
from lixlib.training import TrainingFailed, evaluate

REPOSITORY = Path(__file__).resolve().parents[2]
DEMO = REPOSITORY / "notebooks" / "09_distillation_run.ipynb"
DESCRIPTION = (
    "Learning to Infuse X: a network with a camera and a second sensor X teaches one with the camera alone. "
    "Try `lix demo --quick` first; `lix COMMAND --help` explains a command."
)

Device = Annotated[devices.Device, tyro.conf.arg(help="Where to compute: auto takes a GPU if there is one.")]
Folder = Annotated[Path | None, tyro.conf.arg(metavar="DIR")]


class App(tyro.extras.SubcommandApp):
    """Gives the call that the command line asks for, to be made afterwards: what is said until then is a mistake."""

    def command(self, function: Callable | None = None, **options) -> Callable:
        def register(function: Callable) -> Callable:
            asked = functools.wraps(function)(lambda *args, **keywords: functools.partial(function, *args, **keywords))
            super(App, self).command(asked, **options)
            return function

        return register if function is None else register(function)


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
        names = [name for name, _ in pairs]
        doubled = [name for name in names if names.count(name) > 1]
        if doubled:
            raise ValueError(f"{shown(text)} says {doubled[0]!r} twice: say it once")
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


@app.command
def demo(quick: tyro.conf.FlagCreatePairsOff[bool] = False) -> None:
    """Train a teacher, a student and a LIX student on ToyDrive, and run the notebook that explains them.

    What was trained before is loaded, and what was interrupted goes on. Runs are kept in runs/ of the clone, or in the
    folder that the environment variable LIX_RUNS names.

    Example: lix demo --quick

    Args:
        quick: Train for seconds on a few frames, only to see that everything works.
    """
    from lixlib.plots import metric_table  # here alone: drawing is slow to import

    if not DEMO.is_file():
        raise FileNotFoundError(f"no notebook {DEMO}: `lix demo` needs a clone, installed with `pip install -e .`")
    os.environ["LIX_HEADLESS"] = "1"
    parameters = _notebook_parameters(DEMO) | {"quick": quick}
    device = parameters.pop("device")
    # trained here, where the terminal shows the bars; the notebook finds the finished runs
    runs = [run(recipe, device=device, command=_command()) for recipe in trio(**parameters)]
    teacher, student, distilled = runs
    say("\n".join(map(_origin, runs)), sys.stdout)
    executed = _execute(DEMO, runs_folder().resolve() / "demo" / DEMO.name, quick=quick)
    metrics = (each.line["metrics"] for each in (teacher, student, distilled))
    say(metric_table(*metrics, name=results.title(distilled.line)), sys.stdout)
    say(f"executed notebook: {os.path.relpath(executed)}", sys.stdout)


@app.command
def train(
    recipe: Annotated[Recipe, tyro.conf.arg(name="")],
    device: Device = "auto",
    results_dir: Annotated[Path | None, tyro.conf.arg(name="results", metavar="DIR")] = None,
) -> None:
    """Train one network: a teacher, a student alone, or a student distilled by a method (its teacher is trained first).

    A finished run is loaded, an interrupted one goes on; other data make another run. Runs are kept in runs/ of the
    clone, or in the folder that the environment variable LIX_RUNS names.

    Example: lix train --method student --seed 1

    With options of the method, and a line added to results/camvid/mfnet.jsonl:
    lix train --dataset camvid --root data/camvid --method lix --hyper '{"lambda_l": 0.5}' --results results

    In two processes, on two GPUs where there are some:
    torchrun --nproc_per_node=2 -m lixlib.cli train --method lix

    Args:
        results_dir: Folder to whose DATASET/NETWORK.jsonl the result line is added.
    """
    devices.choose_device(device)
    if results_dir is not None:
        results.check_folder(results_dir, recipe.dataset, recipe.network)
    finished = run(recipe, device=device, command=_command())
    if is_torchelastic_launched() and os.environ["RANK"] != "0":  # of several processes the first one tells
        return
    written = results.append(finished.line, results_dir) if results_dir is not None else None
    say("\n".join(_origin(each) for each in (finished.teacher, finished) if each), sys.stdout)
    say(_metrics_table([finished.line]), sys.stdout)
    say(f"weights: {finished.folder / 'weights.safetensors'}", sys.stdout)
    if written:
        say(f"results: {written}", sys.stdout)


@app.command
def compare(
    datasets: tuple[str, ...] = ("toydrive",),
    networks: tuple[str, ...] = ("mfnet",),
    net: dict = {},  # noqa: B006 (nobody changes it)
    methods: tuple[str, ...] = ALL_METHODS,
    seeds: tuple[int, ...] = (0,),
    root: Annotated[tuple[str, ...], tyro.conf.arg(metavar="DATASET=DIR...")] = (),
    size: Annotated[tuple[int, int] | None, tyro.conf.arg(metavar="H W")] = None,
    epochs: int | None = None,
    batch: int = Recipe.batch,
    lr: float = Recipe.lr,
    patience: int = Recipe.patience,
    precision: devices.Precision = Recipe.precision,
    splits: tuple[str, str | None, str] | None = None,
    data: dict = {},  # noqa: B006 (nobody changes it)
    teacher: dict = {},  # noqa: B006 (nobody changes it)
    unlabelled: int | None = None,
    jobs: int | None = None,
    scheduler: str | None = None,
    device: Device = "auto",
    results_dir: Annotated[Path, tyro.conf.arg(name="results", metavar="DIR")] = Path("results"),
) -> None:
    """Train every method on every data set with every seed, several runs at a time, and collect the result lines.

    A run whose line is in the results is not repeated, unless it was of other data, and a killed one goes on when the
    same command is given again.
    A run that fails does not stop the others; it is listed at the end, and the exit code is then 1.

    Example: lix compare --seeds 0 1 2 --epochs 50 --teacher '{"epochs": 100}'

    Args:
        datasets: Data sets: toydrive, potholes, camvid, nyuv2, folder, vkitti2, kitti, nuimages, cityscapes.
        networks: Networks: mfnet, sne-roadseg, off-net.
        net: Options of all these networks, e.g. {"encoder": "resnet18"} of sne-roadseg.
        methods: What to train; by default a teacher, a student alone, and a student by every method.
        seeds: Seeds; all methods are trained with the first before the next begins.
        root: Folder of each data set that is read from files, e.g. camvid=data/camvid potholes=data/potholes.
        size: Height and width of the images; by default the data set's own.
        epochs: Passes over the training images; by default the data set's own.
        batch: Images in one update.
        lr: Initial learning rate; it falls to 0.
        patience: Epochs without a better validation mIoU after which to stop; 0 never stops early.
        precision: Number format: 32-true, or bf16-mixed / 16-mixed for automatic mixed precision.
        splits: Training, validation (None: no validation) and test split; by default the data set's own.
        data: Options of the data set that differ from its own.
        teacher: What the teachers have different, e.g. {"epochs": 100}.
        unlabelled: ToyDrive frames without labels for the distilled students; by default the data set's own number.
        jobs: Runs at the same time, with one thread each if there are several; by default one for every core, or one
            alone on a GPU.
        scheduler: Address of a Dask scheduler, e.g. tcp://host:8786, whose workers shall do the runs.
        results_dir: Folder whose DATASET/NETWORK.jsonl hold the result lines.
    """
    devices.choose_device(device)
    _check_some(datasets=datasets, networks=networks, methods=methods, seeds=seeds)
    roots = _roots(root)
    _check_roots(roots, datasets)
    recipes = grid(
        datasets=datasets,
        networks=networks,
        net=net,
        methods=methods,
        seeds=seeds,
        roots=roots,
        size=size,
        epochs=epochs,
        batch=batch,
        lr=lr,
        patience=patience,
        precision=precision,
        splits=splits,
        data=data,
        teacher=teacher,
        unlabelled=unlabelled,
    )
    _compare(recipes, results_dir, jobs=jobs, scheduler=scheduler, device=device)


@app.command
def experiment(
    names: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="NAME...")],
    seeds: tuple[int, ...] = (0, 1, 2),
    size: Annotated[tuple[int, int] | None, tyro.conf.arg(metavar="H W")] = None,
    epochs: int | None = None,
    precision: devices.Precision = Recipe.precision,
    quick: tyro.conf.FlagCreatePairsOff[bool] = False,
    jobs: int | None = None,
    scheduler: str | None = None,
    device: Device = "auto",
    results_dir: Annotated[Path, tyro.conf.arg(name="results", metavar="DIR")] = Path("results/experiments"),
) -> None:
    """Train every variant of the experiments of notebooks 11, 12 and 14, as `lix compare` trains its grid.

    Example: lix experiment beta weighting --seeds 0 1 2

    Args:
        names: Names of experiments; lixlib/lab/experiments.py lists them.
        seeds: Seeds; every variant of an experiment is trained with the first before the next begins.
        size: Height and width of the images; by default that of the committed results.
        epochs: Passes over the training images; by default those of the committed results.
        precision: Number format: 32-true, or bf16-mixed / 16-mixed for automatic mixed precision.
        quick: Two epochs on a few frames, only to see that everything works.
        jobs: Runs at the same time, with one thread each if there are several; by default one for every core, or one
            alone on a GPU.
        scheduler: Address of a Dask scheduler whose workers shall do the runs.
        results_dir: Folder whose DATASET/NETWORK.jsonl hold the result lines.
    """
    devices.choose_device(device)
    _check_some(NAME=names, seeds=seeds)
    given = {"size": size, "epochs": epochs, "precision": precision}
    common = {name: value for name, value in given.items() if value is not None}
    asked = [experiments.recipes(name, seeds, quick=quick, **common) for name in names]
    grids = [[by_seed[seed] for seed in seeds for by_seed in variants.values()] for variants in asked]
    recipes = {recipe.folder: recipe for grid in grids for recipe in grid}
    _compare(list(recipes.values()), results_dir, jobs=jobs, scheduler=scheduler, device=device)


def _compare(recipes: list[Recipe], results_dir: Path, **options) -> None:
    report = compare_recipes(recipes, results_dir=results_dir, **options)
    say(
        f"{len(report.lines)} of {len(recipes)} runs are in {results_dir}; {report.trained} trained now, "
        f"{report.loaded} loaded from {runs_folder()}, {report.written} already in {results_dir}",
        sys.stdout,
    )
    for failure in report.failures:
        say(f"failed: {failure.command}\n    {failure.error}", sys.stderr)
    if report.failures:
        raise SystemExit(1)


@app.command(name="eval")
def evaluate_weights(
    weights_file: Annotated[str, tyro.conf.arg(name="weights", metavar="FILE|DIR|NAME")],
    dataset: str,
    split: str,
    root: Folder = None,
    size: Annotated[tuple[int, int] | None, tyro.conf.arg(metavar="H W")] = None,
    json_line: Annotated[tyro.conf.FlagCreatePairsOff[bool], tyro.conf.arg(name="json")] = False,
    device: Device = "auto",
) -> None:
    """Score a network on a split of a data set: the four metrics, and IoU and F1 of every class.

    A student is scored on RGB alone, so that X need not exist.

    Example: lix eval --weights student.safetensors --dataset camvid --root data/camvid --split val

    Args:
        weights_file: Weights of the network: a file as `lix train` writes them, a folder of its save_pretrained, or its
            name on the Hugging Face hub.
        dataset: Name of the data set: toydrive, potholes, camvid, nyuv2, folder, vkitti2, kitti, nuimages or
            cityscapes.
        split: Split to score, e.g. test.
        root: Folder of the data set's files; toydrive renders its own.
        size: Height and width of the images; by default the size that the network was trained at.
        json_line: Print one line of JSON instead of the tables.
    """
    devices.choose_device(device)
    net, recipe = checkpoints.load(weights_file)
    trained = recipe.get("recipe", {})
    options = {name: value for name, value in trained.get("data", {}).items() if name != "cache"}
    if trained.get("dataset") != dataset:  # whose own options these are, but X is what the network has learnt to read
        check_choice("data set", dataset, data.DATASETS)
        options = data.DATASETS[dataset].options | {name: value for name, value in options.items() if name == "x"}
    data.check_options(dataset, options)
    size = size or tuple(recipe["size"])
    check_pixels(size)
    samples = data.load(dataset, split, root=root, size=size, with_x=nets.x_channels(net) is not None, **options)
    names = tuple(samples.classes.names)
    if names != tuple(recipe["classes"]):
        raise ValueError(
            f"{weights_file} knows the classes {', '.join(recipe['classes'])}, "
            f"but {dataset} has {', '.join(names)}: choose the data set that it was trained on"
        )
    scored = results.scored(evaluate(net, samples, device=devices.choose_device(device)), names)
    if json_line:
        line = {"dataset": dataset, "split": split, "size": size, "images": len(samples), **scored}
        say(json.dumps({**line, "weights": Path(weights_file).name}, allow_nan=False), sys.stdout)
        return
    say(f"{dataset} {split}, {len(samples)} images of {size[0]} x {size[1]}, in %", sys.stdout)
    say(_table(["", *results.METRICS], [["all classes", *scored["metrics"].values()]]), sys.stdout)
    say(_table(["", "IoU", "F1"], [[name, *values] for name, values in scored["per_class"].items()]), sys.stdout)


@app.command
def predict(
    images: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="IMAGE...")],
    weights_file: Annotated[str | None, tyro.conf.arg(name="weights", metavar="FILE|DIR|NAME")] = None,
    out: Folder = None,
    device: Device = "auto",
) -> None:
    """Colour photographs by class with a student network, which needs no X.

    Every photograph gives NAME_labels.png: its classes as colours over the photograph, and a legend below. No
    photograph is replaced, nor any file but results of earlier calls, which are skipped where they are named.

    Example: lix predict street.jpg --out coloured

    Args:
        images: Photographs, of any kind that Pillow reads and up to 178 megapixels.
        weights_file: Weights of a student: a file, a folder of its save_pretrained, or its name on the Hugging Face
            hub; by default the LIX student of ToyDrive that comes with the library.
        out: Folder for the coloured photographs; by default each lies beside its photograph.
    """
    devices.choose_device(device)
    if not images:
        raise ValueError("no photograph given: name one or more image files")
    plan, finished = pair(images, out)
    net, recipe = checkpoints.load(checkpoints.shipped("toydrive-mfnet-lix") if weights_file is None else weights_file)
    if nets.x_channels(net) is not None:
        raise ValueError(
            f"{weights_file} is a teacher and needs X: give the weights of a student, which needs RGB alone"
        )
    classes = class_table(tuple(recipe["classes"]))
    for image in finished:
        say(f"lix: {image} is a result of `lix predict`: skipped", sys.stderr)
    if colour(plan, net.to(devices.choose_device(device)), recipe["size"], classes):
        raise SystemExit(2)


def main() -> None:
    """Run the command that sys.argv names; bad input gives one line on stderr and exit code 2, a warning one line."""
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            _parse()()
    except OSError as error:
        _fail(told(error))
    except (ValueError, TrainingFailed) as error:
        _fail(str(error))
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and "allocate memory" not in str(error):
            raise
        _fail("not enough memory: choose a smaller size or batch (--size, --batch)")
    except KeyboardInterrupt:
        say("lix: stopped; the same command goes on after the last finished epoch", sys.stderr)
        raise SystemExit(130) from None


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
        sections = (" ".join(section.split()) for section in re.split("─{2,}", text))
        # of options that may be left out, and of several words, tyro tells how it tried
        wanted = r"no type matching (?:\{None\}\|)?\{?(.+?)\}? could be instantiated from (\[.*?\])\. Got errors: [^;]*"
        sections = (re.sub(wanted, r"expected \1, found \2", section) for section in sections)
        sections = (re.sub(r"typing\.Annotated\[(\w+), [^]]*\]", r"\1", section) for section in sections)
        _fail("; ".join(each for each in sections if each and not each.startswith("Argument helptext")))


def _fail(text: str) -> NoReturn:
    say(f"lix: {_one_line(text)}", sys.stderr)
    raise SystemExit(2) from None


def _show_warning(message: Warning | str, *_, **__) -> None:
    tqdm.write(f"lix: warning: {_one_line(str(message))}", file=sys.stderr)  # above a progress bar


def _one_line(text: str) -> str:
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())


def _command() -> str:
    """The command line without what only this machine knows."""
    words = ["lix"]
    if is_torchelastic_launched():
        words = ["torchrun", f"--nproc_per_node={os.environ['LOCAL_WORLD_SIZE']}", "-m", "lixlib.cli"]
    for word in sys.argv[1:]:
        flag, equals, value = word.rpartition("=")
        if "--root" in (flag, words[-1]):
            value = "ROOT"
        elif value.startswith("{"):
            options = {name: each for name, each in _read_object(value).items() if name != "cache"}
            value = json.dumps(without_folders(options))
        else:
            value = without_folders(value)
        words.append(f"{flag}{equals}{value}")
    return shlex.join(words)


def _check_some(**lists: tuple) -> None:
    for name, values in lists.items():
        if not values:
            raise ValueError(f"{name if name.isupper() else '--' + name} is empty: nothing would be trained, name some")


def _roots(words: tuple[str, ...]) -> dict[str, str]:
    """The folders of the data sets, from words like camvid=DIR."""
    pairs = {name: folder for name, equals, folder in (word.partition("=") for word in words) if equals}
    if len(pairs) < len(words) and all("=" in word for word in words):
        raise ValueError(f"--root names a data set twice in {' '.join(words)}: give each one folder")
    unknown = [word for word in words if word.partition("=")[0] not in data.from_files() or "=" not in word]
    if unknown:
        raise ValueError(f"--root {unknown[0]}: write DATASET=DIR with one of {', '.join(data.from_files())}")
    return pairs


def _check_roots(roots: dict[str, str], datasets: tuple[str, ...]) -> None:
    for name in datasets:
        if name in data.from_files() and name not in roots:
            raise ValueError(f"data set {name!r} is read from files: give its folder as --root {name}=DIR")


def _notebook_parameters(path: Path) -> dict:
    """The values of a notebook's parameter cell, by name."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if "parameters" in cell["metadata"].get("tags", []):
            statements = ast.parse("".join(cell["source"])).body
            return {statement.target.id: ast.literal_eval(statement.value) for statement in statements}
    raise ValueError(f"{path} has no cell tagged `parameters`")


def _execute(notebook: Path, executed: Path, **parameters) -> Path:
    """Run a notebook without a browser, from its own folder, and write it with its outputs."""
    import papermill  # here alone: slow to import

    executed.parent.mkdir(parents=True, exist_ok=True)
    papermill.execute_notebook(
        notebook,
        executed,
        parameters,
        kernel_name="python3",
        cwd=notebook.parent,
        start_timeout=120,
        execution_timeout=3600,
        extra_arguments=["--log-level=ERROR"],  # of the kernel: no warning that it talks to us unencrypted
    )
    return executed


def _origin(finished: Run) -> str:
    return f"{finished.recipe.method}: {'trained now' if finished.trained else 'loaded'}, {finished.folder}"


def _metrics_table(lines: list[dict]) -> str:
    return _table(["in %", *results.METRICS], [[line["method"], *line["metrics"].values()] for line in lines])


def _table(header: list[str], rows: list[list]) -> str:
    """Aligned columns; shares as percentages, a class that does not occur as a dash."""
    texts = [header, *([row[0], *("-" if v is None else f"{100 * v:.2f}" for v in row[1:])] for row in rows)]
    first = max(len(row[0]) for row in texts)
    return "\n".join(row[0].ljust(first) + "".join(text.rjust(8) for text in row[1:]) for row in texts)
