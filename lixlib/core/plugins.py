"""Modules of strangers: imported by name, wherever Python looks or in the working directory."""

import importlib
import os
import sys
from types import ModuleType

PLUGINS = "LIX_PLUGINS"
REGISTERED = f"or one that a module in {PLUGINS} registers"  # for messages that list names


def import_plugins() -> None:
    """Import the modules that the environment variable LIX_PLUGINS names, e.g. "my_methods,my_data".

    They register methods, networks and data sets. The `lix` command and every process that it starts call this first.

    Raises:
        ValueError: a module that is not there or fails.
    """
    for path in filter(None, (name.strip() for name in os.environ.get(PLUGINS, "").split(","))):
        imported(f"{PLUGINS}={path}", path)


def imported(what: str, path: str) -> ModuleType:
    """Import a module, which may lie in the working directory.

    Args:
        what: asks for it, for messages.

    Raises:
        ValueError: no such module, or one that cannot be imported.
    """
    here = os.getcwd()
    if here not in sys.path:  # where a program is started by its name, Python does not look there
        sys.path.append(here)
        importlib.invalidate_caches()
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{path}.".startswith(f"{error.name}."):  # another module that this one imports
            raise ValueError(f"{what}: {path} cannot be imported: {error}") from error
        raise ValueError(
            f"{what}: there is no module {error.name}: neither in {here} nor where Python looks "
            "(PYTHONPATH, installed packages)"
        ) from error
    except (Exception, SystemExit) as error:  # whatever the code of others raises
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"{what}: {path} cannot be imported: {reason}") from error
