"""Scores as tables."""

from collections.abc import Mapping

from lixlib.plots.base import signed
from lixlib.results import METRICS, gap_closed


def metric_table(teacher: Mapping, student: Mapping, distilled: Mapping, name: str = "distilled student") -> str:
    """The four metrics of three runs as a Markdown table: in %, the gain in points, the share of the gap closed.

    Args:
        teacher, student, distilled: `metrics` of a result line, in [0, 1].
        name: of the distilled run.
    """
    shares = [gap_closed(teacher[key], student[key], distilled[key]) for key in METRICS]
    rows = {
        "teacher (RGB + X)": [f"{100 * teacher[key]:.1f}" for key in METRICS],
        "student (RGB)": [f"{100 * student[key]:.1f}" for key in METRICS],
        f"**{name} (RGB)**": [f"**{100 * distilled[key]:.1f}**" for key in METRICS],
        "gain over the student, points": [signed(100 * (distilled[key] - student[key])) for key in METRICS],
        "share of the gap closed": ["no gap" if share is None else f"{round(100 * share)} %" for share in shares],
    }
    lines = [f"| | {' | '.join(METRICS)} |", "|---|" + "---:|" * len(METRICS)]
    return "\n".join([*lines, *(f"| {title} | {' | '.join(values)} |" for title, values in rows.items())])
