"""What every chapter promises its reader, read off the file without running it."""

import ast
import base64
import io
import json
import re
import statistics
import tokenize
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

from tools.dev.execute_notebooks import FOLDER, KEPT, in_few_colours, notebook_files, source_hash

HEADER = ("**You will learn**", "**Minutes**", "**Before**", "**After**", "**Paper**")
STOP = re.compile(r"^\*\*(Think|Demo|Exercise) (\d\d)\.(\d+)\*\*", re.MULTILINE)
LOOSE_STOP = re.compile(r"^[#*\s>-]*(?:Think|Demo|Exercise)!? \d+[.]\d+", re.MULTILINE)
MACHINE_PATH = re.compile(r"(?<![\w.:/~-])(?:/(?:home|root|work|tmp|Users|var)/|[A-Z]:\\)\S*")
LINK = re.compile(r"(?<!\\)\]\(([^)\s]+)\)|<(?:img|a)\s[^>]*(?:src|href)=\"([^\"]+)\"")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
FORMULA = re.compile(r"\$\$.*?\$\$|\$[^$\n]+\$", re.DOTALL)
PICTURE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
ANSWER = re.compile(r"<details>.*?</details>", re.DOTALL)
MEBIBYTE = 2**20
FOLDED = {"source_hidden": True}  # JupyterLab shows such code on a click


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def cells(notebook, kind):
    return [cell for cell in notebook.cells if cell.cell_type == kind]


def prose(notebook):
    return "\n\n".join(cell.source for cell in cells(notebook, "markdown"))


def test_the_chapters_are_there():
    names = {path.name for path in notebook_files()}
    assert {"00_start_here.ipynb", "09_distillation_run.ipynb"} <= names
    assert {path.name for path in FOLDER.glob("*.ipynb")} == names, "a chapter's name starts with its number"


@pytest.fixture(params=[path.name for path in notebook_files()])
def path(request):
    return FOLDER / request.param


@pytest.fixture
def notebook(path):
    return read(path)


def test_file_is_valid_and_small(path, notebook):
    nbformat.validate(notebook)
    assert path.stat().st_size <= 1.5 * MEBIBYTE


def test_first_cell_tells_what_why_and_how_long(notebook):
    first = notebook.cells[0]
    assert first.cell_type == "markdown"
    lines = first.source.splitlines()
    assert re.match(r"# \S", lines[0]), "the first line is the title"
    for mark in HEADER:
        assert sum(line.startswith(mark) for line in lines) == 1, f"one line of the first cell starts with {mark}"
    (minutes,) = (line for line in lines if line.startswith("**Minutes**"))
    assert re.search(r"\d", minutes)


def test_length_and_balance(path, notebook):
    code, markdown = cells(notebook, "code"), cells(notebook, "markdown")
    lengths = [sum(bool(line.strip()) for line in cell.source.splitlines()) for cell in code]
    assert 35 <= len(notebook.cells) <= 100
    assert all(lengths), "an empty code cell"
    assert max(lengths) <= 30
    visible = [cell for cell in code if "jupyter" not in cell.metadata]
    lines = [length for cell, length in zip(code, lengths, strict=True) if cell in visible]
    assert statistics.median(lines) <= 6
    assert len(markdown) >= len(visible)
    words = len(FENCE.sub("", prose(notebook)).split())
    assert words > sum(len(cell.source.split()) for cell in visible), "more prose than visible code"
    # What is read without a click: a formula counts as one word, a picture as none
    text = PICTURE.sub("", ANSWER.sub("", FORMULA.sub("formula", FENCE.sub("", prose(notebook)))))
    assert len(text.split()) <= 2600


def test_every_picture_has_its_words_and_no_line_is_cut(notebook):
    for cell in cells(notebook, "code"):
        if any("image/png" in output.get("data", {}) for output in cell.outputs):
            assert len(cell.metadata.get("alt", "").split()) >= 6, cell.source
        assert max(map(len, cell.source.splitlines())) <= 90, cell.source


def test_parameters_are_typed_and_explained(notebook):
    (cell,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    assert cell.cell_type == "code"
    tokens = tokenize.generate_tokens(io.StringIO(cell.source).readline)
    commented = {token.start[0] for token in tokens if token.type == tokenize.COMMENT and token.line.strip()[0] != "#"}
    statements = ast.parse(cell.source).body
    for statement in statements:
        assert isinstance(statement, ast.AnnAssign) and statement.value is not None, f"line {statement.lineno}"
        assert statement.end_lineno in commented, f"line {statement.lineno} ends without a comment"
    assert "quick: bool = False" in [ast.unparse(statement) for statement in statements]


def test_outputs_are_committed_and_belong_to_this_code(notebook):
    counts = [cell.execution_count for cell in cells(notebook, "code")]
    assert counts == list(range(1, len(counts) + 1)), "run `make notebooks`"
    assert notebook.metadata.get("lix", {}).get("sources") == source_hash(notebook), "run `make notebooks`"
    errors = [output.ename for cell in cells(notebook, "code") for output in cell.outputs if "ename" in output]
    assert not errors


def test_metadata_names_no_machine(notebook):
    assert set(notebook.metadata) == {"kernelspec", "language_info", "lix"}, "run `make notebooks`"
    assert notebook.metadata.kernelspec.name == "python3"
    for cell in notebook.cells:
        assert set(cell.metadata) <= set(KEPT), "run `make notebooks`"
        assert cell.metadata.get("jupyter", FOLDED) == FOLDED, "a cell is open, or its code is folded"


def test_no_path_of_a_machine(notebook):
    texts = [cell.source for cell in notebook.cells]
    for cell in cells(notebook, "code"):
        for output in cell.outputs:
            data = {kind: text for kind, text in output.get("data", {}).items() if not kind.startswith("image/")}
            texts += [json.dumps(data), output.get("text", "")]
    assert [found.group() for text in texts for found in MACHINE_PATH.finditer(text)] == []


def test_links_resolve(path, notebook):
    targets = [first or second for first, second in LINK.findall(FENCE.sub("", prose(notebook)))]
    local = [target.split("#")[0] for target in targets if not re.match(r"#|attachment:|data:|\w+://|mailto:", target)]
    assert [target for target in local if not (path.parent / target).exists()] == []


def test_stops_are_numbered_in_sequence(path, notebook):
    text = prose(notebook)
    stops = STOP.findall(text)
    assert stops, "no **Think NN.1**, **Demo NN.1** or **Exercise NN.1**"
    assert len(LOOSE_STOP.findall(text)) == len(stops), "a stop is written **Think NN.1** at the start of a line"
    for kind in ("Think", "Demo", "Exercise"):
        numbers = [(chapter, int(number)) for name, chapter, number in stops if name == kind]
        assert numbers == [(path.name[:2], index + 1) for index in range(len(numbers))], kind


@pytest.mark.parametrize(("kind", "smaller"), [("opaque", True), ("transparent", False), ("grey of 16 bits", False)])
def test_a_picture_that_would_lose_more_than_colours_is_kept(kind, smaller):
    numbers = np.random.default_rng(0).integers(0, 2**16, (60, 60, 4), dtype=np.uint16)
    pixels = numbers[..., 0] if kind == "grey of 16 bits" else (numbers % 256).astype(np.uint8)
    if kind == "opaque":
        pixels[..., 3] = 255
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    picture = base64.b64encode(file.getvalue()).decode()
    assert (len(in_few_colours(picture)) < len(picture)) == smaller
