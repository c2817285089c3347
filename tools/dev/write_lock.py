"""Write requirements.lock: the installed version of all that pyproject.toml needs. Run by `make lock`."""

import importlib
import os
import subprocess
import sys
import tomllib
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = ("3.11", "3.12")  # the versions that requires-python allows
HEADER = """\
# Made by `make lock`; do not edit. All that pyproject.toml needs, with its extra `test`, for Python 3.11 and 3.12.
# torch has no local suffix, so any build of that version fits; a CUDA build pins its CUDA packages itself.
"""


def needed(requirement: Requirement, python: str, extras: set[str]) -> bool:
    """Whether `requirement` applies on every platform under `python` with one of `extras` (or none)."""
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    environment |= {"platform_system": "any", "sys_platform": "any"}  # what one system alone needs stays out
    return requirement.marker is None or any(
        requirement.marker.evaluate(environment | {"extra": extra}) for extra in extras | {""}
    )


def installed_distribution(requirement: Requirement) -> Distribution:
    """The installed distribution; one that only another Python version needs is installed first."""
    try:
        return distribution(requirement.name)
    except PackageNotFoundError:
        bare = Requirement(str(requirement))
        bare.marker = None
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", str(bare)], check=True)
        importlib.invalidate_caches()
        return distribution(requirement.name)


def requirements(extra: str | None = None) -> list[str]:
    """What pyproject.toml lists, alone or for one of its extras; an extra of its own among them stands for its list."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = project["optional-dependencies"][extra] if extra else project["dependencies"]
    found = []
    for text in listed:
        requirement = Requirement(text)
        own = requirement.name == project["name"]
        found += [each for part in sorted(requirement.extras) for each in requirements(part)] if own else [text]
    return found


def pins() -> dict[str, str]:
    """Name and version of every distribution reached from pyproject.toml under any Python in `PYTHONS`."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    roots = [*requirements(), *requirements("test"), *build]
    found: dict[str, str] = {}
    for python in PYTHONS:
        queue, seen = [Requirement(root) for root in roots], set()
        while queue:
            requirement = queue.pop()
            key = canonicalize_name(requirement.name), frozenset(requirement.extras)
            if key in seen:
                continue
            seen.add(key)
            installed = installed_distribution(requirement)
            found[key[0]] = Version(installed.version).public
            children = [Requirement(text) for text in installed.requires or []]
            queue += [child for child in children if needed(child, python, set(requirement.extras))]
    return found


def main() -> None:
    lines = [f"{name}=={version}\n" for name, version in sorted(pins().items())]
    partial = ROOT / "requirements.lock.part"
    partial.write_text(HEADER + "".join(lines))
    os.replace(partial, ROOT / "requirements.lock")
    print(f"requirements.lock: {len(lines)} pins")


if __name__ == "__main__":
    main()
