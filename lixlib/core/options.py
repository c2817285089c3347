"""Values of options, checked by pydantic against the annotations of the signature that takes them.

A signature says what it takes by its annotations: a type, a `Literal` of names, a range of annotated_types. Nothing is
converted, so that a recipe says what was given: a whole number may stand where a number is wanted, and, as JSON has no
tuples, a list where a tuple is.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, fields
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, ParamSpec, Protocol, TypeVar, Union, get_args, get_origin

from annotated_types import Interval, MinLen

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

LARGEST = 1e18  # of a number that the tensors of float32 and int64 take, squared as well
Weight = Annotated[float, Interval(ge=0, le=LARGEST)]  # of a loss term
Positive = Annotated[float, Interval(gt=0, le=LARGEST)]
Share = Annotated[float, Interval(ge=0, le=1)]
Count = Annotated[int, Interval(ge=1, le=4096)]  # of layers' channels, groups and the like: more fits into no memory
Epochs = Annotated[int, Interval(ge=1, le=1_000_000)]
Frames = Annotated[int, Interval(ge=1, le=500_000)]  # that a split of ToyDrive has room for
Seed = Annotated[int, Interval(ge=0, le=2**32 - 1)]
Side = Annotated[int, Interval(ge=1, le=8192)]  # pixels
Size = tuple[Side, Side]  # height, width
Names = Annotated[tuple[str, ...], MinLen(1)]

TUPLE = "a list"
NUMBER_WORDS = {1: "one", 2: "two", 3: "three", 4: "four"}
ITEMS = {float: "number", int: "whole number", str: "name"}
# of pydantic, and shorter or as JSON has them
WORDS = {
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
    "greater than": "above",
    "less than": "below",
    "a valid tuple": TUPLE,
    "a valid dictionary": "an object of names and values",
}
MOST_PIXELS = 2**23  # of an image: one of 2048 x 4096
LONGEST = 60  # characters of a wrong value that a message repeats


@dataclass(frozen=True)
class OptionsOf:
    """Marks an annotation, as in Annotated[dict | None, OptionsOf(DWLD)]: a dict of options of something else."""

    owner: Callable[..., object]


def check(owner: str, known: Mapping[str, Any], given: Mapping[str, object]) -> dict[str, Any]:
    """The given values, their lists as tuples, if each is an option of that name and of its type and range.

    Args:
        owner: what has these options, for messages, e.g. "network 'mfnet'".
        known: the annotation of every option by its name.

    Raises:
        ValueError: an unknown option, or a value that does not fit; one line that names the option, what was found and
            what is expected.
    """
    checked = {}
    for name, value in given.items():
        if name not in known:
            raise ValueError(f"{owner} has no option {shown(name)}: it takes {', '.join(known) or 'none'}")
        checked[name] = _value(f"{owner}: {name}", known[name], value)
    return checked


def of(function: Callable[..., object], *without: str) -> dict[str, Any]:
    """The annotations of the keyword-only parameters of a function, or of a class's __init__, but for some."""
    initial = function.__init__ if isinstance(function, type) else function  # type: ignore[misc]  # of a class itself
    function = inspect.unwrap(initial)
    return {
        parameter.name: _resolved(parameter.annotation, function)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.name not in without
    }


def checked(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Decorate a function, or a class's __init__: its keyword-only arguments are checked when it is called."""
    owner = function.__qualname__.removesuffix(".__init__")
    others = {p.name for p in inspect.signature(function).parameters.values() if p.kind is not p.KEYWORD_ONLY}

    @functools.wraps(function)
    def wrapper(*arguments: Arguments.args, **keywords: Arguments.kwargs) -> Result:
        check(owner, of(function), {name: value for name, value in keywords.items() if name not in others})
        return function(*arguments, **keywords)

    return wrapper


class HasFields(Protocol):
    """An instance of a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


def check_fields(instance: HasFields) -> None:
    """Check the fields of a dataclass in its __post_init__, and make tuples of those that are lists.

    Raises:
        ValueError: as `check`.
    """
    known = {field.name: field.type for field in fields(instance)}
    given = {name: getattr(instance, name) for name in known}
    for name, value in check(type(instance).__name__, known, given).items():
        object.__setattr__(instance, name, value)  # also of a frozen one


def check_pixels(size: tuple[int, int]) -> None:
    """Raise a ValueError if images of this height and width are larger than any that is trained on."""
    height, width = size
    if height * width > MOST_PIXELS:
        raise ValueError(f"size {height} x {width} is more than {MOST_PIXELS} pixels: choose a smaller one")


def shown(value: object) -> str:
    """A value for a message: on one line, and cut where it is long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, or brackets as deep
        text = f"a huge {type(value).__name__}"
    text = text.replace("\n", " ")
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _value(what: str, annotation: Any, value: object) -> object:
    from pydantic import ValidationError

    given, value = value, tuple(value) if isinstance(value, list) else value
    try:
        _adapter(annotation).validate_python(value)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        at = [next((part for part in problem["loc"] if isinstance(part, int)), None) for problem in problems]
        place, found = "", given
        if at[0] is not None and isinstance(value, tuple) and at[0] < len(value):
            place, found = f"[{at[0]}]", value[at[0]]
        expected = dict.fromkeys(_expected(p) for p, index in zip(problems, at, strict=True) if index == at[0])
        if f"be {TUPLE}" in expected and not place:
            expected = dict.fromkeys(f"be {_list(annotation)}" if each == f"be {TUPLE}" else each for each in expected)
        raise ValueError(f"{what}{place} must {' or '.join(expected)}, found {shown(found)}") from None
    for marker in getattr(annotation, "__metadata__", ()):
        if isinstance(marker, OptionsOf) and isinstance(value, Mapping):  # else None
            check(f"{what}, {marker.owner.__name__}", of(marker.owner), value)
    return value


def _expected(problem: Mapping[str, object]) -> str:
    """What pydantic says of one problem, after "must"."""
    if problem["type"] == "missing":
        return "have one more item"
    message = str(problem["msg"]).partition(" should ")[2].partition(" after validation")[0]
    for theirs, ours in WORDS.items():
        message = message.replace(theirs, ours)
    return message


def _list(annotation: Any) -> str:
    """What a tuple of this annotation is in JSON: "a list of two numbers"."""
    while get_origin(annotation) in (Annotated, Union, UnionType):
        parts = get_args(annotation)[:1] if get_origin(annotation) is Annotated else get_args(annotation)
        annotation = next((part for part in parts if part is not type(None)), None)
    items = get_args(annotation) if get_origin(annotation) is tuple else ()
    first = items[0] if items else None
    kind = ITEMS.get(get_args(first)[0] if get_origin(first) is Annotated else first)  # type: ignore[arg-type]  # None
    if kind is None:
        return TUPLE
    count = "" if items[-1] is Ellipsis else f"{NUMBER_WORDS.get(len(items), len(items))} "
    return f"{TUPLE} of {count}{kind}s"


def _resolved(annotation: Any, function: Callable[..., object]) -> Any:
    if annotation is inspect.Parameter.empty:
        return Any
    return eval(annotation, function.__globals__) if isinstance(annotation, str) else annotation


@functools.cache
def _adapter(annotation: Any) -> "TypeAdapter[Any]":
    from pydantic import ConfigDict, TypeAdapter  # here, because most commands need no pydantic

    return TypeAdapter(annotation, config=ConfigDict(strict=True, allow_inf_nan=False))
