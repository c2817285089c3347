"""Dependencies point down only: import-linter keeps the contracts of pyproject.toml."""

from pathlib import Path

from importlinter import cli

ROOT = Path(__file__).resolve().parents[2]


def test_every_package_imports_only_those_below_it(capsys):
    failed = cli.lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert not failed, capsys.readouterr().out
