"""Published weights of the encoders: where to find them, and how their names become ours. Nothing is unpickled."""

from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import RemoteEntryNotFoundError
from safetensors.torch import load_file
from torch import Tensor, nn

from lixlib.core.files import at_home

State = dict[str, Tensor]
SHOWN = 4  # names in a message

# Of torchvision, which names them so; V2 was trained longer. The hash in a file's name is checked.
TORCHVISION = "https://download.pytorch.org/models/"
RESNET = {
    "resnet18": {"IMAGENET1K_V1": "resnet18-f37072fd.pth"},
    "resnet34": {"IMAGENET1K_V1": "resnet34-b627a593.pth"},
    "resnet50": {"IMAGENET1K_V1": "resnet50-0676ba61.pth", "IMAGENET1K_V2": "resnet50-11ad3fa6.pth"},
    "resnet101": {"IMAGENET1K_V1": "resnet101-63fe2227.pth", "IMAGENET1K_V2": "resnet101-cd907fc2.pth"},
    "resnet152": {"IMAGENET1K_V1": "resnet152-394f9c45.pth", "IMAGENET1K_V2": "resnet152-f82ba261.pth"},
}
# Of ImageNet's images in [0, 1], by which all these weights want theirs normalised
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Of SegFormer's authors, on the Hugging Face hub; their licence allows no commercial use.
MIT_B2 = "nvidia/mit-b2"
# How a name of transformers becomes one of SegFormer, after the stage's number.
MIT_RENAMED = {
    "layer_norm_": "norm",
    "layer_norm": "norm",
    "attention.self.query": "attn.q",
    "attention.self": "attn",
    "attention.output.dense": "attn.proj",
    "dense": "fc",
}


def resnet(source: str, encoder: str) -> State:
    """ImageNet weights of a ResNet without its classifier, from a file in torchvision's names or by torchvision's name.

    Raises:
        ValueError: no such file or name, or a file that cannot be read safely.
        ConnectionError: they cannot be downloaded; the message says from where, and where to put them by hand.
    """
    names = RESNET[encoder]
    state = _read(source, names, lambda name: _from_url(TORCHVISION + names[name]))
    return {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}


def mit(source: str) -> State:
    """ImageNet weights of MiT-B2 without its classifier, from a file in SegFormer's or transformers' names, or by name.

    Raises:
        ValueError, ConnectionError: as `resnet`.
    """
    state = _read(source, (MIT_B2,), _from_hub)
    if any(name.startswith("segformer.encoder.") for name in state):
        state = _as_segformer(state)
    return {name: tensor for name, tensor in state.items() if not name.startswith("head.")}


def fill(module: nn.Module, state: State, source: str, *, partial: bool = False) -> None:
    """Load all of these weights into a module.

    Args:
        partial: the module may have more names than the weights: what they lack stays as it is.

    Raises:
        ValueError: names or shapes differ; it says which first, and how many. With `partial`, also where no name fits.
    """
    own = module.state_dict()
    known = {name: tensor for name, tensor in own.items() if name in state}
    if wrong := mismatch(known if partial and known else own, state):
        advice = "" if mismatch(known, state) or not known else ": partial=True leaves that as it was initialised"
        raise ValueError(f"{source} does not fit this {type(module).__name__}: it {wrong}{advice}")
    module.load_state_dict(state, strict=not partial)


def mismatch(own: State, state: State) -> str:
    """The names and shapes in which `state` differs from `own`: the first of each kind, and how many; "" for none."""
    lists = {
        "lacks": [name for name in own if name not in state],
        "has besides": [name for name in state if name not in own],
        "has in another shape": [name for name in state if name in own and state[name].shape != own[name].shape],
    }
    return ", ".join(f"{what} {_some(names)}" for what, names in lists.items() if names)


def _some(names: list[str]) -> str:
    """The first names, and how many there are."""
    shown = f"{', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''}"
    return f"{shown} ({len(names)} such names)"


def _read(source: str, names: tuple[str, ...] | dict[str, str], download: Callable[[str], State]) -> State:
    if source in names:
        return download(source)
    path = at_home(source)
    if not path.is_file():
        raise ValueError(
            f"no file {source}, and no published weights of that name: give a path or {' or '.join(names)}"
        )
    return _load(path)


def _load(path: Path) -> State:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state: State = torch.load(path, map_location="cpu", weights_only=True)
        return state
    except OSError:
        raise
    except Exception as error:  # torch, pickle and zipfile know a dozen
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ValueError(f"{path} is no file of weights that can be read safely ({reason:.200})") from error


def _from_url(url: str) -> State:
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    try:
        return torch.hub.load_state_dict_from_url(url, map_location="cpu", check_hash=True, weights_only=True)
    except (OSError, RuntimeError, UnpicklingError, EOFError) as error:
        raise ConnectionError(
            f"no weights from {url} ({error}): download that file elsewhere and put it into {folder}, "
            "or give its path instead of its name"
        ) from error


def _from_hub(name: str) -> State:
    try:
        try:
            return _load(Path(hf_hub_download(name, "model.safetensors")))
        except RemoteEntryNotFoundError:
            return _load(Path(hf_hub_download(name, "pytorch_model.bin")))
    except (OSError, RuntimeError) as error:
        raise ConnectionError(
            f"no weights from https://huggingface.co/{name} ({error}): download model.safetensors or "
            "pytorch_model.bin from there elsewhere, and give its path instead of the name"
        ) from error


def _as_segformer(state: State) -> State:
    renamed = {}
    for name, tensor in state.items():
        if name.startswith("classifier."):
            continue
        part, stage, rest = name.removeprefix("segformer.encoder.").split(".", 2)
        part = {"patch_embeddings": "patch_embed", "layer_norm": "norm"}.get(part, part)
        for theirs, ours in MIT_RENAMED.items():
            rest = rest.replace(theirs, ours)
        renamed[f"{part}{int(stage) + 1}.{rest}"] = tensor
    for name in [name for name in renamed if ".attn.key." in name]:
        keys, values = renamed.pop(name), renamed.pop(name.replace(".key.", ".value."))
        renamed[name.replace(".key.", ".kv.")] = torch.cat([keys, values])
    return renamed
