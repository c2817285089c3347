"""How numbers and messages are written."""

from collections.abc import Sequence


def signed(points: float) -> str:
    """A difference in points with its sign and one decimal; what rounds to 0 is +0.0."""
    return f"{round(points, 1) + 0.0:+.1f}"  # + 0.0: never "-0.0"


def one_line(text: str) -> str:
    """The lines of a text in one line, without empty ones."""
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())


def repeated(names: Sequence[str]) -> str | None:
    """The first name that is there more than once; None if all differ."""
    return next((name for name in names if names.count(name) > 1), None)
