"""`lix eval`: the scores of a network."""

import json
import sys
from pathlib import Path
from typing import Annotated

import tyro

from lixlib import data, nets
from lixlib.cli import which_weights
from lixlib.cli.app import Device, Folder, app, table
from lixlib.cli.photographs import say
from lixlib.cli.which_weights import Trust
from lixlib.core import devices
from lixlib.core.options import check_pixels
from lixlib.lab import results
from lixlib.lab.record import scored
from lixlib.training import evaluate


@app.command(name="eval")
def evaluate_weights(
    weights_file: Annotated[str, tyro.conf.arg(name="weights", metavar="FILE|DIR|NAME")],
    dataset: str,
    split: str,
    root: Folder = None,
    size: Annotated[tuple[int, int] | None, tyro.conf.arg(metavar="H W")] = None,
    json_line: Annotated[tyro.conf.FlagCreatePairsOff[bool], tyro.conf.arg(name="json")] = False,
    trust: Trust = False,
    device: Device = "auto",
) -> None:
    """Score a network on a split of a data set: the four metrics, and IoU and F1 of every class.

    A student is scored on RGB alone, so that X need not exist.

    {names}

    Example: lix eval --weights student.safetensors --dataset camvid --root data/camvid --split val

    Args:
        weights_file: Weights of the network: a file as `lix train` or `lix export` (NAME.onnx) writes them, a folder of
            its save_pretrained, its name on the Hugging Face hub, or the name of weights that come with the library.
        dataset: Name of the data set.
        split: Split to score, e.g. test.
        root: Folder of the data set's files; toydrive renders its own.
        size: Height and width of the images; by default the size that the network was trained at.
        json_line: Print one line of JSON instead of the tables.
    """
    devices.choose_device(device)
    net, recipe = which_weights.load(weights_file, trust)
    trained = recipe.get("recipe", {})
    options = {name: value for name, value in trained.get("data", {}).items() if name != "cache"}
    if trained.get("dataset") != dataset:  # of the options only X stays: the network needs the one that it knows
        data.check_name(dataset)
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
    entries = scored(evaluate(net, samples, device=devices.choose_device(device)), names)
    if json_line:
        line = {"dataset": dataset, "split": split, "size": size, "images": len(samples), **entries}
        say(json.dumps({**line, "weights": Path(weights_file).name}, allow_nan=False), sys.stdout)
        return
    say(f"{dataset} {split}, {len(samples)} images of {size[0]} x {size[1]}, in %", sys.stdout)
    say(table(["", *results.METRICS], [["all classes", *entries["metrics"].values()]]), sys.stdout)
    say(table(["", "IoU", "F1"], [[name, *values] for name, values in entries["per_class"].items()]), sys.stdout)
