"""How a browser test moves what is no ordinary control: the points of a `Touch`, and a button that takes a file."""

import io
from collections.abc import Callable

from PIL import Image
from playwright.sync_api import Locator

INSET = 3  # pixels from the picture's edge, to hit it and not its neighbour


def positions(touch: Locator) -> list[tuple[str, Callable[[], None]]]:
    """A click at each corner, and each point dragged to two of them: names, and functions that do it."""
    box = touch.bounding_box()
    right, bottom = box["width"] - INSET, box["height"] - INSET
    corners = {"upper left": (INSET, INSET), "upper right": (right, INSET)}
    corners |= {"lower right": (right, bottom), "lower left": (INSET, bottom)}

    def click(corner: str) -> None:
        x, y = corners[corner]
        touch.click(position={"x": x, "y": y})

    def drag(which: int, corner: str) -> None:
        mouse = touch.page.mouse
        ring = touch.locator(".lix-touch-point").nth(which).bounding_box()
        here, (x, y) = touch.bounding_box(), corners[corner]
        mouse.move(ring["x"] + ring["width"] / 2, ring["y"] + ring["height"] / 2)
        mouse.down()
        mouse.move(here["x"] + x, here["y"] + y, steps=4)
        mouse.up()

    clicks = [(f"a click at the {corner}", lambda corner=corner: click(corner)) for corner in corners]
    points = range(touch.locator(".lix-touch-point").count())
    drags = [(which, corner) for corner in ("upper left", "lower right") for which in points]
    return clicks + [(f"point {w + 1} dragged to the {c}", lambda w=w, c=c: drag(w, c)) for w, c in drags]


def uploads(button: Locator) -> list[tuple[str, Callable[[], None]]]:
    """A photograph that is all grey, and a text that is none."""
    picture = io.BytesIO()
    Image.new("L", (40, 30), 90).save(picture, "PNG")
    files = [("grey.png", "image/png", picture.getvalue()), ("notes.txt", "text/plain", b"no photograph")]

    def give(name: str, kind: str, content: bytes) -> None:
        with button.page.expect_file_chooser() as chooser:
            button.click()
        chooser.value.set_files({"name": name, "mimeType": kind, "buffer": content})

    return [(name, lambda file=(name, kind, content): give(*file)) for name, kind, content in files]
