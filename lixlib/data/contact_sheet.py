"""A contact sheet: one picture of some images of a data set with their X and their labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from lixlib.core.sample import IGNORE
from lixlib.data.classes import Classes

CELL = 256  # pixels of the longer side of a picture
GAP, LINE, BLOCKS = 8, 22, 2  # pixels between pictures, pixels of a line of text, images beside one another
IGNORED, UNKNOWN = (0, 0, 0), (150, 30, 30)  # colours of what a label ignores, and where X is unknown


@dataclass
class Row:
    """One image of the sheet with its X and its label, at the size of a cell; None if a part could not be read.

    **Shapes**: label (H, W) uint8, 255 = ignored.
    """

    caption: str
    rgb: Image.Image | None
    x: Image.Image | None
    label: np.ndarray | None

    @classmethod
    def of(
        cls, caption: str, photo: Image.Image | None, x: Tensor | None, known: Tensor | None, label: np.ndarray | None
    ) -> "Row":
        """Make a row from files in their own size; the 1st and 99th percentile of X become black and white.

        **Shapes**: x (1 or 3, H, W); known, of the same shape, bool, False where X is unknown; label (H, W).
        """
        x = None if x is None else _fit(_stretch(x.numpy(), known.numpy()))
        label = None if label is None else np.asarray(_fit(Image.fromarray(label.astype(np.uint8)), nearest=True))
        return cls(caption, photo and _fit(photo), x, label)


def draw(rows: Sequence[Row], classes: Classes | None) -> Image.Image:
    """Draw the sheet: RGB, X and label of every row side by side, and a legend of the colours below."""
    heights = [max((part.height for part in (row.rgb, row.x) if part), default=CELL // 2) for row in rows]
    block, cell = 3 * (CELL + GAP) + 2 * GAP, max(heights, default=CELL) + LINE + GAP
    blocks = min(BLOCKS, max(1, len(rows)))
    font = ImageFont.load_default(0.65 * LINE)
    names = [] if classes is None else list(zip(classes.names, map(tuple, classes.colours.tolist()), strict=True))
    names += [("ignored", IGNORED), ("X unknown", UNKNOWN)]
    places, x, y = [], GAP, 0
    for name, _ in names:
        width = int(1.5 * LINE + font.getlength(name)) + GAP
        if x > GAP and x + width > blocks * block:
            x, y = GAP, y + LINE
        places.append((x, y))
        x += width
    top = -(-len(rows) // blocks) * cell + GAP
    sheet = Image.new("RGB", (blocks * block, top + y + LINE + GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for index, row in enumerate(rows):
        down, across = index // blocks * cell + GAP, index % blocks * block + GAP
        pen.text((across, down + LINE / 2), _shortened(row.caption, font, block - 2 * GAP), "black", font, anchor="lm")
        parts = (row.rgb, row.x, None if row.label is None else _coloured(row.label, classes))
        for number, (part, kind) in enumerate(zip(parts, ("RGB", "X", "label"), strict=True)):
            place = (across + number * (CELL + GAP), down + LINE)
            if part is None:
                pen.text((place[0] + CELL / 2, place[1] + LINE), f"no {kind}", (150, 150, 150), font, anchor="mm")
            else:
                sheet.paste(part, place)
    for (x, y), (name, colour) in zip(places, names, strict=True):
        pen.rectangle((x, top + y + 5, x + LINE - 10, top + y + LINE - 5), fill=colour, outline="gray")
        pen.text((x + LINE, top + y + LINE / 2), name, "black", font, anchor="lm")
    return sheet


def _fit(image: Image.Image, *, nearest: bool = False) -> Image.Image:
    scale = CELL / max(image.size)
    size = tuple(max(1, round(side * scale)) for side in image.size)
    return image.resize(size, Image.Resampling.NEAREST if nearest else Image.Resampling.BILINEAR)


def _stretch(x: np.ndarray, known: np.ndarray) -> Image.Image:
    low, high = np.percentile(x[known], (1, 99)) if known.any() else (0, 1)
    grey = (255 * ((x - low) / max(high - low, 1e-6)).clip(0, 1)).astype(np.uint8)
    picture = np.moveaxis(np.broadcast_to(grey, (3, *grey.shape[1:])), 0, -1).copy()
    picture[~known.all(0)] = UNKNOWN
    return Image.fromarray(picture)


def _coloured(label: np.ndarray, classes: Classes | None) -> Image.Image:
    table = np.full((256, 3), IGNORED, np.uint8)
    if classes is not None:
        table[: len(classes)] = classes.colours
    table[IGNORE] = IGNORED
    return Image.fromarray(table[label])


def _shortened(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    while font.getlength(text) > width:
        text = text.removesuffix("...")[:-1] + "..."
    return text
