"""The chapters of the course and what each needs: the one place that says so, for the graph and for the tests."""

from dataclasses import dataclass
from functools import cached_property

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lixlib.plots.base import new_figure, style

# The parts of the course and their colours, those of Okabe and Ito, light enough for black words
PARTS = {
    "start": "#F0E442",
    "derive the loss": "#56B4E9",
    "networks and data": "#9FD8C3",
    "train and compare": "#E9A87C",
    "look further": "#E3B5D0",
}


@dataclass(frozen=True)
class Chapter:
    """A notebook: its file without the ending, its short name, its part, the numbers of those that it needs.

    `row` is its height in the graph; its distance from the left follows from what it needs.
    """

    stem: str
    name: str
    part: str
    needs: tuple[str, ...]
    row: float

    @property
    def number(self) -> str:
        return self.stem[:2]

    @cached_property
    def column(self) -> int:
        """The longest way to it: 0 for the chapter that needs none."""
        return max((1 + BY_NUMBER[needed].column for needed in self.needs), default=0)

    @cached_property
    def needs_directly(self) -> tuple[str, ...]:
        """What it needs, without what the others of these need themselves: 06 needs 05, and 05 needs 04."""
        others = {again for needed in self.needs for again in BY_NUMBER[needed].needs}
        return tuple(needed for needed in self.needs if needed not in others)


CHAPTERS = (
    Chapter("00_start_here", "start here", "start", (), 2),
    Chapter("01_dkd_gradient", "gradient\nof DKD", "derive the loss", ("00",), 4),
    Chapter("02_dynamic_weight_controller", "weight\ncontroller", "derive the loss", ("01",), 4),
    Chapter("03_dwld_loss", "DWLD", "derive the loss", ("01", "02"), 4),
    Chapter("04_kernel_recalibration", "kernels", "derive the loss", ("00",), 1),
    Chapter("05_cka", "CKA", "derive the loss", ("04",), 1),
    Chapter("06_arfd_loss", "ARFD", "derive the loss", ("04", "05"), 1),
    Chapter("07_networks", "networks", "networks and data", ("00",), 0),
    Chapter("08_data", "data", "networks and data", ("07",), 0),
    Chapter("09_distillation_run", "the main\njob", "train and compare", ("00",), 2),
    Chapter("10_comparison", "which\nmethod wins", "train and compare", ("09",), 2),
    Chapter("11_ablation_logit", "ablations:\nlogits", "train and compare", ("02", "10"), 3.35),
    Chapter("12_ablation_feature", "ablations:\nfeatures", "train and compare", ("06", "10"), 1),
    Chapter("13_looking_inside", "looking\ninside", "look further", ("10",), 2.7),
    Chapter("14_beyond_the_paper", "beyond\nthe paper", "look further", ("08", "10"), 0),
    Chapter("15_gpu_run", "a full run", "look further", ("09", "10"), 2),
)
BY_NUMBER = {chapter.number: chapter for chapter in CHAPTERS}


def chapter_graph(here: str = "00", *, width: float = 9.5) -> Figure:
    """The chapters as boxes in the colour of their part, with an arrow from each to those that need it.

    An arrow is left out where two others lead there.

    Args:
        here: the number of the chapter whose box has a thick edge.
        width: of the figure, in inches.

    Raises:
        ValueError: no chapter has that number.
    """
    if here not in BY_NUMBER:
        raise ValueError(f"chapter is {here!r}: give one of {', '.join(BY_NUMBER)}")
    with style():
        figure = new_figure(figsize=(width, 0.4 * width))
        ax = figure.add_subplot()
        ax.set(xlim=(-0.45, 4.5), ylim=(-0.4, 4.4))
        ax.axis("off")
        boxes = {}
        for number, chapter in BY_NUMBER.items():
            edge = {"ec": "black", "lw": 2.5} if number == here else {"ec": "#777777", "lw": 0.8}
            look = {"boxstyle": "round,pad=0.35", "fc": PARTS[chapter.part]} | edge
            words = f"{number} {chapter.name}"
            text = ax.text(chapter.column, chapter.row, words, ha="center", va="center", fontsize=9, bbox=look)
            boxes[number] = text.get_bbox_patch()
        for number, chapter in BY_NUMBER.items():
            for needed in map(BY_NUMBER.__getitem__, chapter.needs_directly):
                arrow = {"arrowstyle": "-|>", "color": "#777777", "lw": 1.1, "shrinkA": 0, "shrinkB": 2}
                arrow |= {"patchA": boxes[needed.number], "patchB": boxes[number]}
                ax.annotate("", (chapter.column, chapter.row), (needed.column, needed.row), arrowprops=arrow)
        marks = [Line2D([], [], marker="s", ls="", ms=9, color=colour, label=part) for part, colour in PARTS.items()]
        ax.legend(handles=marks, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=len(PARTS))
    return figure
