"""A reader who opens no folded cell meets no value that only a folded cell defines."""

import ast

import pytest
from notebook_code import cells_of

CHAPTERS = ("01_dkd_gradient", "02_dynamic_weight_controller", "04_kernel_recalibration")
SCOPES = (ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def values(node: ast.AST) -> set[str]:
    """Names that get a value outside of functions and comprehensions; functions that draw are no values."""
    found = {node.id} if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) else set()
    return found.union(*(values(child) for child in ast.iter_child_nodes(node) if not isinstance(child, SCOPES)))


def own(tree: ast.AST) -> set[str]:
    """Every name that a cell itself binds: values, arguments, functions, loops."""
    nodes = list(ast.walk(tree))
    names = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    names |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    return names | {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def unseen(cells: list[tuple[str, bool]]) -> list[str]:
    """Names that a visible cell reads and only folded ones have set: cells as (source, folded)."""
    hidden: set[str] = set()
    seen: set[str] = set()
    found: list[str] = []
    for source, folded in cells:
        tree = ast.parse(source)
        if folded:
            hidden |= values(tree)
            continue
        reads = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
        found += sorted((reads & hidden) - own(tree) - seen)
        seen |= own(tree)
    return found


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_visible_cells_use_what_is_visible(chapter):
    code = [cell for cell in cells_of(chapter) if cell.cell_type == "code"]
    assert unseen([(cell.source, "jupyter" in cell.metadata) for cell in code]) == []


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([("a = 1", True), ("print(a)", False)], ["a"]),
        ([("with open(p) as f:\n    for a in f: pass", True), ("print(a)", False)], ["a"]),
        ([("a = 1", False), ("a = 2", True), ("print(a)", False)], []),
        ([("a = 1", True), ("def g(a): return a", False)], []),
        ([("def draw(): a = 1", True), ("draw()\nprint(a)", False)], []),
        ([("b = [a for a in c]", True), ("print(a)", False)], []),
    ],
)
def test_the_rule_notices_a_hidden_value(cells, expected):
    assert unseen(cells) == expected
