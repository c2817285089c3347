"""Film the demos of the notebooks into docs/loops/, as short animated pictures; `make course`, or name the loops.

A film is drawn by the notebook's own function: the cells up to the demo are run, and the function that the demo gives
to `explore` is called once for every frame.
"""

import io
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any
from unittest.mock import patch

import nbformat
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from lixlib.core.files import write_atomically
from tools.dev.execute_notebooks import FOLDER

LOOPS = FOLDER.parent / "docs" / "loops"
WIDTH = 760  # pixels
COLOURS = 160  # of a film: few, so that it stays small
Frames = list[tuple[dict[str, Any], int]]


@dataclass(frozen=True)
class Loop:
    """A film of a demo.

    Args:
        chapter: the notebook's name.
        demo: the function that the notebook gives to `explore`.
        frames: the settings of every frame, and how many milliseconds it stays.
        typed: the setting that a reader would type; its text stands above the picture.
    """

    chapter: str
    demo: str
    frames: Frames
    typed: str | None = None


def spiral() -> Frames:
    """Forty points find the teacher's shape; then the turn is taken back."""
    steps = [*range(1, 12), *range(12, 40, 2), *range(40, 101, 5)]
    walk: Frames = [({"step": step}, 110) for step in steps]
    return [({"step": 0}, 1200), *walk, ({"step": 200}, 1200), ({"step": 200, "turned_back": True}, 2200)]


def beaten_loss() -> Frames:
    """A student leaves its teacher and the loss pays for it; then the tangent is subtracted, and it stays."""
    weights = {"road": 1.0, "car": 1.0, "person": 10.0}
    walk: Frames = [({**weights, "updates": step}, 130) for step in [*range(1, 20), *range(20, 61, 4)]]
    honest: Frames = [({**weights, "updates": step, "divergence": "bregman"}, 200) for step in (0, 20, 40, 60)]
    start: Frames = [({**weights, "updates": 0, "new_game": True}, 1000)]
    return [*start, *walk[:-1], (walk[-1][0], 1500), *honest[:-1], (honest[-1][0], 1800)]


def noise() -> Frames:
    """Four rows of noise become a regular tetrahedron as their columns grow."""
    widths = [2, 4, 8, 16, 32, 64, 128, 256, 512]
    shown: Frames = [({"columns": float(width), "draw": draw}, 400) for width in widths for draw in (0, 1)]
    return [*shown[:-1], (shown[-1][0], 1800)]


def disguise() -> Frames:
    """Channels trade places and nothing stirs but the numbers; then positions do."""
    moved = range(0, 65, 4)
    channels: Frames = [({"channels": count}, 150) for count in moved]
    positions: Frames = [({"positions": count}, 150) for count in moved]
    return [(channels[0][0], 900), *channels[1:-1], (channels[-1][0], 1800), *positions[:-1], (positions[-1][0], 1500)]


def paint() -> Frames:
    """A car is painted on the road and fades again: the students see a car come, the teacher sees road."""
    shown: Frames = [({"paint": step / 10}, 350) for step in range(11)]
    return [(shown[0][0], 1200), *shown[1:-1], (shown[-1][0], 2500), *reversed(shown[1:-1])]


MODEL = """\
def conv(a, b, stride=2):
    return nn.Conv2d(a, b, 3, stride, padding=1)

class Mine(nn.Module):
    def __init__(self):
        super().__init__()
        self.rgb1, self.rgb2, self.rgb3 = conv(3, 16), conv(16, 32), conv(32, 64)
        self.x1, self.x2, self.x3 = conv(1, 8), conv(8, 16), conv(16, 32)
        self.head = nn.Conv2d(96, 13, 1)

    def forward(self, rgb, x):
        rgb, x = self.rgb1(rgb), self.x1(x)
        rgb, x = self.rgb2(rgb), self.x2(x)
        rgb, x = self.rgb3(rgb), self.x3(x)
        return self.head(torch.cat([rgb, x], 1))
"""


def dye() -> Frames:
    """Two encoders that meet at the end; then widths, a stride, and how and where they meet are changed."""
    x = "conv(1, 8), conv(8, 16), conv(16, 32)"
    thin = [MODEL.replace(x, f"conv(1, {c}), conv({c}, {2 * c}), conv({2 * c}, {4 * c})") for c in (1, 2, 4)]
    narrow = [code.replace("Conv2d(96", f"Conv2d({64 + 4 * c}") for c, code in zip((1, 2, 4), thin, strict=True)]
    finer = MODEL.replace("conv(32, 64)", "conv(32, 64, 1)").replace("conv(16, 32)\n", "conv(16, 32, 1)\n")
    added = MODEL.replace("torch.cat([rgb, x], 1)", "rgb + x").replace("nn.Conv2d(96", "nn.Conv2d(64")
    as_wide = added.replace(x, "conv(1, 16), conv(16, 32), conv(32, 64)")
    twice = as_wide.replace("self.rgb3(rgb)", "self.rgb3(rgb + x)")
    each = twice.replace("self.rgb2(rgb)", "self.rgb2(rgb + x)")
    early = """\
        rgb = self.rgb1(torch.cat([rgb, x], 1))
        rgb = self.rgb2(rgb)
        rgb = self.rgb3(rgb)
        return self.head(rgb)
"""
    start, _, _ = as_wide.replace("conv(3, 16)", "conv(4, 16)").partition("        rgb, x = ")
    first = "".join(line for line in start.splitlines(keepends=True) if "self.x1" not in line) + early
    shown = [(narrow[0], 2500), *((code, 700) for code in narrow[1:]), (MODEL, 1500), (finer, 1800), (MODEL, 900)]
    shown += [(added, 2400), (as_wide, 1800), (twice, 1200), (each, 1800), (first, 2500)]
    return [({"yours": code}, milliseconds) for code, milliseconds in shown]


FILMS = {
    "paint": Loop("00_start_here", "fade", paint()),
    "spiral": Loop("05_cka", "follow", spiral()),
    "beaten_loss": Loop("03_dwld_loss", "beat", beaten_loss()),
    "noise": Loop("05_cka", "noise_shapes", noise()),
    "disguise": Loop("06_arfd_loss", "disguise", disguise()),
    "dye": Loop("07_networks", "dyed", dye(), typed="yours"),
}


def demos_of(chapter: str, wanted: set[str]) -> dict[str, Callable[..., Any]]:
    """Functions that a notebook gives to `explore`; its cells are run, quickly, until all have been given.

    Raises:
        ValueError: the notebook gives no such function.
    """
    found: dict[str, Callable[..., Any]] = {}

    def explore(function: Callable[..., Any], **controls: Any) -> None:
        found[function.__name__] = function

    namespace: dict[str, Any] = {"__name__": chapter}
    with patch("lixlib.course.explore.explore", explore), chdir(FOLDER), redirect_stdout(io.StringIO()):
        for cell in nbformat.read(f"{chapter}.ipynb", as_version=4).cells:
            if cell.cell_type == "code":
                exec(compile(cell.source, chapter, "exec"), namespace)
                plt.close("all")
            if "parameters" in cell.metadata.get("tags", []):
                namespace["quick"] = True
            if wanted <= set(found):
                return found
    raise ValueError(f"{chapter}: no explore({', '.join(sorted(wanted - set(found)))}, ...)")


def pictures(demo: Callable[..., Any], loop: Loop) -> Iterator[Image.Image]:
    """Every frame as the notebook would show it, below what is typed for it; all of one size."""
    texts = [str(settings[loop.typed]).splitlines() for settings, _ in loop.frames] if loop.typed else []
    for place, (settings, _) in enumerate(loop.frames):
        shown = image_of(demo(**settings))
        if texts:
            text = typed(texts[place], texts[place - 1] if place else texts[0], max(map(len, texts)))
            both = Image.new("RGB", (WIDTH, text.height + shown.height))
            both.paste(text)
            both.paste(shown, (0, text.height))
            shown = both
        yield shown


def typed(lines: list[str], before: list[str], room: int) -> Image.Image:
    """Lines of code, those that were not there before in colour."""
    figure = plt.figure(figsize=(10, 0.2 * (room + 1)), layout="none")
    for place, line in enumerate(lines):
        colour = "#333333" if line in before else "#D55E00"
        height = 1 - (place + 1) / (room + 1)
        figure.text(0.02, height, line, family="monospace", size=10, color=colour, va="center")
    return image_of(figure)


def image_of(figure: Figure) -> Image.Image:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=WIDTH / figure.get_size_inches()[0], facecolor="white")
    plt.close(figure)
    return Image.open(buffer).convert("RGB")


def film(loop: Loop, demo: Callable[..., Any]) -> bytes:
    """The loop as an animated WebP, with few colours, the same in every frame."""
    shown = list(pictures(demo, loop))
    some = shown[:: max(1, len(shown) // 6)]
    sheet = Image.new("RGB", (some[0].width, some[0].height * len(some)))
    for place, picture in enumerate(some):
        sheet.paste(picture, (0, place * picture.height))
    palette = sheet.quantize(COLOURS)
    few = [each.quantize(palette=palette, dither=Image.Dither.NONE).convert("RGB") for each in shown]
    first, *others = [each.point(lambda value: 255 if value > 250 else value) for each in few]  # white stays white
    durations, buffer = [milliseconds for _, milliseconds in loop.frames], io.BytesIO()
    options = {"duration": durations, "loop": 0, "lossless": True, "method": 4}
    first.save(buffer, "WEBP", save_all=True, append_images=others, **options)
    return buffer.getvalue()


def films_of(chapter: str, names: list[str]) -> dict[str, bytes]:
    """The films that a chapter's demos give, by name."""
    demos = demos_of(chapter, {FILMS[name].demo for name in names})
    return {name: film(FILMS[name], demos[FILMS[name].demo]) for name in names}


def main() -> None:
    os.environ["LIX_HEADLESS"] = "1"
    names = sys.argv[1:] or list(FILMS)
    LOOPS.mkdir(exist_ok=True)
    # A notebook changes the defaults of torch, so each has a process of its own
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        for chapter in dict.fromkeys(FILMS[name].chapter for name in names):
            chosen = [name for name in names if FILMS[name].chapter == chapter]
            for name, content in pool.submit(films_of, chapter, chosen).result().items():
                path = LOOPS / f"{name}.webp"
                write_atomically(path, lambda temporary, content=content: temporary.write_bytes(content))
                print(f"{path.name}: {len(FILMS[name].frames)} frames, {len(content) / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
