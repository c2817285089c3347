"""Train ToyDrive students with each of DWLD's weightings, and record how the NCLD weights W develop.

The results are written to results/weights. Each line has the form of `lix train` with one more entry, "weights", which
notebook 02 plots. A killed run is resumed where it stopped, and a finished run is not repeated.
"""

import shlex
import sys
from dataclasses import dataclass

import torch
import tyro
from torch import Tensor

from lixlib import data
from lixlib.core.sample import IGNORE, Sample
from lixlib.distillers import Distiller
from lixlib.functional import confidence
from lixlib.lab import results
from lixlib.lab.recipe import Recipe
from lixlib.lab.run import run
from lixlib.nets import call

BINS = 10  # bins of the confidence
# lambda_L of every run. A heavier logit term makes short runs worse, whatever W is (results/README.md).
SHARED = {"weight": 0.25}
DKD = {"dkd-1": 1.0, "dkd-5.5": 5.5, "dkd-10": 10.0}  # constant weights: the two ends and the middle of W's range
BREGMAN = ("reversed", "normalised")  # these controllers increase or shift weight, so the elements must not be negative


@dataclass(frozen=True)
class Options:
    """What to run.

    Args:
        weightings: Names of DWLD's weightings, or dkd-1, dkd-5.5 and dkd-10.
        seeds: Seeds. All weightings are run with one seed before the next seed begins.
        epochs: Number of passes over the training images.
        results: Folder to which the results are written.
    """

    weightings: tuple[str, ...] = (*DKD, "joint", "closed-form", "reversed", "normalised", "confidence-gap", "focal")
    seeds: tuple[int, ...] = (0, 1, 2)
    epochs: int = 100
    results: str = "results/weights"


def recipe_of(weighting: str, seed: int, epochs: int) -> Recipe:
    common = {"seed": seed, "epochs": epochs, "precision": "bf16-mixed", "splits": ("train", None, "test")}
    if weighting in DKD:
        return Recipe(method="dkd", method_options={"beta": DKD[weighting], **SHARED}, **common)
    divergence = "bregman" if weighting in BREGMAN else "kl"
    hyper = {"weighting": weighting, "divergence": divergence, "beta_min": 1.0, "beta_max": 10.0, **SHARED}
    return Recipe(method="dwld", method_options=hyper, **common)


class Observer:
    """Record statistics of W over the validation frames, at epochs 1 to 10 and at every fifth epoch after that."""

    def __init__(self, recipe: Recipe):
        frames = data.load("toydrive", "val", size=recipe.size, difficulty=recipe.dataset_options["difficulty"])
        self.batch, self.classes = data.collate(list(frames)), frames.classes.names

    def __call__(self, epoch: int, distiller: Distiller) -> dict:
        if not hasattr(distiller.method, "weights") or (epoch > 10 and epoch % 5):
            return {}
        batch = self.batch
        student, teacher = (call(net, batch.rgb, batch.x) for net in (distiller.student, distiller.teacher))
        weights = distiller.method.weights(student, teacher, batch.label)
        return {"weights": self._statistics(weights, confidence(student.logits), batch)}

    def _statistics(self, weights: Tensor, sure: Tensor, batch: Sample) -> dict:
        classes = torch.arange(len(self.classes))[:, None, None]
        used = ((batch.label != IGNORE)[:, None] & (batch.label[:, None] != classes)).flatten(2)
        weights = weights.flatten(2)
        values = weights[used]
        quantiles = values.sort().values[[round(q * (len(values) - 1)) for q in (0.05, 0.25, 0.5, 0.75, 0.95)]]
        bins = (sure.flatten(1) * BINS).long().clamp(max=BINS - 1)[:, None].expand_as(used)
        pairs = [(values[bins[used] == i].mean(), (bins[used] == i).float().mean()) for i in range(BINS)]
        return {
            "mean": _round(values.mean()),
            "std": _round(values.std()),
            "quantiles": [_round(value) for value in quantiles],
            "per_class": {
                name: _round(weights[:, c][used[:, c]].mean())
                for c, name in enumerate(self.classes)
                if used[:, c].any()
            },
            "by_confidence": [
                [(i + 0.5) / BINS, _round(mean), _round(share)] for i, (mean, share) in enumerate(pairs) if share > 0
            ],
        }


def _round(value: Tensor) -> float:
    return round(float(value), 4)


def main(options: Options) -> None:
    torch.set_num_threads(1)  # the same numbers on every machine of the same kind
    command = shlex.join(["python", *sys.argv])
    for seed in options.seeds:
        for weighting in options.weightings:
            recipe = recipe_of(weighting, seed, options.epochs)
            finished = run(recipe, device="cpu", command=command, observe=Observer(recipe))
            rows = [{"epoch": row["epoch"], **row["weights"]} for row in finished.log if "weights" in row]
            results.append(finished.line | {"weighting": weighting, "weights": rows}, options.results)
            print(f"{weighting}, seed {seed}: mIoU {100 * finished.line['metrics']['mIoU']:.2f}", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Options))
