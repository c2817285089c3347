"""The types of a recipe as result lines and weights tell it; here, because both check what they read."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0)]


class Fields(BaseModel):
    """An object with these fields, of exactly these types; more fields are kept."""

    model_config = ConfigDict(strict=True, extra="allow")


class Described(Fields):
    """What `lixlib.lab.recipe.Recipe.described` gives, by the words of the files."""

    net: dict[str, Any] = {}
    hyper: dict[str, Any] = {}
    data: dict[str, Any] = {}
    teacher: dict[str, Any] = {}
    epochs: Count | None = None
