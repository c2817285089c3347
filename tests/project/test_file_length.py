"""No Python file of the project is longer than a reader takes in at one go."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 400  # lines


def length(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_no_file_is_longer_than_400_lines():
    files = [path for folder in ("lixlib", "tools", "data_scripts", "tests") for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 100
    lengths = {path.relative_to(ROOT).as_posix(): length(path) for path in files}
    found = {name: lines for name, lines in lengths.items() if lines > LONGEST}
    assert not found, f"more than {LONGEST} lines: split them by subject"
