"""Draw the strips of orientation into notebooks/strips/ and put each chapter's below its opening; run it again freely.

A strip is a picture that Markdown shows, not the output of a cell: JupyterLab shows no SVG output of a notebook that
came from elsewhere until its cells have run.
"""

import json
import re
import sys
from pathlib import Path

from lixlib.core.files import write_atomically
from lixlib.course.orientation import PARTS, alt, orientation
from tools.dev.execute_notebooks import FOLDER, notebook_files

# The part of LIX that a chapter studies, by the chapter's number
CHAPTERS = {
    "00": "question",
    "01": "NCLD",
    "02": "W",
    "03": "DWLD",
    "04": "kernel",
    "05": "CKA",
    "06": "ARFD",
    "07": "networks",
    "08": "data",
    "09": "whole",
    "10": "losses",
    "11": "DWLD",
    "12": "ARFD",
    "13": "student",
    "14": "X",
    "15": "whole",
}
STRIP = re.compile(r"\n\n!\[[^\]\n]*\]\(strips/[^)\n]*\)")


def place(part: str) -> str:
    """A strip's file, seen from the notebooks' folder."""
    return f"strips/{part.lower()}.svg"


def with_strip(opening: str, part: str) -> str:
    """A chapter's first cell with the strip of its part at its end, and no other."""
    return f"{STRIP.sub('', opening).rstrip()}\n\n![{alt(part)}]({place(part)})"


def insert(path: Path) -> None:
    """Put the chapter's strip into its notebook; nothing else of the file changes, and no cell has to run again."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    opening = notebook["cells"][0]
    opening["source"] = with_strip("".join(opening["source"]), CHAPTERS[path.name[:2]]).splitlines(keepends=True)
    text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def draw(folder: Path) -> None:
    """Write the strip of every part."""
    for part in PARTS:
        path = folder / place(part)
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, lambda temporary, part=part: temporary.write_text(orientation(part), encoding="utf-8"))


def main() -> None:
    draw(FOLDER)
    for path in [Path(name).resolve() for name in sys.argv[1:]] or notebook_files():
        insert(path)


if __name__ == "__main__":
    main()
