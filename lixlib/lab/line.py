"""The fields of a result line and their types, by which every line is checked when it is read."""

from typing import Annotated, Any

from pydantic import Field, FiniteFloat, ValidationError

from lixlib.checkpoints.described import Count, Described, Fields

Share = FiniteFloat | None  # None where nothing could be scored


class Metrics(Fields):
    mIoU: Share
    fwIoU: Share
    mFsc: Share
    fwFsc: Share


class Line(Fields):
    dataset: str
    network: str
    method: str
    seed: int
    split: str
    size: Annotated[list[int], Field(min_length=2, max_length=2)]
    epochs: Count
    updates: Count
    batch: Count
    hyper: dict[str, Any]
    metrics: Metrics
    per_class: dict[str, Annotated[list[Share], Field(min_length=2, max_length=2)]] = {}
    recipe: Described = Described()
    data_digest: str | None = None
    teacher: str | None = None
    seconds: FiniteFloat | None = None
    device: str | None = None


def problem_of(line: dict) -> str | None:
    """What is wrong with a result line: the first field that is missing or has another type; None: nothing."""
    try:
        Line.model_validate(line)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        if first["type"] == "missing":
            return f"has no {field}"
        return f"has {field} = {first['input']!r:.60}: {first['msg'][0].lower()}{first['msg'][1:]}"
    return None
