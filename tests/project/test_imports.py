"""What an import costs: the losses take torch and little more, and nothing on the lower floors loads what is large."""

import re
import subprocess
import sys

import pytest

LARGE = {"IPython", "PIL", "kornia", "lightning_fabric", "matplotlib", "pandas", "pydantic", "scipy", "seaborn"}
MOST_SECONDS = 0.05  # of `import lixlib.functional` besides torch


@pytest.mark.slow
def test_losses_take_torch_and_little_more():
    assert any(seconds_besides_torch("lixlib.functional") < MOST_SECONDS for _ in range(3))


def test_nothing_large_is_imported():
    names = [f"lixlib.{room}" for room in ("core", "functional", "nets", "distillers")]
    walk = "[importlib.import_module(m.name) for m in pkgutil.iter_modules(p.__path__, p.__name__ + '.')]"
    code = f"import importlib, pkgutil, sys\nfor name in {names}: p = importlib.import_module(name); {walk}\n"
    loaded = python("-c", code + "print(*sys.modules)").stdout.split()
    assert {"torch", *names} <= set(loaded) and not LARGE & {module.split(".")[0] for module in loaded}


def seconds_besides_torch(name: str) -> float:
    """Of importing a module in a process of its own; torch's are taken away, so that a busy machine matters little."""
    line = re.compile(r"import time: +\d+ \| +(\d+) \| +(\S+)")
    seconds = {
        module: int(time) / 1e6
        for time, module in line.findall(python("-X", "importtime", "-c", f"import {name}").stderr)
    }
    return seconds[name] - seconds["torch"]


def python(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True)
