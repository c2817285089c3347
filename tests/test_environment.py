"""One list of dependencies: the lock, environment.yml and the library's own imports agree with pyproject.toml."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest
import rattler
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import lixlib

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME = PYPROJECT["project"]["dependencies"]
EXTRAS = PYPROJECT["project"]["optional-dependencies"]
TEST, CLUSTER = EXTRAS["test"], EXTRAS["cluster"]
SCRIPTS = [*EXTRAS["data"], *EXTRAS["depth"]]
PINS = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("text", [*RUNTIME, *TEST, *PYPROJECT["build-system"]["requires"]])
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
    for text in [*RUNTIME, *TEST, *CLUSTER, *SCRIPTS]:
        found = [line for line in lines if line.strip().startswith(f'"{text}"')]
        assert found and all(re.search(r"# \w+", line) for line in found), f"say why {text} is needed"


def test_tests_have_the_other_extras():
    assert {*CLUSTER, *SCRIPTS} <= set(TEST)


@pytest.mark.parametrize(("folder", "extra"), [("lixlib", CLUSTER), ("data_scripts", SCRIPTS)])
def test_only_dependencies_are_imported(folder, extra):
    allowed = {canonicalize_name(Requirement(text).name) for text in [*RUNTIME, *extra]}
    allowed |= {"ipython"}  # comes with ipykernel, which is its kernel
    distributions = packages_distributions()
    neighbours = {path.stem for path in (ROOT / folder).glob("*.py")}
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            for name in {name.split(".")[0] for name in names} - {"lixlib"} - neighbours - sys.stdlib_module_names:
                owners = {canonicalize_name(owner) for owner in distributions.get(name, [])}
                assert owners & allowed, f"{path.name} imports {name}, which pyproject.toml does not list"


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
