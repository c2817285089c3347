"""Figures and tables of the project: data in, a matplotlib Figure (or a table) out; nothing is shown or saved here.

The figures are not known to pyplot: a notebook shows one where it is the last value of a cell, once.
"""

from lixlib.plots.base import style
from lixlib.plots.charts import bars, class_gains, class_shares, curves, growth, heatmaps, lines
from lixlib.plots.intervals import Estimate, forest
from lixlib.plots.pictures import (
    BOTH,
    FIRST,
    NEITHER,
    SECOND,
    Scale,
    class_legend,
    colour_labels,
    gallery,
    legend_of_right,
    maps,
    overlay,
    panels,
    who_is_right,
)
from lixlib.plots.points import scatter
from lixlib.plots.progress import progress
from lixlib.plots.reversal import slopes, stacked
from lixlib.plots.simplex import Simplex, simplexes
from lixlib.plots.tables import score_table

__all__ = [
    "BOTH",
    "FIRST",
    "NEITHER",
    "SECOND",
    "Estimate",
    "Scale",
    "Simplex",
    "bars",
    "class_gains",
    "class_legend",
    "class_shares",
    "colour_labels",
    "curves",
    "forest",
    "gallery",
    "growth",
    "heatmaps",
    "legend_of_right",
    "lines",
    "maps",
    "overlay",
    "panels",
    "progress",
    "scatter",
    "score_table",
    "simplexes",
    "slopes",
    "stacked",
    "style",
    "who_is_right",
]
