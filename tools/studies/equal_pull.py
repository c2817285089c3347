"""The weights with which the twelve losses of Table V pull equally hard at a student's first step, in the regime.

    python -m tools.studies.equal_pull

A loss's pull is the length of its gradient, over that of cross-entropy, by all weights of the student: at its initial
weights, on the first eight labelled frames, with a trained teacher. It is measured with the two seeds that no table
uses, whose teachers are trained if they are not there, and the geometric mean is taken. The weights give every loss the
pull that Laplace with CKA has with the weight of the main table; they stand in `lixlib.lab.evidence.EQUAL_PULL`. Every
seed is a line of results/pull.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from pathlib import Path

import torch
from torch import Tensor, nn

from lixlib.core.files import write_json_lines
from lixlib.data import collate
from lixlib.lab.evidence import CHOSEN, EQUAL_PULL, by
from lixlib.lab.inputs import Inputs
from lixlib.lab.prepare import distiller_of
from lixlib.lab.recipe import Recipe
from lixlib.lab.record import provenance
from lixlib.lab.regime import CHOICE_SEEDS
from lixlib.lab.run import run
from tools.studies.choose_weights import SETTING

RESULTS = Path(__file__).resolve().parents[2] / "results" / "pull"
FRAMES = 8


def pulls(seed: int, **changes) -> dict[str, float]:
    """The pull of every loss of `EQUAL_PULL` with weight 1; `changes` are of the setting."""
    recipe = Recipe(seed=seed, **by("arfd"), **SETTING | changes)
    teacher, train = run(recipe.of_teacher(), device="cpu", progress=False).net, Inputs(recipe).train
    batch = collate([train[i] for i in range(FRAMES)])
    found = {}
    for name in EQUAL_PULL:
        kernel, measure = name.split(", ")
        options = {**recipe.method_options, "kernel": kernel, "measure": measure, "weight": 1.0}
        distiller = distiller_of(replace(recipe, method_options=options), teacher, train).train()
        terms = distiller(batch)
        found[name] = _length(terms["arfd"], distiller.student) / _length(terms["ce"], distiller.student)
    return found


def equal(found: list[dict[str, float]]) -> dict[str, float]:
    """The weights, to two digits, with which all losses pull as "laplace, cka" with the weight of the main table."""
    mean = {name: prod(each[name] for each in found) ** (1 / len(found)) for name in found[0]}
    wanted = CHOSEN["arfd"]["weight"] * mean["laplace, cka"]
    return {name: float(f"{wanted / value:.2g}") for name, value in mean.items()}


def _length(loss: Tensor, net: nn.Module) -> float:
    gradient = torch.autograd.grad(loss, list(net.parameters()), retain_graph=True, allow_unused=True)
    return torch.stack([part.norm() for part in gradient if part is not None]).norm().item()


def main(seeds: Sequence[int], root: Path = RESULTS, **changes) -> None:
    torch.set_num_threads(1)  # so that every machine of the same kind computes the same numbers
    about = {"dataset": "toydrive", "network": "mfnet", "split": "train", "frames": FRAMES}
    about |= {"command": "python -m tools.studies.equal_pull", **provenance(torch.device("cpu"))}
    lines = []
    for seed in seeds:
        found = pulls(seed, **changes)
        lines.append({"seed": seed, "pull": {name: float(f"{value:.4g}") for name, value in found.items()}, **about})
    path = root / "toydrive" / "mfnet.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json_lines(path, lines)
    print(equal([line["pull"] for line in lines]))


if __name__ == "__main__":
    main(CHOICE_SEEDS)
