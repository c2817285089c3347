"""The code of a chapter, for tests: its own definitions, its exercises, and its demos."""

import ast
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

import nbformat

from tools.dev.demo_page import needed
from tools.dev.execute_notebooks import FOLDER, notebook_files

NUMBER = re.compile(r"^\*\*Exercise (\d\d\.\d+)\*\*", re.MULTILINE)
SOLUTION = re.compile(r"<summary>Solution</summary>.*?^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
CLOSE = "__import__('matplotlib.pyplot').pyplot.close('all')"
KEPT = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class Stub:
    """An exercise as a learner finds it, and the solution that is folded below it, as code."""

    chapter: str
    number: str
    stub: str
    checked: str
    solution: str | None


def definitions(chapter: str) -> dict:
    """Every function and class that a chapter defines, e.g. of "01_dkd_gradient"; nothing else of it is run."""
    return dict(_definitions(chapter))


@cache
def _definitions(chapter: str) -> dict:
    namespace: dict = {"__name__": chapter}
    for cell in cells_of(chapter):
        if cell.cell_type == "code":
            run(cell.source, namespace)
    return namespace


def run(source: str, namespace: dict) -> None:
    """Execute the imports and definitions of a cell, and leave out its other statements.

    A definition that needs a value of the notebook (a demo's default, say) is left out too.
    """
    for node in ast.parse(source).body:
        if isinstance(node, KEPT):
            with suppress(NameError):
                exec(compile(ast.Module([node], []), namespace["__name__"], "exec"), namespace)


def exercises() -> list[Stub]:
    """The exercises of all chapters: the stub is the next cell of code, the checker the one after it."""
    found = []
    for chapter in (path.stem for path in notebook_files()):
        cells = cells_of(chapter)
        for place, cell in enumerate(cells):
            if cell.cell_type == "markdown" and NUMBER.search(cell.source):
                found.append(_stub(chapter, NUMBER.search(cell.source)[1], cells[place + 1 :]))
    return found


def _stub(chapter: str, number: str, after: list) -> Stub:
    code = [cell.source for cell in after if cell.cell_type == "code"]
    # before the next exercise begins
    end = next((i for i, cell in enumerate(after) if cell.cell_type == "markdown" and NUMBER.search(cell.source)), None)
    solutions = [SOLUTION.search(cell.source) for cell in after[:end] if cell.cell_type == "markdown"]
    return Stub(chapter, number, *code[:2], next((match[1] for match in solutions if match), None))


def cells_of(chapter: str) -> list:
    return nbformat.read(FOLDER / f"{chapter}.ipynb", as_version=4).cells


def demo_cells(notebook: nbformat.NotebookNode) -> list[int]:
    """Indices of the code cells that call `explore`."""
    return [i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code" and calls_explore(cell.source)]


def calls_explore(source: str) -> bool:
    calls = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return any(getattr(function, "id", getattr(function, "attr", None)) == "explore" for function in calls)


def demos_alone(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Every demo in a cell of its own, and what it needs of the cells before it in another one, which shows nothing.

    Prose, editors, other pictures and other computations would take the browser and the kernel longer than the demos.
    """
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    sources: list[str] = []
    done: set[int] = set()
    for demo in filter(lambda i: calls_explore(code[i]), range(len(code))):
        before = [i for i in needed(code, demo) if i != demo and i not in done]
        sources += ["\n".join(line for i in before for line in (code[i], CLOSE)), code[demo]]
        done.update(before)
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    return nbformat.v4.new_notebook(cells=cells, metadata=notebook.metadata)
