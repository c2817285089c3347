"""Widgets in a live notebook, and plain calls where it runs without a browser: `explore(fn, **controls)`."""

import functools
import inspect
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ipywidgets
from IPython.display import clear_output, display
from IPython.utils.capture import capture_output
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from lixlib.course.touch import Touch


def explore(fn: Callable[..., Any], **controls: Any) -> None:
    """Redraw `fn` whenever one of its controls moves.

    `fn` draws with matplotlib, returns a figure, or returns anything else that a notebook can display.
    A control is an ipywidgets widget or an abbreviation as in `ipywidgets.interact`: `(0.0, 1.0, 0.1)`, a list of
    choices, a bool, `ipywidgets.fixed(value)`. An abbreviated slider starts at the default of the argument if it has
    one. With a `Touch` among the controls, the figure itself is touched; `fn` draws one figure then, and no more.

    If the environment variable `LIX_HEADLESS` is set, there are no widgets: `fn` is called at both ends of every
    slider, at every choice of every list and at every corner, the other controls at their defaults, and those pictures
    are laid out and thrown away. The last call, at the defaults, leaves its picture in the notebook. A widget would
    hide an error inside `fn`; here it is raised, with a note that says which control had which value.

    Raises:
        TypeError: `fn` has no argument of a control's name, or needs an argument that no control gives.
        ValueError: a control is neither a widget nor an abbreviation of one.
    """
    signature = inspect.signature(fn)
    signature.bind(**controls)
    widgets = {name: _widget(name, control, signature) for name, control in controls.items()}
    if os.environ.get("LIX_HEADLESS"):
        _visit_ends(fn, widgets)
    else:
        touch = next((widget for widget in widgets.values() if isinstance(widget, Touch)), None)
        show = _show if touch is None else functools.partial(_show_touched, touch)
        panel = ipywidgets.interactive(lambda **values: show(fn, values), **widgets)
        _make_room_for_names(panel.children[:-1])  # the last child is the picture
        display(panel)


def _widget(name: str, control: Any, signature: inspect.Signature) -> Any:
    parameter = signature.parameters.get(name)
    default = parameter.default if parameter else inspect.Parameter.empty
    widget = ipywidgets.interactive.widget_from_abbrev(control, default)
    if widget is None:
        raise ValueError(f"control {name} = {control!r}: expected a widget, (min, max[, step]), a list or a bool")
    if hasattr(widget, "continuous_update"):
        widget.continuous_update = False  # redraw once, when the handle is let go
    return widget


def _make_room_for_names(controls: Sequence[Any]) -> None:
    """Give every name as much room as the longest needs: ipywidgets cuts off what is longer than 80 px."""
    named = [control for control in controls if hasattr(getattr(control, "style", None), "description_width")]
    name_width = f"max(80px, {max((len(control.description) for control in named), default=0)}ch)"
    for control in named:
        if not control.style.description_width and control.layout.width is None:
            control.style.description_width = name_width
            control.layout.width = f"calc(220px + {name_width})"  # the slider itself keeps its length


def _visit_ends(fn: Callable[..., Any], widgets: dict[str, Any]) -> None:
    *ends, (where, values) = _visits(widgets)
    for there, moved in ends:
        with capture_output(), _noting(fn, there):
            for unseen in _drawn(fn, moved):
                if isinstance(unseen, Figure):
                    unseen.draw_without_rendering()  # nobody looks at its pixels, which take most of the time
                else:
                    display(unseen)
    with _noting(fn, where):
        if any(isinstance(widget, Touch) for widget in widgets.values()):
            display(_only_figure(_drawn(fn, values)))
        else:
            _show(fn, values)


def _visits(widgets: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Values of all controls and their description: one control after the other at its ends, then all defaults."""
    defaults = {name: widget.value for name, widget in widgets.items()}
    for name, widget in widgets.items():
        for value in _ends(widget):
            yield f"{name} = {value!r}, the other controls at their defaults", defaults | {name: value}
    yield "every control at its default", defaults


def _ends(widget: Any) -> list[Any]:
    """The values at the ends of a control's range, or all of its choices."""
    if isinstance(widget, Touch):
        return widget.ends
    if hasattr(widget, "options"):
        return [_value_at(widget, index=index) for index in range(len(widget.options))]
    if isinstance(widget, ipywidgets.FloatLogSlider):
        return [widget.base**widget.min, widget.base**widget.max]
    if hasattr(widget, "min"):
        return [(widget.min, widget.max)] if isinstance(widget.value, tuple) else [widget.min, widget.max]
    return [False, True] if isinstance(widget.value, bool) else []


def _value_at(widget: Any, index: int) -> Any:
    widget.index, before = index, widget.index
    value, widget.index = widget.value, before
    return value


@contextmanager
def _noting(fn: Callable[..., Any], where: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        error.add_note(f"explore({getattr(fn, '__name__', fn)}) called with {where}")
        raise


def _show(fn: Callable[..., Any], values: dict[str, Any]) -> None:
    """Call `fn` and display once what it returned or drew."""
    for shown in _drawn(fn, values):
        display(shown)


def _show_touched(touch: Touch, fn: Callable[..., Any], values: dict[str, Any]) -> None:
    """Call `fn`, and make its figure the one that is touched."""
    try:
        touch.show(_only_figure(_drawn(fn, values)))
    except Exception:
        touch.way = []  # nothing is carried along the former one, which would hide the error
        raise
    clear_output()  # an error that an earlier step had left


def _only_figure(shown: list[Any]) -> Figure:
    """What a demo with a Touch draws; a TypeError if it is anything but one figure that can be touched."""
    if len(shown) != 1 or not isinstance(shown[0], Figure) or not shown[0].axes:
        raise TypeError(f"a demo with a Touch draws one figure with axes and nothing else, found {shown}")
    return shown[0]


def _drawn(fn: Callable[..., Any], values: dict[str, Any]) -> list[Any]:
    """What `fn` returned and drew; its figures are closed, because the notebook would draw open ones again."""
    before = set(plt.get_fignums())
    result = fn(**values)
    figures = [plt.figure(number) for number in plt.get_fignums() if number not in before]
    for figure in figures:
        plt.close(figure)
    if isinstance(result, Figure):
        return [figure for figure in figures if figure is not result] + [result]
    return ([] if result is None else [result]) + figures
