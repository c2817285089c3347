"""The types of a recipe as result lines and weights tell it; here, because both check what they read."""

from typing import Annotated, Any

from annotated_types import Ge
from typing_extensions import TypedDict

Count = Annotated[int, Ge(0)]


class Described(TypedDict, total=False):
    """What `lixlib.lab.recipe.Recipe.described` gives, by the words of the files; the fields that are read again."""

    net: dict[str, Any]
    hyper: dict[str, Any]
    data: dict[str, Any]
    teacher: dict[str, Any]
    epochs: Count | None
