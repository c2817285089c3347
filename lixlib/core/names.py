"""Names under which strangers register their own methods, networks and data sets."""

import re
from collections.abc import Container

from lixlib.core.options import shown

NAME = re.compile(r"\w[\w.-]*")
LONGEST = 60  # it is a part of the names of folders and files, of which file systems take 255 bytes


def check(what: str, name: object, *, taken: Container[str]) -> None:
    """Raise a ValueError unless the name can be that of a folder and of no `what` of the library."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(f"the name of a {what} is made of letters, digits, '_', '-' and '.', found {shown(name)}")
    if len(name) > LONGEST:
        raise ValueError(f"the name of a {what} has at most {LONGEST} letters, found {len(name)}: {shown(name)}")
    if name in taken:
        raise ValueError(f"{name!r} is a {what} of the library: choose another name")
