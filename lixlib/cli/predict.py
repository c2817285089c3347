"""`lix predict`: photographs coloured by class."""

import sys
from pathlib import Path
from typing import Annotated

import tyro

from lixlib import checkpoints, nets
from lixlib.cli.app import Device, Folder, app
from lixlib.cli.photographs import class_table, colour, pair, say
from lixlib.core import devices


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
    classes = class_table(recipe)
    for image in finished:
        say(f"lix: {image} is a result of `lix predict`: skipped", sys.stderr)
    if colour(plan, net.to(devices.choose_device(device)), recipe["size"], classes):
        raise SystemExit(2)
