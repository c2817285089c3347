"""What all figures share: their style, their creation outside of pyplot, and their limits."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
from IPython import get_ipython
from matplotlib import pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

STYLE = Path(__file__).parent / "lix.mplstyle"


@contextmanager
def style() -> Iterator[None]:
    """The style of the project's figures, for figures of one's own: `with style(): plt.subplots()`."""
    if get_ipython() is not None:
        _start_backend()
    with plt.style.context(STYLE):
        yield


def new_figure(**options) -> Figure:
    figure = Figure(**options)
    FigureCanvasAgg(figure)
    return figure


def limits_of(arrays) -> tuple[float, float]:
    """The smallest and the largest finite value of all arrays, never equal; about 0 if there is none."""
    values = np.concatenate([np.ravel(array) for array in arrays] or [np.zeros(1)])
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    return low, high if high > low else low + 1e-6


@cache
def _start_backend() -> None:
    """Start a notebook's backend outside of any style, since the end of a style would undo the backend's settings."""
    plt.close(plt.figure())
