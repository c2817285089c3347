"""How numbers and messages are written."""

import re
from collections.abc import Sequence

# Control characters, line separators, and what turns the direction of writing: a terminal would obey them.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def signed(points: float) -> str:
    """A difference in points with its sign and one decimal; what rounds to 0 is +0.0."""
    return f"{round(points, 1) + 0.0:+.1f}"  # + 0.0: never "-0.0"


def one_line(text: str) -> str:
    """The lines of a text in one line, without empty ones."""
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())


def escaped(text: object) -> str:
    """A text, such as the path of a file of others, with its control characters as they are written in Python: \\n."""
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))


def repeated(names: Sequence[str]) -> str | None:
    """The first name that is there more than once; None if all differ."""
    return next((name for name in names if names.count(name) > 1), None)
