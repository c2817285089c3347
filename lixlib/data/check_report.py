"""What a check of a data set has found: contents, problems and warnings, each in one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from lixlib.core.files import told
from lixlib.core.text import escaped
from lixlib.data.classes import Classes
from lixlib.data.contact_sheet import Row


@dataclass
class Counts:
    """What a split holds.

    Args:
        images: number of photographs.
        with_x: number of readable X files.
        with_label: number of readable labels.
        pixels: (256,) number of pixels of every class, and at 255 of ignored pixels.
        images_with: (256,) number of images in which a class occurs.
        of_one_class: number of labels that hold a single class.
        not_classes: for every label file with a value that is no class, what is wrong with it.
        like_x: number of these files in which most of the different values are no class.
        of_one_channel: number of photographs whose files have one channel.
        x_files: number of X files, readable or not.
        x_of_one_channel: number of X files of one channel.
    """

    images: int = 0
    with_x: int = 0
    with_label: int = 0
    pixels: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    images_with: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    of_one_class: int = 0
    not_classes: list[str] = field(default_factory=list)
    like_x: int = 0
    of_one_channel: int = 0
    x_files: int = 0
    x_of_one_channel: int = 0


@dataclass
class Report:
    """What a check has found.

    Args:
        classes: the classes; None where classes.json cannot be read.
        splits: what every split holds, by its name.
        problems: what prevents training or scoring: headings, each with one line for every file that it applies to.
        warnings: what is unwise, in the same form.
        rows: some images of every split, for `lixlib.data.contact_sheet.draw`.
    """

    classes: Classes | None
    splits: dict[str, Counts] = field(default_factory=dict)
    problems: dict[str, list[str]] = field(default_factory=dict)
    warnings: dict[str, list[str]] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)

    def fail(self, heading: str, *lines: str) -> None:
        """Add lines to the problems under a heading."""
        if lines:
            self.problems.setdefault(heading, []).extend(map(escaped, lines))

    def warn(self, heading: str, *lines: str) -> None:
        """Add lines to the warnings under a heading."""
        if lines:
            self.warnings.setdefault(heading, []).extend(map(escaped, lines))

    @contextmanager
    def noting(self, heading: str) -> Iterator[None]:
        """Add an error of the block to the problems, and continue after the block."""
        try:
            yield
        except (ValueError, OSError) as error:
            self.fail(heading, in_short(error))


def in_short(error: ValueError | OSError) -> str:
    """An error without the layout, which some tell in indented lines below."""
    return (told(error) if isinstance(error, OSError) else str(error)).partition("\n  ")[0]
