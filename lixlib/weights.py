"""Weights as safetensors, with the recipe in the file's metadata; nothing is ever unpickled."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from lixlib import nets
from lixlib.files import write_atomically

CHECKPOINTS = Path(__file__).parent / "checkpoints"
REQUIRED = ("network", "num_classes", "x_channels", "options", "classes", "size")


def shipped(name: str) -> Path:
    """The file of weights that come with the library, e.g. "toydrive-mfnet-lix".

    Raises:
        FileNotFoundError: no such weights; the message lists those that come with it.
    """
    path = CHECKPOINTS / f"{name}.safetensors"
    if not path.is_file():
        existing = ", ".join(sorted(file.stem for file in CHECKPOINTS.glob("*.safetensors")))
        raise FileNotFoundError(f"no weights {name!r} come with lixlib: it has {existing or 'none'}")
    return path


def save(net: nn.Module, path: Path | str, recipe: dict, *, half: bool = False) -> None:
    """Save a network's weights and what one must know to use them.

    Args:
        recipe: at least `network`, `num_classes`, `x_channels`, `options` (of `nets.build`), `classes` and `size`.
        half: store floating-point weights as float16.

    Raises:
        ValueError: the recipe lacks one of these.
    """
    missing = [key for key in REQUIRED if key not in recipe]
    if missing:
        raise ValueError(f"the recipe of {path} lacks {', '.join(missing)}")
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in net.state_dict().items()}
    if half:
        state = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    write_atomically(Path(path), lambda temporary: save_file(state, temporary, {"recipe": json.dumps(recipe)}))


def load(path: Path | str) -> tuple[nn.Module, dict]:
    """Build the network that a weights file describes, in eval mode and float32, and return it with its recipe.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is no safetensors file of ours, or its tensors do not fit the network that it names.
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
    recipe = json.loads(metadata.get("recipe", "{}"))
    missing = [key for key in REQUIRED if key not in recipe]
    if missing:
        raise ValueError(
            f"{path} has no complete recipe in its metadata (missing: {', '.join(missing)}): save it with "
            "lixlib.weights.save"
        )
    net = nets.build(
        recipe["network"], num_classes=recipe["num_classes"], x_channels=recipe["x_channels"], **recipe["options"]
    )
    try:
        net.load_state_dict({name: t.float() if t.is_floating_point() else t for name, t in state.items()})
    except RuntimeError as error:
        raise ValueError(f"{path} does not fit the {recipe['network']} that it names: {error}") from error
    return net.to(memory_format=torch.channels_last).eval(), recipe
