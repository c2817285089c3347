"""Networks by name: those of the library, registered ones, and any factory given as module.path:factory."""

import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from lixlib.core import names
from lixlib.core.checks import check_choice
from lixlib.core.options import shown
from lixlib.core.plugins import REGISTERED, imported
from lixlib.nets.mfnet import MFNet
from lixlib.nets.off_net import OFFNet
from lixlib.nets.sne_roadseg import SNERoadSeg

Factory = Callable[..., nn.Module]  # called as factory(num_classes, x_channels, **options)

NETWORKS: dict[str, Factory] = {"mfnet": MFNet, "sne-roadseg": SNERoadSeg, "off-net": OFFNet}
OURS = tuple(NETWORKS)
NAMED: set[str] = set()  # every module.path:factory that was looked up in this process


def register(name: str, factory: Factory) -> None:
    """Register a network of your own under a name, for `build`, recipes, weights files and the command line.

    Args:
        factory: a class or a function, called as factory(num_classes, x_channels, **options); x_channels is None for
            the student. A name that you registered before is replaced.

    Raises:
        ValueError: a name that cannot be a folder's name or belongs to the library, or a factory that cannot be called.
    """
    names.check("network", name, taken=OURS)
    if not callable(factory):
        raise ValueError(f"network {name!r}: a class or a function is needed, found {shown(factory)}")
    NETWORKS[name] = factory


def find(name: str) -> Factory:
    """The factory of a name in `NETWORKS`, or of module.path:factory, which may lie in the working directory.

    Raises:
        ValueError: no such name, module or attribute, a module that cannot be imported or belongs to Python itself, or
            an attribute that cannot be called.
    """
    if not isinstance(name, str) or ":" not in name:
        check_choice("network", name, NETWORKS, "module.path:factory", REGISTERED)
        return NETWORKS[name]
    path, _, attribute = name.partition(":")
    if not attribute.isidentifier() or not all(part.isidentifier() for part in path.split(".")):
        raise ValueError(f"network {name!r} must be module.path:factory, e.g. my_nets:unet")
    if path.partition(".")[0] in sys.stdlib_module_names:  # a weights file could name anything there
        raise ValueError(f"network {name!r}: {path} is a module of Python itself, and holds no network")
    module = imported(f"network {name!r}", path)
    if not hasattr(module, attribute):
        own = [each for each, value in vars(module).items() if callable(value) and not each.startswith("_")]
        raise ValueError(f"network {name!r}: {path} ({module.__file__}) has no {attribute}: it has {_listed(own)}")
    factory: Factory = getattr(module, attribute)
    if not callable(factory):
        raise ValueError(f"network {name!r} is {shown(factory)}: a class or a function that builds one is needed")
    NAMED.add(name)
    return factory


def is_known(name: str) -> bool:
    """Whether a network is found without running code that this process has not been asked to run before.

    True for the networks of the library, for registered ones, and for a module.path:factory that was looked up before,
    e.g. by `build`, or because a recipe names it.
    """
    return ":" not in name or name in NAMED


def options_of(name: str, factory: Factory, given: Mapping[str, object]) -> dict[str, Any]:
    """The annotations of the options that a factory takes; one with **options takes all that are given.

    Raises:
        ValueError: it cannot be called as factory(num_classes, x_channels, **options).
    """
    try:
        signature = inspect.signature(factory, eval_str=True)
    except NameError:  # names that are imported only for type checkers
        signature = inspect.signature(factory)
    parameters = list(signature.parameters.values())
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(positional) < 2 and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        raise ValueError(f"network {name!r} must be called as (num_classes, x_channels, **options), found {signature}")
    known = dict.fromkeys(given, Any) if any(p.kind is p.VAR_KEYWORD for p in parameters) else {}
    options = [p for p in parameters if p.kind is p.KEYWORD_ONLY or p in positional[2:]]
    known |= {
        p.name: Any if isinstance(p.annotation, str) or p.annotation is p.empty else p.annotation for p in options
    }
    missing = [p.name for p in options if p.default is p.empty and p.name not in given]
    if missing:
        raise ValueError(f"network {name!r} needs {', '.join(missing)} among its options")
    return known


def _listed(names: list[str]) -> str:
    return ", ".join(names[:12]) or "nothing that can be called"
