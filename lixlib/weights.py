"""Weights as safetensors, with the recipe in the file's metadata; nothing is ever unpickled."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from lixlib import nets
from lixlib.files import write_atomically


def save(net: nn.Module, path: Path | str, recipe: dict, *, half: bool = False) -> None:
    """Save a network's weights and what one must know to use them.

    Args:
        recipe: at least `network`, `num_classes`, `x_channels`, `options` (of `nets.build`), `classes` and `size`.
        half: store floating-point weights as float16.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in net.state_dict().items()}
    if half:
        state = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    write_atomically(Path(path), lambda temporary: save_file(state, temporary, {"recipe": json.dumps(recipe)}))


def load(path: Path | str) -> tuple[nn.Module, dict]:
    """Build the network that a weights file describes, in eval mode and float32, and return it with its recipe.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is no safetensors file of ours, or its tensors do not fit the network it names.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no weights file {path}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file ({error})") from error
    if "recipe" not in metadata:
        raise ValueError(f"{path} carries no recipe in its metadata: save it with lixlib.weights.save")
    recipe = json.loads(metadata["recipe"])
    net = nets.build(
        recipe["network"], num_classes=recipe["num_classes"], x_channels=recipe["x_channels"], **recipe["options"]
    )
    try:
        net.load_state_dict({name: t.float() if t.is_floating_point() else t for name, t in state.items()})
    except RuntimeError as error:
        raise ValueError(f"{path} does not fit the {recipe['network']} that it names: {error}") from error
    return net.to(memory_format=torch.channels_last).eval(), recipe
