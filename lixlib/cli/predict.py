"""`lix predict`: photographs coloured by class."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro

from lixlib import checkpoints, data, nets
from lixlib.cli import which_weights
from lixlib.cli.app import Device, Folder, app
from lixlib.cli.photographs import class_table, colour, expand, logits_of, multiple_of, pair, say
from lixlib.cli.which_weights import Trust
from lixlib.core import devices
from lixlib.core.text import escaped

LARGEST_SCALE = 10_000
SHOWN = 3  # examples of the photographs that are given twice


@app.command
def predict(
    images: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="IMAGE|DIR...")],
    weights_file: Annotated[str | None, tyro.conf.arg(name="weights", metavar="FILE|DIR|NAME")] = None,
    dataset: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None,
    size: Annotated[tuple[int, int] | None, tyro.conf.arg(metavar="H W")] = None,
    scale: Annotated[float | None, tyro.conf.arg(metavar="S")] = None,
    labels: tyro.conf.FlagCreatePairsOff[bool] = False,
    confidence: tyro.conf.FlagCreatePairsOff[bool] = False,
    legend: bool = True,
    out: Folder = None,
    trust: Trust = False,
    device: Device = "auto",
) -> None:
    """Colour photographs by class with a student network, which needs no X.

    For every photograph NAME_labels.png is written: the photograph under the colours of its classes, with a legend
    below. Only results of earlier calls are replaced, and they are skipped if they are among the images. By default
    the network sees the photograph at as many pixels as the training images have, in its own aspect; the result has the
    photograph's size.

    Example: lix predict street.jpg --out coloured

    Args:
        images: Photographs, of any kind that Pillow reads and up to 178 megapixels; of a folder all photographs in it,
            by name, e.g. the frames of a video.
        weights_file: Weights of a student: a file as `lix train` or `lix export` (NAME.onnx) writes them, a folder of
            its save_pretrained, its name on the Hugging Face hub, or the name of weights that come with the library;
            by default camvid-mfnet-lix-ours.
        dataset: Data set that the photographs are from, if you know it: without --weights a student of it is taken.
        size: Height and width to compute at, whatever the photograph's aspect.
        scale: Size to compute at as a share of the photograph's, e.g. 0.5.
        labels: Also write NAME_classes.png: the number of the class of every pixel, as a PNG file with a palette, which
            viewers show in the colours of the classes.
        confidence: Also write NAME_confidence.png: the largest probability at every pixel as 8-bit gray, white for 1.
        legend: List the classes that occur below the coloured photograph; --no-legend leaves all frames of a video at
            one size.
        out: Folder for the results; by default each lies beside its photograph.
    """
    devices.choose_device(device)
    if not images:
        raise ValueError("no photograph given: name one or more image files")
    _check(dataset, size, scale)
    photos, problems = expand(images)
    plan, finished, again = pair(photos, out, ["labels", *["classes"] * labels, *["confidence"] * confidence])
    source, others = _weights(weights_file, dataset)
    net, recipe = which_weights.load(source, trust)
    if nets.x_channels(net) is not None:
        raise ValueError(
            f"{weights_file} is a teacher and needs X: give the weights of a student, which needs RGB alone"
        )
    classes = class_table(recipe)
    for line in [*which_weights.about(weights_file or which_weights.named(source), recipe, dataset), *others]:
        say(f"lix: weights: {line}", sys.stderr)
    for problem in problems:
        say(f"lix: {problem}", sys.stderr)
    for image in finished:
        say(f"lix: {escaped(image)} is a result of `lix predict`: skipped", sys.stderr)
    if again:
        more = f" and {len(again) - SHOWN} more" if len(again) > SHOWN else ""
        say(f"lix: given more than once, done once: {', '.join(map(escaped, again[:SHOWN]))}{more}", sys.stderr)
    compute = partial(
        logits_of,
        net.to(devices.choose_device(device)),
        trained=recipe["size"],
        multiple=multiple_of(recipe),
        size=size,
        scale=scale,
    )
    if colour(plan, compute, classes, legend=legend) or problems:
        raise SystemExit(2)


def _check(dataset: str | None, size: tuple[int, int] | None, scale: float | None) -> None:
    if dataset is not None:
        data.check_name(dataset)
    if size is not None and scale is not None:
        raise ValueError("--size and --scale both say at which size to compute: give one of them")
    if size is not None and min(size) < 1:
        raise ValueError(f"--size must be two numbers above 0, found {size[0]} {size[1]}")
    if scale is not None and not 0 < scale <= LARGEST_SCALE:
        raise ValueError(f"--scale must be a number above 0 and up to {LARGEST_SCALE}, found {scale:g}")


def _weights(named: str | None, dataset: str | None) -> tuple[Path | str, list[str]]:
    if named is not None:
        return named, []
    if dataset is not None:
        return which_weights.choose(dataset)
    return checkpoints.shipped(which_weights.DEFAULT), []
