"""The picture of a training that is still running."""

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lixlib.plots.base import new_figure, style

OTHER = ("epoch", "mIoU", "seconds", "watch")  # entries of a row that are no loss terms
WEIGHTS = "NCLD weights W"
PLACES = {WEIGHTS: "upper left"}  # of legends where W may collapse, and where CKA and shares leave room
LIMITS = (-1.0, 10.0)  # of the loss terms: logarithmic above 0.1, and below 0 for what can fall there, as DWLD


def progress(log: Sequence[Mapping], epochs: int, *, bounds: tuple[float, float] = (0.0, 10.0)) -> Figure:
    """Four panels over the epochs: loss terms, gradient shares, NCLD weights, CKA; axes and size stay while it grows.

    A fifth shows use and watts of a card, if the log has them.

    Args:
        log: rows of `lixlib.training.fit`, watched by `lixlib.course.watch.Watch`; those that are there so far.
        epochs: of the whole training.
        bounds: lower and upper end of the axis of W.
    """
    terms = [name for name in log[0] if name not in OTHER] if log else []
    panels: dict[str, Callable[[Axes], None]] = {
        "loss terms (logarithmic above 0.1)": lambda ax: _terms(ax, log, terms),
        "who moves the student": lambda ax: _shares(ax, log),
        WEIGHTS: lambda ax: _weights(ax, log, bounds),
        "likeness to the teacher (CKA)": lambda ax: _cka(ax, log),
    }
    if any("card" in _watched(row) for row in log):
        panels["the card"] = lambda ax: _card(ax, log)
    with style():
        figure = new_figure(figsize=(10, 5.6 if len(panels) == 4 else 8.2))
        axes = figure.subplots(-(-len(panels) // 2), 2).ravel()
        for ax, (title, draw) in zip(axes, panels.items(), strict=False):
            ax.set(title=title, xlim=(1, max(epochs, 2)), xlabel="epoch")
            draw(ax)
            if ax.get_legend_handles_labels()[0]:
                ax.legend(loc=PLACES.get(title, "lower left"), ncols=4, fontsize=8, frameon=True, framealpha=0.8)
        for ax in axes[len(panels) :]:
            ax.remove()
    return figure


def _watched(row: Mapping) -> Mapping:
    return row.get("watch") or {}


def _entries(log: Sequence[Mapping], entry: str) -> dict[str, tuple[list[int], list[float]]]:
    """Epochs and values by name, of one entry of what was watched."""
    found: dict[str, tuple[list[int], list[float]]] = {}
    for row in log:
        for name, value in (_watched(row).get(entry) or {}).items():
            epochs, values = found.setdefault(name, ([], []))
            epochs.append(row["epoch"])
            values.append(np.nan if value is None else value)
    return found


def _terms(ax: Axes, log: Sequence[Mapping], terms: Sequence[str]) -> None:
    ax.set_yscale("symlog", linthresh=0.1)
    ax.set_yticks([-1, -0.1, 0, 0.1, 1, 10], ["-1", "-0.1", "0", "0.1", "1", "10"])
    ax.set_ylim(LIMITS)
    ax.axhline(0, color="#333333", linewidth=0.8)
    for name in terms:
        values = [np.nan if row.get(name) is None else np.clip(row[name], *LIMITS) for row in log]
        ax.plot([row["epoch"] for row in log], values, marker=".", label=name)


def _shares(ax: Axes, log: Sequence[Mapping]) -> None:
    ax.set(ylim=(0, 1), ylabel="share of the gradient")
    if found := _entries(log, "shares"):
        epochs = next(iter(found.values()))[0]
        colours = cycle(plt.rcParams["axes.prop_cycle"].by_key()["color"])
        values = [values for _, values in found.values()]
        ax.stackplot(
            epochs, values, labels=list(found), colors=[c for c, _ in zip(colours, found, strict=False)], alpha=0.8
        )


def _weights(ax: Axes, log: Sequence[Mapping], bounds: tuple[float, float]) -> None:
    margin = 0.05 * (bounds[1] - bounds[0])
    ax.set(ylim=(bounds[0] - margin, bounds[1] + margin))
    found = _entries(log, "weights")
    if found:
        epochs, mean = found["mean"]
        ax.fill_between(epochs, found["least"][1], found["most"][1], alpha=0.2, linewidth=0, label="least to most")
        ax.plot(epochs, mean, marker=".", label="mean")


def _cka(ax: Axes, log: Sequence[Mapping]) -> None:
    ax.set(ylim=(0, 1))
    for name, (epochs, values) in _entries(log, "cka").items():
        ax.plot(epochs, values, marker=".", label=name)


def _card(ax: Axes, log: Sequence[Mapping]) -> None:
    ax.set(ylim=(0, 100), ylabel="use in %, tens of watts")
    found = _entries(log, "card")
    for name, scale in (("use", 1), ("watts", 0.1)):
        epochs, values = found[name]
        ax.plot(epochs, scale * np.array(values), marker=".", label=name)
