"""Choose the loss weights of every method by one rule and with one budget, on validation frames of ToyDrive.

    python tools/studies/sweep_weights.py

The loss weights of the papers do not carry over, because they depend on the sizes of the maps, on the batch and on the
network. Here all weights of a method are multiplied by one factor. The factor is such that the gradient of the method's
terms is `SHARES` times as long as that of cross-entropy, on one batch and at the student's initial weights. The
resulting weight is rounded to one digit. This gives three short runs of each method, LIX included, with a seed and with
frames that no table uses. The results are added to results/history/sweep, and a run whose result is already there is
skipped. The best weights stand as `tuned` in `lixlib.distillers.METHODS`.
"""

import json
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from lixlib.core.files import write_atomically
from lixlib.data import Augment, collate
from lixlib.distillers import METHODS, Distiller, TwoStage
from lixlib.distillers.common import default_options
from lixlib.lab.grid import compare
from lixlib.lab.inputs import Inputs
from lixlib.lab.plan import folder_of, runs_folder
from lixlib.lab.prepare import distiller_of
from lixlib.lab.recipe import Recipe
from lixlib.lab.run import run
from lixlib.training import Schedule, fit_stage, launch

RESULTS = Path(__file__).resolve().parents[2] / "results" / "history" / "sweep"
SHARES = (0.1, 0.3, 1.0)  # lengths of the gradient relative to cross-entropy's
WEIGHTS = {"lix": ("lambda_l", "lambda_f"), "afdcd": ("distance_weight", "contrast_weight")}  # others: "weight"
BORROWED = {"afdcd": ("kd",)}  # terms of other methods, which keep weights of their own
ALSO = {"vid": (30.0,)}  # two of its three runs diverge, so a smaller weight is tried as well
SETTING = {
    "seed": 10,
    "epochs": 25,
    "precision": "bf16-mixed",
    "splits": ("train", None, "val"),
    "dataset_options": {"eval_count": 240},
    "teacher": {"epochs": 100},
}


def starting_weights(method: str) -> dict[str, float]:
    """Return the default weights of a method, which are those of its paper or code where there are any."""
    options = default_options(METHODS[method].make)
    return {name: options[name] for name in WEIGHTS.get(method, ("weight",))}


def gradient_share(method: str) -> float:
    """Compute the length of the gradient of the method's terms with its starting weights, relative to cross-entropy."""
    recipe = Recipe(method=method, method_options=starting_weights(method), **SETTING)
    train = Inputs(recipe).train
    distiller = distiller_of(recipe, run(recipe.of_teacher(), device="cpu").net, train).train()
    if isinstance(distiller.method, TwoStage):  # the runs look for the trained stage in this folder
        schedule = Schedule(recipe.epochs, 2 * recipe.batch_size, seed=recipe.seed)
        options = {"augment": Augment(recipe.size), "fabric": launch("cpu", recipe.precision)}
        fit_stage(distiller, train, schedule, folder=runs_folder() / folder_of(recipe, "stage"), **options)
    torch.manual_seed(0)
    terms = distiller(next(iter(DataLoader(train, 2 * recipe.batch_size, shuffle=True, collate_fn=collate))))
    own = sum(term for name, term in terms.items() if name not in ("ce", *BORROWED.get(method, ())))
    return (_length(distiller, own) / _length(distiller, terms["ce"])).item()


def _length(distiller: Distiller, loss: Tensor) -> Tensor:
    weights = list(distiller.student.parameters())
    gradient = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
    return torch.stack([part.norm() for part in gradient if part is not None]).norm()


def sweep() -> list[Recipe]:
    """Return the recipes: the student alone, and three of each method. Their weights are explained in shares.json."""
    recipes, shares = [Recipe(method="student", **{**SETTING, "teacher": {}})], {}
    for method in METHODS:
        start, share = starting_weights(method), gradient_share(method)
        shares[method] = {"weights": start, "gradient": round(share, 3)}
        for wanted in SHARES:
            hyper = {name: float(f"{weight * wanted / share:.0e}") for name, weight in start.items()}
            recipes.append(Recipe(method=method, method_options=hyper, **SETTING))
        recipes += [
            Recipe(method=method, method_options={"weight": weight}, **SETTING) for weight in ALSO.get(method, ())
        ]
    text = json.dumps(shares, indent=2) + "\n"
    write_atomically(RESULTS / "shares.json", lambda path: path.write_text(text, encoding="utf-8"))
    return recipes


def best(lines: list[dict]) -> dict[str, dict[str, float]]:
    """Return for each method the weights with the highest mIoU on the validation frames."""
    winners = {}
    for line in sorted(lines, key=lambda line: line["metrics"]["mIoU"]):
        if line["method"] == "student":
            continue
        names = WEIGHTS.get(line["method"], ("weight",))
        winners[line["method"]] = {name: line["hyper"][name] for name in names}
    return winners


if __name__ == "__main__":
    report = compare(sweep(), results_dir=RESULTS, device="cpu")
    for method, weights in best(report.lines).items():
        print(method, weights)
    for failure in report.failures:
        print(f"{failure.command}\n    {failure.error}")
