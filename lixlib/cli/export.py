"""`lix export`: a network as an ONNX file, which other programs run without torch."""

import importlib.util
import json
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Annotated
from unittest.mock import patch

import torch
import tyro
from torch import Tensor, nn

from lixlib import nets
from lixlib.checkpoints.onnx_file import OnnxNetwork
from lixlib.cli import which_weights
from lixlib.cli.app import app
from lixlib.cli.photographs import class_table, multiple_of, say
from lixlib.cli.which_weights import Trust
from lixlib.core.files import write_atomically
from lixlib.core.text import escaped

SIZES = ((64, 96), (96, 64), (77, 131))  # at which both are compared; the last is no multiple of a stride
OPSETS = range(11, 21)  # older ones pad to fixed sizes alone; torch's exporter by tracing knows no newer ones
TOLERANCE = 1e-4  # relative to the largest logit


@app.command
def export(
    weights_file: Annotated[tyro.conf.Positional[str], tyro.conf.arg(name="weights", metavar="WEIGHTS")],
    onnx_file: Annotated[Path, tyro.conf.arg(name="onnx", metavar="FILE")],
    opset: int = 17,
    trust: Trust = False,
) -> None:
    """Write a network as ONNX, and compare the outputs of onnxruntime and of the network at three sizes.

    Batch size, height and width are dynamic. The inputs are rgb, and x of a teacher, in [0, 1]; the output is logits.
    The metadata hold, as JSON, the names and colours of the classes, the size and the data set of the training, and
    all that `lix predict` and `lix eval` need to run the file.

    Example: lix export student.safetensors --onnx student.onnx

    Args:
        weights_file: Weights of a student or teacher: a file, a folder of its save_pretrained, or its name on the
            Hugging Face hub.
        onnx_file: File to write, NAME.onnx, in place of an earlier one; it is written only if both outputs agree.
        opset: Version of the ONNX operators, from 11 to 20.
    """
    if opset not in OPSETS:
        raise ValueError(f"--opset must be from {OPSETS[0]} to {OPSETS[-1]}, found {opset}")
    if onnx_file.suffix != ".onnx" or onnx_file.is_dir():
        raise ValueError(f"--onnx {onnx_file} must be a file whose name ends in .onnx, by which it is known again")
    if importlib.util.find_spec("onnx") is None:
        raise ValueError("`lix export` needs the package onnx: pip install -e '.[export]'")
    net, recipe = which_weights.load(weights_file, trust)
    if isinstance(net, OnnxNetwork):
        raise ValueError(f"{weights_file} is an ONNX file already: give the weights that it was made of")
    with suppress(ValueError):  # classes that no data set has, saved without colours
        recipe["colours"] = class_table(recipe).colours.tolist()
    about = {name: recipe[name] for name in ("network", "classes", "size", "x_channels")}
    about |= {"dataset": recipe.get("recipe", {}).get("dataset"), "colours": recipe.get("colours"), "recipe": recipe}
    write_atomically(onnx_file, lambda path: _write(net, path, about, opset, multiple_of(recipe)))
    say(f"onnx: {escaped(onnx_file)}", sys.stdout)


class Logits(nn.Module):
    """A network that returns only its logits, as the ONNX file does."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, *images: Tensor) -> Tensor:
        """**Shapes**: rgb (B, 3, H, W), and x (B, x_channels, H, W) of a teacher -> (B, num_classes, H, W)."""
        return nets.call(self.net, *images).logits


def _write(net: nn.Module, path: Path, about: dict, opset: int, multiple: int) -> None:
    import onnx  # here alone: of the extra `export`

    module = Logits(net).eval()
    sizes = [tuple(-(-side // multiple) * multiple for side in size) for size in SIZES]
    _check_sizes(net, sizes)
    images = _images(net, 2, sizes[2])
    names = ["rgb", "x"][: len(images)]
    free = {name: {0: "batch", 2: "height", 3: "width"} for name in [*names, "logits"]}
    options = {"input_names": names, "output_names": ["logits"], "dynamic_axes": free, "opset_version": opset}
    # where it fails, torch prints the whole graph
    with warnings.catch_warnings(), patch.object(torch._C, "_jit_onnx_log", lambda *_: None, create=True):
        warnings.simplefilter("ignore")  # of the tracing: that sizes are dynamic is tested below
        try:
            torch.onnx.export(module, images, str(path), dynamo=False, **options)
        except OSError:
            raise
        except Exception as error:  # whatever torch and the code of others raise
            reason = (str(error) or type(error).__name__).partition("\n")[0].partition("  [Caused by")[0]
            raise ValueError(f"torch cannot write this network with opset {opset}: {reason}") from error
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, {name: json.dumps(value) for name, value in about.items() if value is not None})
    onnx.save(model, str(path))
    if importlib.util.find_spec("onnxruntime") is None:
        say("lix: onnxruntime is not installed: the file was not compared with the network", sys.stderr)
        return
    _compare(net, path, names, sizes)


@torch.no_grad()
def _check_sizes(net: nn.Module, sizes: list[tuple[int, int]]) -> None:
    for height, width in sizes:
        try:
            Logits(net)(*_images(net, 1, (height, width)))
        except Exception as error:  # whatever the code of others raises
            reason = str(error).partition("\n")[0]
            raise ValueError(
                f"the network fails on an image of {height} x {width} ({reason}): `lix export` writes files with "
                "dynamic height and width, so the network must accept images of any size"
            ) from error


@torch.no_grad()
def _compare(net: nn.Module, path: Path, names: list[str], sizes: list[tuple[int, int]]) -> None:
    import onnxruntime  # here alone: of the extra `export`

    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    for batch, size in enumerate(sizes, 1):
        images = _images(net, batch, size)
        expected = Logits(net)(*images)
        (found,) = session.run(["logits"], {name: image.numpy() for name, image in zip(names, images, strict=True)})
        if found.shape != tuple(expected.shape):
            raise ValueError(f"at {size[0]} x {size[1]} the ONNX file gives {found.shape}, not {tuple(expected.shape)}")
        error = float((torch.from_numpy(found) - expected).abs().max() / expected.abs().max())
        say(f"{batch} x {size[0]} x {size[1]}: differs by {error:.1e} of the largest logit", sys.stdout)
        if not error <= TOLERANCE:
            raise ValueError(f"onnxruntime differs by {error:.1e} at {size[0]} x {size[1]}, expected {TOLERANCE:.0e}")


def _images(net: nn.Module, batch: int, size: tuple[int, int]) -> tuple[Tensor, ...]:
    draw = torch.Generator().manual_seed(0)
    channels = [3, *([nets.x_channels(net)] if nets.x_channels(net) is not None else [])]
    return tuple(torch.rand(batch, each, *size, generator=draw) for each in channels)
