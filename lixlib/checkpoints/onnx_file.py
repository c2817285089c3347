"""Load ONNX files of `lix export`: onnxruntime computes the network, and the metadata hold its recipe."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lixlib.core.output import Output
from lixlib.nets import inputs

Check = Callable[[object, str], None]  # raises a ValueError unless the first is a description of a network


class OnnxNetwork(nn.Module):
    """A network in an ONNX file, computed by onnxruntime on the CPU. It has no parameters, and its output has no taps.

    **Shapes**: rgb (B, 3, H, W), x (B, x_channels, H, W) or None -> `Output` with logits (B, C, H, W).
    """

    def __init__(self, path: Path, session: Any, x_channels: int | None) -> None:
        super().__init__()
        self.path, self.session, self.x_channels = path, session, x_channels

    def forward(self, rgb: Tensor, x: Tensor | None = None) -> Output:
        inputs.check(self, rgb, x)
        given = {"rgb": rgb} if x is None else {"rgb": rgb, "x": x}
        try:
            (logits,) = self.session.run(["logits"], {name: image.cpu().numpy() for name, image in given.items()})
        except Exception as error:  # onnxruntime's exceptions have no other common base class
            size = " x ".join(map(str, rgb.shape[-2:]))
            raise ValueError(f"{self.path} cannot be computed at {size}: {_first_line(error)}") from error
        return Output(torch.from_numpy(logits).to(rgb.device), {})


def load(path: Path, check: Check) -> tuple[OnnxNetwork, dict]:
    """The network in a file that `lix export` wrote, and its recipe.

    Raises:
        FileNotFoundError: no such file.
        ValueError: onnxruntime is not installed or cannot read the file, or the file lacks what `lix export` writes.
    """
    session = _session(path)
    recipe = _recipe(path, session, check)
    expected = ["rgb"] if recipe["x_channels"] is None else ["rgb", "x"]
    found = [each.name for each in session.get_inputs()]
    if found != expected or [each.name for each in session.get_outputs()] != ["logits"]:
        raise ValueError(
            f"{path} has the inputs {', '.join(found)}, expected {' and '.join(expected)}, and one output, logits: "
            "write it by `lix export`"
        )
    classes = session.get_outputs()[0].shape[1]
    if isinstance(classes, int) and classes != recipe["num_classes"]:
        raise ValueError(f"{path} has logits of {classes} classes, and names {recipe['num_classes']}: export it again")
    return OnnxNetwork(path, session, recipe["x_channels"]).eval(), recipe


def describe(path: Path, check: Check) -> dict:
    """The recipe in a file that `lix export` wrote; errors as `load`."""
    return _recipe(path, _session(path), check)


def _session(path: Path) -> Any:
    try:
        import onnxruntime  # here alone: of the extra `export`
    except ImportError as error:
        raise ValueError(f"{path} needs the package onnxruntime: pip install -e '.[export]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # only errors
    try:
        return onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except OSError:
        raise
    except Exception as error:
        raise ValueError(f"{path} is no ONNX file that onnxruntime can read: {_first_line(error)}") from error


def _recipe(path: Path, session: Any, check: Check) -> dict:
    text = session.get_modelmeta().custom_metadata_map.get("recipe", "{}")
    where = f"the recipe in the metadata of {path}"
    try:
        recipe = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where} is no JSON ({error}): write it by `lix export`") from error
    try:
        check(recipe, where)
    except ValueError as error:
        raise ValueError(f"{error}: write it by `lix export`") from error
    return recipe


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
