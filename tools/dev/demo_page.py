"""`make explore`: the demos of all chapters on one page, by Voila on 127.0.0.1, made from the chapters' own cells.

The page has a button for each demo. It runs those cells of the chapter that the demo needs, then the demo itself.
Some demos show a training, which has to be done first: the page says which they are.
"""

import builtins
import json
import os
import re
import subprocess
import symtable
import sys
import tempfile
import types
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import ipywidgets
import nbformat
from IPython.display import display
from IPython.utils.capture import capture_output
from matplotlib import pyplot as plt

from tools.dev.execute_notebooks import FOLDER, notebook_files

MARK = re.compile(r"^\*\*Demo (\d\d\.\d+)\*\* *(.*?)\s*\Z", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[([^]]+)\]\((?!\w+://)[^)]*\)")  # to another chapter, which is not on this page
# `name[...] = `, `name.part += ` and `name.append(...)`, which change what `name` is
CHANGED = re.compile(
    r"^(\w+)(?:\[[^]]*\]|\.\w+)+ *[-+|*]?=(?!=)|^(\w+)\.(?:append|update|load_state_dict|eval|train|step)\(",
    re.MULTILINE,
)
ROOT = FOLDER.parent
# Voila's template names style sheets on another host: the page may fetch nothing from there.
POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; connect-src 'self' ws://127.0.0.1:*"
# `student = run(recipe)` and the like, outside of the functions that a chapter calls only when it is asked to
TRAINING = re.compile(r"^\w+ = (?:run|follow)\(", re.MULTILINE)
HEAD = """# The demos of LIX

Each button runs what a demo needs of its chapter, then shows the demo. The first one of a chapter takes some seconds. \
Everything is computed on this computer.

Too heavy to try in passing: {heavy}. They train networks for minutes before they show anything; trainings that are \
already in the folder of runs are not repeated."""


@dataclass(frozen=True)
class Demo:
    """A demo of a chapter: its number, its words, and the index of its cell among the chapter's cells of code."""

    chapter: str
    number: str
    words: str
    cell: int


@cache
def demos() -> list[Demo]:
    """All demos, in reading order."""
    found = []
    for path in notebook_files():
        number, code = None, 0
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown" and (mark := MARK.search(cell.source)):
                number, words = mark.groups()
            elif cell.cell_type == "code":
                if number and calls_explore(cell.source):
                    found.append(Demo(path.stem, number, LINK.sub(r"\1", words), code))
                    number = None
                code += 1
    return found


def calls_explore(source: str) -> bool:
    return re.search(r"^[ \t]*explore\(", source, re.MULTILINE) is not None


@cache
def sources(chapter: str) -> list[str]:
    cells = nbformat.read(FOLDER / f"{chapter}.ipynb", as_version=4).cells
    return [cell.source for cell in cells if cell.cell_type == "code"]


@cache
def names(source: str) -> tuple[frozenset[str], frozenset[str]]:
    """The global names that a cell binds or changes, and those that it reads, in its functions too."""
    top = symtable.symtable(source, "cell", "exec")
    bound = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    read = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_referenced()}
    inner = list(top.get_children())
    while inner:
        scope = inner.pop()
        inner.extend(scope.get_children())
        outer = [symbol for symbol in scope.get_symbols() if symbol.is_global()]
        read |= {symbol.get_name() for symbol in outer}
        bound |= {symbol.get_name() for symbol in outer if symbol.is_assigned()}  # `(name := ...)` in a comprehension
    return frozenset(bound | {name for pair in CHANGED.findall(source) for name in pair if name}), frozenset(read)


def needed(cells: list[str], last: int) -> list[int]:
    """The cells before `last` that bind what it reads, what these read, and so on; and `last` itself."""
    chosen, wanted = {last}, set(names(cells[last])[1])
    while True:
        more = {i for i in range(last) if i not in chosen and names(cells[i])[0] & wanted}
        if not more:
            return sorted(chosen)
        chosen |= more
        wanted.update(*(names(cells[i])[1] for i in more))


def trains(demo: Demo) -> bool:
    """Whether a demo needs a training, which takes minutes."""
    cells = sources(demo.chapter)
    return any(TRAINING.search(cells[i]) for i in needed(cells, demo.cell))


def missing(cells: list[str], last: int) -> set[str]:
    """Names that a demo reads and that nothing before it binds."""
    chosen = needed(cells, last)
    bound = set().union(*(names(cells[i])[0] for i in chosen))
    return set().union(*(names(cells[i])[1] for i in chosen)) - bound - set(dir(builtins))


class Chapter:
    """A chapter's names, as far as its cells have been run."""

    def __init__(self, name: str):
        self.cells, self.done = sources(name), set()
        self.module = types.ModuleType(f"chapter_{name}")
        sys.modules[self.module.__name__] = self.module  # a dataclass looks its module up

    def show(self, demo: Demo) -> None:
        """Run what the demo needs without showing it, then the demo."""
        for index in needed(self.cells, demo.cell):
            if index == demo.cell:
                exec(self.cells[index], vars(self.module))
            elif index not in self.done:
                with capture_output():
                    exec(self.cells[index], vars(self.module))
                    plt.close("all")
                self.done.add(index)


chapter = cache(Chapter)


def button(number: str) -> None:
    """A button that opens a demo below itself."""
    (demo,) = (demo for demo in demos() if demo.number == number)
    told = f"Open demo {number}" + ", after minutes of training" * trains(demo)
    opened, shown = ipywidgets.Button(description=told, layout={"width": "auto"}), ipywidgets.Output()

    def show(_: object) -> None:
        opened.disabled, opened.description = True, "Opening ..."
        with shown:
            os.chdir(FOLDER)  # paths in a chapter begin there
            chapter(demo.chapter).show(demo)
        opened.layout.display = "none"

    opened.on_click(show)
    display(opened, shown)


def page(chosen: list[Demo]) -> nbformat.NotebookNode:
    """A notebook with the words and the button of each demo."""
    start = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom tools.dev.demo_page import button"
    heavy = ", ".join(demo.number for demo in demos() if trains(demo))
    cells = [nbformat.v4.new_markdown_cell(HEAD.format(heavy=heavy)), nbformat.v4.new_code_cell(start)]
    for demo in chosen:
        cells.append(nbformat.v4.new_markdown_cell(f"---\n**Demo {demo.number}** {demo.words}"))
        cells.append(nbformat.v4.new_code_cell(f"button({demo.number!r})"))
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def serve(folder: Path, chosen: list[Demo], *options: str, **popen: object) -> subprocess.Popen:
    """Write the page into a folder and start its server, on this computer alone."""
    notebook = folder / "demos.ipynb"
    nbformat.write(page(chosen), notebook)
    voila = {"ip": "127.0.0.1", "tornado_settings": {"headers": {"Content-Security-Policy": POLICY}}}
    (folder / "voila.json").write_text(json.dumps({"Voila": voila, "VoilaConfiguration": {"show_tracebacks": True}}))
    command = [sys.executable, "-m", "voila", str(notebook), f"--Voila.config_file_paths={folder}", *options]
    return subprocess.Popen(command, cwd=ROOT, **popen)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = serve(Path(folder), demos())
        try:
            server.wait()
        except KeyboardInterrupt:
            server.wait()  # it had the same signal, and ends its kernels


if __name__ == "__main__":
    main()
