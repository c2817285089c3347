"""Code from outside of the library that decides a run's numbers: methods and networks of strangers."""

import functools
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path

from lixlib.core.digests import digest, digest_of_file
from lixlib.distillers import registry as methods
from lixlib.lab.recipe import Recipe
from lixlib.nets import registry as networks


def code_digest(recipe: Recipe) -> str | None:
    """A digest of the files in which the recipe's method and networks are written; None if all are the library's.

    What these files import is not part of it, and neither is what was typed into a prompt or a notebook.
    """
    files = {file for make in _makers(recipe) if (file := _file_of(make))}
    return digest(sorted(digest_of_file(file) for file in files)) if files else None


def identity_of_code(recipe: Recipe) -> dict[str, str]:
    """The code's part of what names a run's folder and tells its result line from others."""
    return {"code_digest": found} if (found := code_digest(recipe)) else {}


def _makers(recipe: Recipe) -> Iterator[Callable]:
    if recipe.distils and recipe.method not in methods.OURS:
        yield methods.METHODS[recipe.method].make
    for network in {recipe.network, recipe.of_teacher().network if recipe.distils else recipe.network}:
        if network not in networks.OURS:
            yield networks.find(network)


def _file_of(make: Callable) -> Path | None:
    while isinstance(make, functools.partial):
        make = make.func
    try:
        file = Path(inspect.getsourcefile(inspect.unwrap(make)) or "")
    except TypeError:  # it was typed into a prompt
        return None
    return file if file.is_file() else None
