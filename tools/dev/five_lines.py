"""Write docs/five_lines.md, the page to print: the five lines at the end of every derivation, from the notebooks."""

import re
from pathlib import Path

import nbformat

from lixlib.core.files import write_atomically
from tools.dev.execute_notebooks import FOLDER

PAGE = FOLDER.parent / "docs" / "five_lines.md"
DERIVATIONS = ("01", "02", "03", "04", "05", "06")
FIVE_LINES = re.compile(
    r"five lines, to do alone tomorrow\W*\n\n((?:\d\. [^\n]+\n){4}\d\. [^\n]+)$(?!\n\d)", re.IGNORECASE | re.MULTILINE
)
FORMULA = re.compile(r"\$ *([^$\n]+?) *\$")  # GitHub and the site read one only without spaces at its edges
OPENING = """# In five lines

The six derivations, to do alone tomorrow. Print the page, close the notebooks, and take a sheet of paper. Cover all but
the first line of a chapter, and find each next one by your own hand. Where you stop, the chapter goes on.

*The lines end the notebooks 01 to 06; `make course` collects them.*
"""


def section(path: Path) -> str:
    """A chapter's title and its five lines.

    Raises:
        ValueError: the chapter has none, or not five.
    """
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]
    found = FIVE_LINES.findall("\n\n".join(cells))
    if len(found) != 1:
        wanted = '"In five lines, to do alone tomorrow", an empty line, and the lines numbered 1 to 5, once'
        raise ValueError(f"{path.name}: found {len(found)} times, expected {wanted}")
    title = cells[0].splitlines()[0].removeprefix("# ")
    lines = FORMULA.sub(r"$\1$", found[0])
    return f"## {path.name[:2]} [{title}](../notebooks/{path.name})\n\n{lines}\n"


def page(folder: Path = FOLDER) -> str:
    """The whole page; ValueError if a chapter has no five lines."""
    paths = sorted(path for path in folder.glob("[0-9]*.ipynb") if path.name.startswith(DERIVATIONS))
    return "\n".join([OPENING, *map(section, paths)])


def main() -> None:
    text = page()
    write_atomically(PAGE, lambda temporary: temporary.write_text(text, encoding="utf-8"))


if __name__ == "__main__":
    main()
