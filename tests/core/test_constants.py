"""The ignored label is written down once."""

import ast
from pathlib import Path

import pytest

import lixlib
from lixlib.core.constants import IGNORE

PACKAGE = Path(lixlib.__file__).parent


def ignored_labels(source: str) -> list[int]:
    """Lines that hold the label as a number: a default or an argument named ignore_index, or one side of == or !=."""
    found = []
    for node in ast.walk(ast.parse(source)):
        values: list[ast.expr | None] = []
        if isinstance(node, ast.arguments):
            plain = [*node.posonlyargs, *node.args]
            pairs = [*zip(plain[len(plain) - len(node.defaults) :], node.defaults, strict=True)]
            pairs += zip(node.kwonlyargs, node.kw_defaults, strict=True)
            values = [value for name, value in pairs if name.arg == "ignore_index"]
        elif isinstance(node, ast.keyword) and node.arg == "ignore_index":
            values = [node.value]
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq):
            values = [node.left, *node.comparators]
        found += [value.lineno for value in values if isinstance(value, ast.Constant) and value.value == IGNORE]
    return found


@pytest.mark.parametrize("code", ["def f(*, ignore_index=255): 0", "f(ignore_index=255)", "x = label != 255"])
def test_the_label_as_a_number_is_found(code):
    assert ignored_labels(code) == [1]
    assert not ignored_labels(code.replace("255", "IGNORE"))


def test_the_ignored_label_is_a_number_in_one_place():
    files = {path.relative_to(PACKAGE): ignored_labels(path.read_text("utf-8")) for path in PACKAGE.rglob("*.py")}
    assert not {str(path): lines for path, lines in files.items() if lines}
