"""Weights as safetensors, with the recipe in the file's metadata; nothing is ever unpickled."""

import json
import logging
from pathlib import Path
from typing import Annotated, Any, Literal

import safetensors.torch
import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HFValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from lixlib import nets
from lixlib.checkpoints import onnx_file
from lixlib.checkpoints.described import Described
from lixlib.core.constants import IGNORE
from lixlib.core.files import at_home, write_atomically
from lixlib.nets.pretrained import mismatch

__all__ = ["describe", "hub_config", "index", "load", "save", "shipped"]

CHECKPOINTS = Path(__file__).parent
Colours = list[Annotated[list[Annotated[int, Field(ge=0, le=255)]], Field(min_length=3, max_length=3)]]
Side = Annotated[int, Field(ge=1, le=2**16)]


class Description(BaseModel):
    """The fields of a recipe in a weights file, checked when it is read; unknown fields are kept."""

    model_config = ConfigDict(strict=True, extra="allow")

    network: str
    num_classes: Annotated[int, Field(ge=1, le=IGNORE)]
    x_channels: Literal[1, 3] | None
    options: dict[str, Any]
    classes: list[str] | tuple[str, ...]
    colours: Colours | None = None
    size: Annotated[list[Side], Field(min_length=2, max_length=2)] | tuple[Side, Side]
    recipe: Described = {}


REQUIRED = tuple(name for name, field in Description.model_fields.items() if field.is_required())


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


def index() -> dict[str, dict]:
    """The weights that come with the library, by name: `sha256`, the `result` line of the run, its `teacher`'s."""
    return json.loads((CHECKPOINTS / "recipes.json").read_text(encoding="utf-8"))


def save(net: nn.Module, path: Path | str, recipe: dict, *, half: bool = False) -> None:
    """Save a network's weights together with the recipe that is needed to use them.

    Args:
        recipe: at least `network`, `num_classes`, `x_channels`, `options` (of `nets.build`), `classes` and `size`.
        half: store floating-point weights as float16.

    Raises:
        ValueError: the recipe lacks one of these, or one has a wrong value.
        OSError: the file cannot be written.
    """
    check_description(recipe, f"the recipe of {path}")
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in plain_state(net).items()}
    if half:
        state = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    # as bytes, because safetensors' save_file would use other permissions and temporary names
    content = safetensors.torch.save(state, {"recipe": json.dumps(recipe, allow_nan=False)})
    write_atomically(Path(path), lambda temporary: temporary.write_bytes(content))


def plain_state(net: nn.Module) -> dict[str, Tensor]:
    """The state of a network by the names of its own parameters, whether it is compiled or wrapped for several GPUs."""
    while hasattr(net, "_orig_mod") or isinstance(net, nn.DataParallel | nn.parallel.DistributedDataParallel):
        net = net._orig_mod if hasattr(net, "_orig_mod") else net.module
    return {name.replace("_orig_mod.", ""): tensor for name, tensor in net.state_dict().items()}


def check_description(recipe: object, where: str) -> None:
    """Raise a ValueError that names the place and the first wrong entry, unless this describes a network."""
    if not isinstance(recipe, dict):
        raise ValueError(f"{where} is of type {type(recipe).__name__}, and a JSON object is needed")
    missing = [key for key in REQUIRED if key not in recipe]
    if missing:
        raise ValueError(f"{where} is not complete (missing: {', '.join(missing)})")
    try:
        Description.model_validate(recipe)
    except ValidationError as error:
        first = error.errors()[0]
        entry = ".".join(str(part) for part in first["loc"][: 1 if first["loc"][0] in ("classes", "size") else None])
        found = repr(recipe[first["loc"][0]])
        raise ValueError(f"{where} has a wrong {entry!r}: {first['msg'].lower()}, found {found[:80]}") from error
    classes = recipe["classes"]
    if len(classes) != recipe["num_classes"] or len(set(classes)) < len(classes):
        raise ValueError(
            f"{where} has a wrong 'classes': {recipe['num_classes']} different names are needed, one for each class, "
            f"found {len(set(classes))} in a list of {len(classes)}"
        )
    if recipe.get("colours") is not None and len(recipe["colours"]) != len(classes):
        raise ValueError(
            f"{where} has {len(recipe['colours'])} colours for {len(classes)} classes: one a class is needed"
        )


def hub_config(recipe: dict) -> dict:
    """The config.json of a network on the Hugging Face hub, as `load` and the network's from_pretrained need it.

    net, recipe = load("weights.safetensors"); net.push_to_hub("me/name", config=hub_config(recipe))
    """
    return {**recipe, **recipe["options"]}


def load(source: Path | str, *, trust: bool = False) -> tuple[nn.Module, dict]:
    """Build the network that weights describe, in eval mode and float32, and return it with its recipe.

    Args:
        source: a file that `save` wrote, or the folder of a run; a file that `lix export` wrote (NAME.onnx), which
            onnxruntime computes; a folder that the network's save_pretrained wrote, or the name of a repository on the
            Hugging Face hub to which it was pushed, e.g. "me/name" (both with `hub_config`); or the name of weights
            that come with the library, e.g. "camvid-mfnet-lix-ours".
        trust: also build a network that the file names as module.path:factory. This imports that module on this
            machine and calls the factory, so do it only for files from people you trust. It is not needed for a name
            that this process has used before, in `nets.build` or in a recipe.

    Raises:
        FileNotFoundError: no such file, folder or repository.
        ValueError: the file is no safetensors file of ours, its recipe lacks an entry or has a wrong one, its
            tensors do not fit the network that it names, or that network is code of others and `trust` is False.
    """
    path, config = _find(source)
    if path.suffix == ".onnx":
        return onnx_file.load(path, check_description)
    recipe = _description(path, config)
    if not (trust or nets.is_known(recipe["network"])):
        raise ValueError(
            f"{path} names the network {recipe['network']}, and building it runs that code on this machine: if you "
            "trust whoever made the file, allow it by --trust (in Python by trust=True)"
        )
    try:
        with safe_open(path, framework="pt") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is no safetensors file ({error})") from error
    try:
        nets.check_options(recipe["network"], recipe["options"])
        if {"pretrained", "partial"} & recipe["options"].keys():  # it would read another file or download one
            raise ValueError("its encoders start from other weights, and all are needed here")
        net = nets.build(
            recipe["network"], num_classes=recipe["num_classes"], x_channels=recipe["x_channels"], **recipe["options"]
        )
        _fill(net, state)
    except (ValueError, TypeError, MemoryError, RuntimeError) as error:  # options, or tensors of another network
        module, is_of_others, _ = recipe["network"].partition(":")
        file = f"{module.replace('.', '/')}.py"
        if getattr(error.__cause__, "name", None) in (module, module.partition(".")[0]):
            raise ValueError(f"{path} needs {file}: put its folder into PYTHONPATH ({error})") from error
        since = f"; has {file} changed since they were saved?" if is_of_others else ""
        raise ValueError(f"{path} does not fit the {recipe['network']} that it names: {error}{since}") from error
    return net.to(memory_format=torch.channels_last).eval(), recipe


def describe(source: Path | str) -> dict:
    """The recipe in weights, without reading the weights or building the network.

    Raises:
        FileNotFoundError, ValueError: as `load`.
    """
    path, config = _find(source)
    return onnx_file.describe(path, check_description) if path.suffix == ".onnx" else _description(path, config)


def _description(path: Path, config: Path | None) -> dict:
    """The checked recipe: of config.json where there is one, else in the metadata of the file."""
    with path.open("rb"):  # raises an error of its own where the file may not be read
        pass
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is no safetensors file ({error})") from error
    where = f"the recipe in {config or f'the metadata of {path}'}"
    try:
        text = config.read_text(encoding="utf-8") if config else metadata.get("recipe", "{}")
        recipe = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:  # no UTF-8, or no JSON
        raise ValueError(f"{where} is no JSON ({error}): save the network again") from error
    try:
        check_description(recipe, where)
    except ValueError as error:
        advice = "with config=lixlib.checkpoints.hub_config(recipe)" if config else "with lixlib.checkpoints.save"
        raise ValueError(f"{error}: save it {advice}") from error
    return recipe


def _fill(net: nn.Module, state: dict[str, Tensor]) -> None:
    """Load all weights into a network, after checking their kind of number and that they are finite."""
    own = net.state_dict()
    for name, tensor in state.items():
        if name in own and tensor.is_floating_point() != own[name].is_floating_point():
            raise ValueError(f"{name} is of type {tensor.dtype}, expected {own[name].dtype}")
        if not tensor.isfinite().all():
            raise ValueError(f"{name} holds numbers that are not finite: the training failed, or the file is damaged")
    try:
        net.load_state_dict({name: t.float() if t.is_floating_point() else t for name, t in state.items()})
    except RuntimeError as error:  # its message is long: a shorter one follows
        raise ValueError(f"it {mismatch(own, state)}") from error


def _find(source: Path | str) -> tuple[Path, Path | None]:
    """The file with the weights, and the config.json beside it if it has the layout of the Hugging Face hub."""
    if not str(source):
        raise ValueError("the name of the weights is empty: give a file, a folder, or a name of the Hugging Face hub")
    path = at_home(source)
    if path.is_file():
        return path, None
    names = ("model.safetensors", "config.json")
    if (path / "weights.safetensors").is_file():  # the folder of a run
        return path / "weights.safetensors", None
    if path.is_dir():
        absent = [name for name in names if not (path / name).is_file()]
        if absent:
            raise FileNotFoundError(f"no {absent[0]} in {path}: write such a folder by the network's save_pretrained")
        return path / names[0], path / names[1]
    if (CHECKPOINTS / f"{path.name}.safetensors").is_file() and len(path.parts) == 1:  # the name of shipped weights
        return CHECKPOINTS / f"{path.name}.safetensors", None
    # a repository of the hub is owner/name
    if path.is_absolute() or len(path.parts) != 2 or path.suffix in (".safetensors", ".onnx"):
        raise FileNotFoundError(f"no weights file {source}")
    log = logging.getLogger("huggingface_hub")
    before = log.level
    log.setLevel(logging.ERROR)  # else it logs every retry
    try:
        tensors, config = (Path(hf_hub_download(path.as_posix(), name)) for name in names)
    except (OSError, HFValidationError, EntryNotFoundError) as error:
        raise FileNotFoundError(
            f"no weights {source}: no such file or folder, and none of the Hugging Face hub ({error})"
        ) from error
    finally:
        log.setLevel(before)
    return tensors, config
