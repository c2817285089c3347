"""How numbers are written."""


def signed(points: float) -> str:
    """A difference in points with its sign and one decimal; what rounds to 0 is +0.0."""
    return f"{round(points, 1) + 0.0:+.1f}"  # + 0.0: never "-0.0"
