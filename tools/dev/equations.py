"""Write docs/equations.md, "Which line is Eq. (n)?", from the docstrings; --check only says if it is current.

A place is a docstring in lixlib/functional or lixlib/distillers that names an equation of the paper, in a module that
says "LIX Eq." or "LIX Eqs." somewhere: other modules mean the equations of other papers. The docstring of a whole
module counts only where nothing smaller names the equation.
"""

import ast
import re
import sys
from pathlib import Path
from typing import NamedTuple

from lixlib.core.files import write_atomically

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "equations.md"
FOLDERS = ("functional", "distillers")
# What the paper's equations say, and the notebook that teaches each
EQUATIONS = {
    1: ("knowledge distillation: KL(p^T ‖ p^S)", "01_dkd_gradient"),
    2: ("the target's term taken out of the sum", "01_dkd_gradient"),
    3: ("KL = TCLD + (1 - p_t^T) NCLD", "01_dkd_gradient"),
    4: ("DKD: alpha TCLD + beta NCLD", "01_dkd_gradient"),
    5: ("the gradient in the target's logit", "01_dkd_gradient"),
    6: ("the confidence c of a pixel", "02_dynamic_weight_controller"),
    7: ("the weights W, between their bounds", "02_dynamic_weight_controller"),
    8: ("what the controller sees: H = [P, c]", "02_dynamic_weight_controller"),
    9: ("DWLD: TCLD and a weight for every non-target logit", "03_dwld_loss"),
    10: ("masks: the target against the rest", "03_dwld_loss"),
    11: ("masks: the softmax without the target", "03_dwld_loss"),
    12: ("two feature maps brought to one shape", "04_kernel_recalibration"),
    13: ("the Gram matrix of a feature map", "04_kernel_recalibration"),
    14: ("the Laplace kernel", "04_kernel_recalibration"),
    15: ("HSIC", "05_cka"),
    16: ("CKA", "05_cka"),
    17: ("ARFD: 1 - CKA over the taps", "06_arfd_loss"),
    18: ("LIX: cross-entropy, logits and features together", "09_distillation_run"),
}
MENTION = re.compile(r"\bEqs?\. ((?:\(\d+\)(?:-|, | and )?)+)")
HEADER = """\
# Which line is Eq. (n)?

The numbers are those of the paper. This page is made from the docstrings by `python tools/dev/equations.py`, and a
test fails when it is older than they are.

| Eq. | what it says | line | taught in |
|---:|---|---|---|
"""


class Place(NamedTuple):
    """A line of a docstring, and whose docstring it is ("" for the module's own)."""

    path: Path
    line: int
    owner: str


def numbers(mention: str) -> list[int]:
    """The equations in "(2)", "(6)-(11)" or "(2), (10)-(11)"."""
    pairs = re.findall(r"\((\d+)\)(?:-\((\d+)\))?", mention)
    return [number for first, last in pairs for number in range(int(first), int(last or first) + 1)]


def docstrings(tree: ast.Module) -> list[tuple[str, ast.Constant]]:
    """Every docstring of a module by the dotted name of its owner."""

    def walk(node: ast.AST, name: str) -> list[tuple[str, ast.Constant]]:
        found = []
        first = node.body[0] if node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            found.append((name, first.value))
        for child in node.body:
            if isinstance(child, ast.ClassDef | ast.FunctionDef):
                found += walk(child, f"{name}.{child.name}".lstrip("."))
        return found

    return walk(tree, "")


def places(package: Path) -> dict[int, list[Place]]:
    """Where each equation stands, by its number; a number without a place has an empty list."""
    found: dict[int, list[Place]] = {number: [] for number in EQUATIONS}
    for path in (path for folder in FOLDERS for path in sorted((package / folder).rglob("*.py"))):
        source = path.read_text(encoding="utf-8")
        if not re.search(r"\bLIX:? Eqs?\.", source):
            continue
        for owner, docstring in docstrings(ast.parse(source)):
            for mention in MENTION.finditer(docstring.value):
                line = docstring.lineno + docstring.value[: mention.start()].count("\n")
                for number in numbers(mention[1]):
                    found.setdefault(number, []).append(Place(path, line, owner))
    return {number: [place for place in here if place.owner] or here for number, here in found.items()}


def page(package: Path) -> str:
    """docs/equations.md.

    Raises:
        ValueError: an equation has no place, or a docstring names one that the paper does not have.
    """
    found = places(package)
    lost = [str(number) for number, here in found.items() if not here]
    if lost:
        raise ValueError(f"no docstring names Eq. {', '.join(lost)} of the paper: write it where it is computed")
    strange = sorted(set(found) - set(EQUATIONS))
    if strange:
        (path, line, _), *_ = found[strange[0]]
        raise ValueError(f"{path}:{line} names Eq. ({strange[0]}): the paper has Eqs. (1)-({max(EQUATIONS)})")
    rows = []
    for number, (title, chapter) in EQUATIONS.items():
        cells = []
        for place in found[number]:
            path = place.path.relative_to(package.parent).as_posix()
            cells.append(
                f"[`{path}`, line {place.line}](../{path}#L{place.line})"
                + (f": `{place.owner}`" if place.owner else "")
            )
        what = f"`{title}`" if "^" in title else title
        rows.append(f"| {number} | {what} | {'<br>'.join(cells)} | [{chapter}](../notebooks/{chapter}.ipynb) |")
    return HEADER + "\n".join(rows) + "\n"


def main() -> None:
    try:
        new = page(ROOT / "lixlib")
    except ValueError as error:
        sys.exit(str(error))
    old = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    if "--check" in sys.argv[1:]:
        if new != old:
            sys.exit("docs/equations.md is older than the docstrings: run `python tools/dev/equations.py`")
    elif new != old:
        write_atomically(PAGE, lambda temporary: temporary.write_text(new, encoding="utf-8"))


if __name__ == "__main__":
    main()
