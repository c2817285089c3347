"""Weights as safetensors, with the recipe in the file's metadata; nothing is ever unpickled."""

import json
from pathlib import Path

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HFValidationError
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


def hub_config(recipe: dict) -> dict:
    """What config.json of a network on the Hugging Face hub must say, for `load` and for the network's from_pretrained.

    net, recipe = load("weights.safetensors"); net.push_to_hub("me/name", config=hub_config(recipe))
    """
    return {**recipe, **recipe["options"]}


def load(source: Path | str) -> tuple[nn.Module, dict]:
    """Build the network that weights describe, in eval mode and float32, and return it with its recipe.

    Args:
        source: a file that `save` wrote, a folder that the network's save_pretrained wrote, or the name of a repository
            on the Hugging Face hub to which it was pushed, e.g. "me/name"; the latter two with `hub_config`.

    Raises:
        FileNotFoundError: no such file, folder or repository.
        ValueError: the file is no safetensors file of ours, or its tensors do not fit the network that it names.
    """
    path, config = _find(source)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file ({error})") from error
    recipe = json.loads(config.read_text(encoding="utf-8") if config else metadata.get("recipe", "{}"))
    missing = [key for key in REQUIRED if key not in recipe]
    if missing:
        advice = "with config=lixlib.weights.hub_config(recipe)" if config else "with lixlib.weights.save"
        raise ValueError(
            f"{source} has no complete recipe in its {'config.json' if config else 'metadata'} "
            f"(missing: {', '.join(missing)}): save it {advice}"
        )
    net = nets.build(
        recipe["network"], num_classes=recipe["num_classes"], x_channels=recipe["x_channels"], **recipe["options"]
    )
    try:
        net.load_state_dict({name: t.float() if t.is_floating_point() else t for name, t in state.items()})
    except RuntimeError as error:
        raise ValueError(f"{path} does not fit the {recipe['network']} that it names: {error}") from error
    return net.to(memory_format=torch.channels_last).eval(), recipe


def _find(source: Path | str) -> tuple[Path, Path | None]:
    """The file of tensors, and the config.json beside it where it is one of the hub."""
    path = Path(source)
    if path.is_file():
        return path, None
    names = ("model.safetensors", "config.json")
    if path.is_dir():
        absent = [name for name in names if not (path / name).is_file()]
        if absent:
            raise FileNotFoundError(f"no {absent[0]} in {path}: write such a folder by the network's save_pretrained")
        return path / names[0], path / names[1]
    # a repository of the hub is owner/name
    if path.is_absolute() or len(path.parts) != 2 or path.suffix == ".safetensors":
        raise FileNotFoundError(f"no weights file {source}")
    try:
        tensors, config = (Path(hf_hub_download(path.as_posix(), name)) for name in names)
    except (OSError, HFValidationError, EntryNotFoundError) as error:
        raise FileNotFoundError(
            f"no weights {source}: no such file or folder, and none of the Hugging Face hub ({error})"
        ) from error
    return tensors, config
