"""Any PyTorch module as a network of this library: forward hooks give its taps, its result gives the logits."""

import math
import threading
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lixlib.core.checks import shape
from lixlib.core.options import shown
from lixlib.core.output import Output
from lixlib.nets import inputs

MOST_PATHS = 12  # the most that an error message lists
PREFIX = "module."  # of the wrapped module's parameters within `Tapped`; its state dict goes without


def tapped(
    module: nn.Module,
    taps: Mapping[str, str] | None = None,
    logits: Callable[[Any], Tensor] | None = None,
    *,
    x_channels: int | None = None,
    join: Callable[[Tensor, Tensor], Any] | None = None,
) -> "Tapped":
    """Wrap a module, without changing it, so that it returns `Output(logits, taps)` like the library's networks.

    tapped(unet, {"stage1": "encoder.layer1", "stage2": "encoder.layer2"})

    Args:
        taps: the path of a submodule, as in `module.named_modules()`, for the name of each tap. A submodule that
            runs several times gives its last map; of a tuple or a list it gives the first item. The tokens (B, N, C) of
            a transformer, row by row over the image and with or without a class token before them, become a map.
        logits: a function that turns the module's result into logits. None takes the result itself if it is a tensor,
            "logits" or "out" of a mapping, the first item of a tuple or a list, or else the attribute `logits`. Logits
            of another size than RGB are resized to it, bilinearly.
        x_channels: the channels of X that the module reads as a teacher, called as module(rgb, x); None for a student.
        join: for a teacher that is called in another way: a function of (rgb, x) that returns the module's arguments,
            a mapping of them by name, a tuple of several, or one, e.g. `lambda rgb, x: torch.cat([rgb, x], 1)`.

    Raises:
        ValueError: a path that the module lacks, an x_channels that is not a positive number, or `join` without
            x_channels. When the network is called: inputs of wrong shapes, a result without logits (B, C, h, w), or a
            tap that is neither a map nor tokens, or whose submodule did not run.
    """
    return Tapped(module, taps or {}, logits, x_channels, join)


class _Maps(threading.local):
    """The outputs that the hooks of one network collect during a call in this thread; None between calls."""

    seen: dict[str, Any] | None = None

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return type(self), ()  # a copy of the network starts empty


class _Hook:
    """A forward hook that stores the output of a submodule while the wrapper is being called."""

    def __init__(self, tap: str, maps: _Maps):
        self.tap, self.maps = tap, maps

    def __call__(self, module: nn.Module, arguments: tuple[Any, ...], result: Any) -> None:
        if self.maps.seen is not None:  # None: called without the wrapper, or recomputed in the backward pass
            self.maps.seen[self.tap] = result


class Tapped(nn.Module):
    """A module with taps: see `tapped`. Its state dict is that of the module, without a prefix.

    **Shapes**: rgb (B, 3, H, W), x (B, x_channels, H, W) or None -> `Output` with logits (B, C, H, W).
    """

    def __init__(
        self,
        module: nn.Module,
        taps: Mapping[str, str],
        logits: Callable[[Any], Tensor] | None,
        x_channels: int | None,
        join: Callable[[Tensor, Tensor], Any] | None,
    ):
        super().__init__()
        if x_channels is not None and (type(x_channels) is not int or x_channels < 1):
            raise ValueError(f"x_channels must be a number above 0, or None for a student, found {shown(x_channels)}")
        if join is not None and x_channels is None:
            raise ValueError("join is for a teacher, which reads X: say how many channels it has by x_channels")
        self.module, self.taps, self.to_logits = module, dict(taps), logits
        self.x_channels, self.join = x_channels, join
        self._maps = _Maps()
        paths = dict(module.named_modules())
        for tap, path in self.taps.items():
            if path not in paths:
                raise ValueError(
                    f"tap {tap!r}: {type(module).__name__} has no submodule {path!r}: {_near(path, paths)}"
                )
        for tap, path in self.taps.items():  # after all checks, so that an error leaves the module unchanged
            paths[path].register_forward_hook(_Hook(tap, self._maps))

    def forward(self, rgb: Tensor, x: Tensor | None = None) -> Output:
        inputs.check(self, rgb, x)
        outer, self._maps.seen = self._maps.seen, {}
        try:
            result = self._call(rgb, x)
            seen = self._maps.seen
        finally:
            self._maps.seen = outer  # no maps are kept between calls
        taps = {tap: self._map(tap, seen, rgb.shape[-2:]) for tap in self.taps}
        logits = self._logits(result)
        if logits.shape[-2:] != rgb.shape[-2:]:
            logits = F.interpolate(logits, rgb.shape[-2:], mode="bilinear", align_corners=False)
        return Output(logits, taps)

    def _call(self, rgb: Tensor, x: Tensor | None) -> Any:
        if x is None:
            return self.module(rgb)
        if self.join is None:
            return self.module(rgb, x)
        arguments = self.join(rgb, x)
        if isinstance(arguments, Mapping):
            return self.module(**arguments)
        return self.module(*arguments) if isinstance(arguments, tuple | list) else self.module(arguments)

    def _map(self, tap: str, seen: dict[str, Any], size: torch.Size) -> Tensor:
        path = self.taps[tap]
        if tap not in seen:
            raise ValueError(f"tap {tap!r}: the submodule {path!r} did not run: tap one that takes part in forward")
        found = _first(seen[tap])
        if isinstance(found, Tensor) and found.dim() == 3:
            found = _map_of_tokens(found, size)
        if not isinstance(found, Tensor) or found.dim() != 4:
            raise ValueError(
                f"tap {tap!r}: the submodule {path!r} returned {_described(found)}, expected a map (B, C, h, w), "
                "or tokens (B, N, C) for a grid of the image's aspect"
            )
        return found

    def _logits(self, result: Any) -> Tensor:
        if self.to_logits is not None:
            found: Any = self.to_logits(result)
        elif isinstance(result, Mapping):
            found = next((result[key] for key in ("logits", "out") if key in result), result)
        else:
            found = _first(result) if isinstance(result, Tensor | tuple | list) else getattr(result, "logits", result)
        if not isinstance(found, Tensor) or found.dim() != 4:
            raise ValueError(
                f"{type(self.module).__name__} returned {_described(found)}, and logits (B, C, h, w) are needed: say "
                "how they are made of its result, by logits=lambda result: ..."
            )
        return found

    # Parameters keep the names that they have in the module, so that weights fit it with and without the wrapper.
    def state_dict(self, *arguments: Any, **options: Any) -> dict[str, Any]:  # type: ignore[override]  # any of torch's
        return self.module.state_dict(*arguments, **options)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *arguments: Any) -> None:
        for name in [name for name in state_dict if name.startswith(prefix)]:
            state_dict[f"{prefix}{PREFIX}{name.removeprefix(prefix)}"] = state_dict.pop(name)
        super()._load_from_state_dict(state_dict, prefix, *arguments)


def _map_of_tokens(tokens: Tensor, size: torch.Size) -> Tensor:
    """Tokens as a map of an image's aspect, without a class token; as they are if their number fits no such map.

    A network may round H and W up to whole patches, so that the aspect of the map differs by less than a patch.

    **Shapes**: (B, N, C) -> (B, C, h, w) with N = h * w or h * w + 1.
    """
    image_height, image_width = size
    fits = []
    for before in (0, 1):
        count = int(tokens.shape[1]) - before
        height = round(math.sqrt(count * image_height / image_width))
        width = count // max(height, 1)
        unequal = abs(height * image_width - width * image_height)
        if count and height * width == count and unequal < max(image_height, image_width):
            fits.append((unequal, before, height, width))
    if not fits:
        return tokens
    _, before, height, width = min(fits)
    found: Tensor = tokens[:, before:].transpose(1, 2).unflatten(2, (height, width))
    return found


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, tuple | list) and value else value


def _described(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor {shape(value)}"
    keys = f" with {', '.join(map(str, value))}" if isinstance(value, Mapping) else ""
    return f"an object of type {type(value).__name__}{keys}"


def _near(path: str, paths: Mapping[str, nn.Module]) -> str:
    """A hint for a path that does not exist: the most similar ones, else the first ones."""
    names = [name for name in paths if name]
    near = get_close_matches(str(path), names, n=MOST_PATHS, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(near)}?"
    more = f" and {len(names) - MOST_PATHS} more" if len(names) > MOST_PATHS else ""
    return f"it has {', '.join(names[:MOST_PATHS]) or 'none'}{more}"
