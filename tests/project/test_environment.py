"""One list of dependencies: the lock, environment.yml and imports agree with pyproject.toml; what is packed runs."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from functools import cache
from importlib.metadata import packages_distributions, version
from pathlib import Path

import nbformat
import pytest
import rattler
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import lixlib
from tools.dev.execute_notebooks import notebook_files
from tools.dev.write_lock import requirements

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PYPROJECT["project"]["optional-dependencies"]
CORE, TRAIN, COURSE = requirements(), requirements("train"), requirements("course")
RUNTIME, TEST = [*CORE, *TRAIN, *COURSE], requirements("test")
LIBRARY = [*EXTRAS["cluster"], *EXTRAS["export"]]
SCRIPTS, DOCS = [*EXTRAS["data"], *EXTRAS["depth"]], EXTRAS["docs"]
# the rooms that can be lifted into other projects without an extra
LIFTED = ("core", "functional", "nets", "distillers", "checkpoints", "metrics.py")
OWNERS = cache(packages_distributions)  # which distributions have a module
PINS = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("text", sorted({*CORE, *TEST, *PYPROJECT["build-system"]["requires"]}))
def test_exactly_one_pin_satisfies_a_requirement(text):
    requirement = Requirement(text)
    name = canonicalize_name(requirement.name)
    (pin,) = (pin for pin in map(Requirement, PINS) if canonicalize_name(pin.name) == name)
    (exact,) = pin.specifier
    assert exact.operator == "==" and requirement.specifier.contains(exact.version), "run `make lock`"


def test_lock_holds_plain_pins_of_different_packages():
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9a-z.]+", pin) for pin in PINS)
    names = [pin.split("==")[0] for pin in PINS]
    assert names == sorted(set(names))


def test_every_dependency_has_its_reason():
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    for text in [*RUNTIME, *TEST, *LIBRARY, *SCRIPTS, *DOCS]:
        found = [line for line in lines if line.strip().startswith(f'"{text}"')]
        assert found and all(re.search(r"# \w+", line) for line in found), f"say why {text} is needed"


def test_tests_have_the_other_extras():
    (own,) = (text for text in EXTRAS["test"] if Requirement(text).name == "lix")
    assert Requirement(own).extras == EXTRAS.keys() - {"test"}


@pytest.mark.parametrize(
    ("folder", "listed"),
    [
        *((f"lixlib/{room}", [*CORE, *EXTRAS["export"]] if room == "checkpoints" else CORE) for room in LIFTED),
        ("lixlib", [*RUNTIME, *LIBRARY]),
        ("data_scripts", [*RUNTIME, *SCRIPTS]),
    ],
)
def test_only_dependencies_are_imported(folder, listed):
    allowed = {canonicalize_name(Requirement(text).name) for text in listed}
    allowed |= {"ipython"}  # comes with ipykernel, which is its kernel
    top = ROOT / folder
    neighbours = {path.stem for path in top.glob("*.py")}
    for path in sorted(top.rglob("*.py")) if top.is_dir() else [top]:
        for name in imported(path.read_text(encoding="utf-8")) - {"lixlib"} - neighbours - sys.stdlib_module_names:
            owners = {canonicalize_name(owner) for owner in OWNERS().get(name, [])}
            assert owners & allowed, f"{path.name} imports {name}, which pyproject.toml does not list"


# dependencies that nothing imports, and why they are there
APPLICATIONS = {
    "voila": "a command: make explore",
    "pytest-xdist": "a plug-in of pytest: make test -n",
    "nbval": "a plug-in of pytest: --nbval-lax",
    "ruff": "a command: ruff check",
    "mypy": "a command: mypy",
    "mkdocs-material": "a theme of mkdocs: mkdocs.yml",
    "mkdocstrings-python": "a handler of a plug-in of mkdocs: mkdocs.yml",
}


@pytest.mark.parametrize("text", sorted({*RUNTIME, *TEST}))
def test_every_dependency_is_imported(text, everything_imported):
    name = canonicalize_name(Requirement(text).name)
    modules = {module for module, owners in OWNERS().items() if name in map(canonicalize_name, owners)}
    assert bool(modules & everything_imported) != (name in APPLICATIONS), f"{name}: {modules or 'not installed'}"


@pytest.fixture(scope="module")
def everything_imported() -> set[str]:
    """What modules, tools, scripts, tests and notebooks import, by their first names."""
    folders = ("lixlib", "tools", "data_scripts", "tests")
    sources = [path.read_text(encoding="utf-8") for folder in folders for path in (ROOT / folder).rglob("*.py")]
    for path in notebook_files():
        cells = nbformat.read(path, as_version=4).cells
        sources += [cell.source for cell in cells if cell.cell_type == "code"]
    return set().union(*map(imported, sources))


def imported(source: str) -> set[str]:
    """The first names of the modules that a source imports, those in pytest.importorskip("...") too."""
    names = set(re.findall(r"importorskip\(\"(\w+)", source))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module.split(".")[0])
    return names


def test_environment_yml_repeats_nothing():
    *conda, pip = environment()
    assert [rattler.MatchSpec(part).name.normalized for part in conda] == ["python", "pip"]
    assert pip == {"pip": ["-c requirements.lock", "-e .[test]"]}


def test_environment_yml_allows_the_same_pythons():
    (spec,) = (part for part in environment() if isinstance(part, str) and part.startswith("python"))
    bounds = SpecifierSet(PYPROJECT["project"]["requires-python"])
    assert SpecifierSet(str(rattler.MatchSpec(spec).version)) == bounds
    assert [minor for minor in range(8, 16) if f"3.{minor}" in bounds] == [11, 12]


def environment():
    return yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]


def test_version_has_one_place():
    assert PYPROJECT["project"]["dynamic"] == ["version"]
    assert version("lix") == lixlib.__version__
    assert f"version: {lixlib.__version__}\n" in (ROOT / "CITATION.cff").read_text()


@pytest.mark.slow
def test_tests_run_from_the_source_archive(tmp_path):
    unpacked, outside = source_archive(tmp_path), tmp_path / "outside"
    outside.mkdir()
    names = ("tools/test_sweep.py", "notebooks/test_chapter_10.py", "functional/test_functional_cka.py")
    files = [unpacked / "tests" / name for name in names]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "PYTHONPATH"))}
    plain = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command = [sys.executable, "-m", "pytest", *plain, *map(str, files)]
    result = subprocess.run(command, cwd=outside, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-1000:]


def source_archive(folder: Path) -> Path:
    """What unpacks from an archive of the sources, built from a copy; it has every file of the project."""
    copy, out = folder / "copy", folder / "out"
    patterns = [line for line in (ROOT / ".gitignore").read_text().splitlines() if line and not line.startswith("#")]

    def left_out(path: str, names: list[str]) -> set[str]:
        here = [line.strip("/") for line in patterns if Path(path) == ROOT or not line.startswith("/")]
        return shutil.ignore_patterns(".git", *here)(path, names)

    shutil.copytree(ROOT, copy, ignore=left_out)
    files = {path.relative_to(copy) for path in copy.rglob("*") if path.is_file()}
    build = f"from setuptools import build_meta; build_meta.build_sdist({str(out)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=copy, check=True, capture_output=True)
    (archive,) = out.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(out, filter="data")
    unpacked = out / archive.name.removesuffix(".tar.gz")
    assert not {path for path in files if not (unpacked / path).is_file()}, "extend MANIFEST.in"
    return unpacked


@pytest.mark.slow
def test_what_was_skipped_is_told_by_reason_before_the_last_line(tmp_path):
    file = tmp_path / "test_some.py"
    file.write_text(
        "import pytest\n"
        "@pytest.mark.parametrize('n', range(3))\n"
        "def test_two(n):\n    n and pytest.skip('no data: fetch it')\n"
        "@pytest.mark.skipif(True, reason='no GPU')\ndef test_one(): pass\n"
    )
    plain = ["-q", "-p", "no:cacheprovider", "-p", "xdist", "-p", "skipped", "--rootdir", str(tmp_path)]
    command = [sys.executable, "-m", "pytest", *plain, str(file)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "tests" / "support"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    result = subprocess.run([*command, "-n", "1"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    *_, two, one, last = result.stdout.strip().splitlines()
    assert [two, one] == ["2 tests: no data: fetch it", "1 test: no GPU"] and "1 passed, 3 skipped" in last


def test_hooks_run_what_make_has_installed_and_fetch_nothing():
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [each["repo"] for each in repositories] == ["local"]
    hooks = repositories[0]["hooks"]
    assert all(hook["language"] == "system" and hook["entry"].startswith(".venv/bin/") for hook in hooks)
    entries = " ".join(hook["entry"] for hook in hooks)
    checks = re.findall(r"^\t@\$\(BIN\)/(ruff check|lint-imports|mypy)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert len(checks) == 3 and all(f".venv/bin/{check}" in entries for check in checks)
