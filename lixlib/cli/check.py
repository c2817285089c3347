"""`lix check`: check a data set before training on it."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro
from PIL.PngImagePlugin import PngInfo

from lixlib.cli.app import app
from lixlib.cli.photographs import is_result, say
from lixlib.core.files import make_folder, write_atomically
from lixlib.core.sample import IGNORE
from lixlib.core.text import escaped
from lixlib.data import checking, contact_sheet

SHOWN = 5  # examples of every problem and warning
SOFTWARE = "lix check"  # marks the PNG files that this command has written, and may replace


@app.command
def check(
    root: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DIR")],
    dataset: str = "folder",
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None,
) -> None:
    """Read every file of a data set, count its classes, and say what is wrong or unwise.

    A contact sheet shows some images of every split with their X and their labels. The exit code is 0 if the data set
    can be trained on, and 1 if it has problems; warnings do not change it.

    Example: lix check my_data --out sheet.png

    Args:
        root: Folder of the data set; docs/data_of_your_own.md describes it.
        dataset: Name of its layout: folder, for a data set of your own, or potholes, camvid, nyuv2, vkitti2, kitti,
            nuimages or cityscapes.
        out: PNG file for the contact sheet; by default check_NAME.png in the current folder, with the name of DIR.
    """
    out = out or Path(f"check_{root.resolve().name}.png")
    if out.suffix.lower() != ".png":
        raise ValueError(f"--out {escaped(out)} must be a file whose name ends in .png")
    make_folder(out.parent)
    if out.exists() and not is_result(out, SOFTWARE):
        raise ValueError(
            f"{escaped(out)} is there and no contact sheet of `lix check`: move it away, or give another --out"
        )
    report = checking.check(root, dataset)
    for text in (_counts(report), *_findings("problem", report.problems), *_findings("warning", report.warnings)):
        say(text, sys.stdout)
    if report.rows:
        info = PngInfo()
        info.add_text("Software", SOFTWARE)
        sheet = contact_sheet.draw(report.rows, report.classes)
        write_atomically(out, partial(sheet.save, format="PNG", pnginfo=info))
        say(f"contact sheet: {escaped(out.resolve())}", sys.stdout)
    unwise = sum(map(len, report.warnings.values()))
    if report.problems:
        wrong = sum(map(len, report.problems.values()))
        say(
            f"{escaped(root)} cannot be trained on as it is: {_number(wrong, 'problem')}, {_number(unwise, 'warning')}",
            sys.stdout,
        )
        raise SystemExit(1)
    say(f"{escaped(root)} can be trained on: no problems, {_number(unwise, 'warning')}", sys.stdout)


def _counts(report: checking.Report) -> str:
    """The contents of every split, and for each class its share of the labelled pixels and the images that show it."""
    lines = [
        f"{escaped(split)}: {counts.images} images, {counts.with_label} with a label, {counts.with_x} with X"
        for split, counts in report.splits.items()
    ]
    labelled = {split: counts for split, counts in report.splits.items() if counts.with_label}
    if report.classes is None or not labelled:
        return "\n".join(lines)
    first = max(map(len, report.classes.names))
    lines += ["", f"{'':{first}}" + "".join(f"  {escaped(split) + ': pixels':>14} {'images':>7}" for split in labelled)]
    for index, name in enumerate(report.classes.names):
        cells = (
            f"  {counts.pixels[index] / max(1, counts.pixels[:IGNORE].sum()):>14.2%} {counts.images_with[index]:>7}"
            for counts in labelled.values()
        )
        lines.append(f"{name:{first}}" + "".join(cells))
    return "\n".join(lines)


def _findings(kind: str, groups: dict[str, list[str]]) -> list[str]:
    """One paragraph for every heading, with the number of its lines and some of them."""
    paragraphs = []
    for heading, lines in groups.items():
        more = [f"    and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
        paragraphs.append(
            "\n".join(["", f"{kind}: {heading} ({len(lines)})", *(f"    {line}" for line in lines[:SHOWN]), *more])
        )
    return paragraphs


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
