"""Train ToyDrive students alone and distilled, and record how similar their features are to the teacher's (Fig. 5).

The schedule is that of `lixlib.lab.experiments`. The results are written to results/cka. Each line has the form of
`lix train` with one more entry, "cka", which notebook 12 plots. A killed run is resumed where it stopped, and a
finished run is not repeated.
"""

import math
import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
import tyro
from torch import Tensor, nn

from lixlib import data
from lixlib.distillers import Distiller
from lixlib.functional import cka, gram, linear_cka
from lixlib.lab import experiments, results
from lixlib.lab.recipe import Recipe
from lixlib.lab.run import run
from lixlib.metrics import confusion_matrix, scores
from lixlib.nets import call

POSITIONS = 64  # the largest number of positions of a map in a Laplace kernel matrix


@dataclass(frozen=True)
class Options:
    """What to run.

    Args:
        methods: Methods: student, arfd (the paper's form) or lix (with the chosen options).
        seeds: Seeds. All methods are run with one seed before the next seed begins.
        frames: Number of validation frames on which CKA is computed.
        every: CKA is computed after every so many epochs.
        results: Folder to which the results are written.
    """

    methods: tuple[str, ...] = ("student", "arfd", "lix")
    seeds: tuple[int, ...] = (0, 1, 2)
    frames: int = 40
    every: int = 2
    results: str = "results/cka"


def recipe_of(method: str, seed: int, **options) -> Recipe:
    """Return the recipe of a run; `options` are passed to `experiments.recipes`."""
    if method == "student":
        return experiments.recipes("baselines", (seed,), **options)["student"][seed]
    literal = experiments.recipes("table-v", (seed,), **options)["laplace, cka"][seed]
    return literal if method == "arfd" else replace(literal, method=method, method_options={})


class Observer:
    """Compute CKA between each tap of the student and of the teacher on the first validation frames, without adapters.

    There are three kinds of CKA. "linear" takes all positions of all frames as samples; every map is pooled to the size
    of the deepest tap. "particular" is the same after the mean of each position over the frames has been subtracted,
    so that what all streets have in common no longer counts. "laplace" is the CKA of the loss, averaged over the
    frames; its samples are the positions of one frame, after ReLU and standardisation. Each value comes with a
    baseline, the CKA with the teacher's features of the next frame.

    Args:
        teacher: The network with which the student is compared.
        every: CKA is computed after every so many epochs.
    """

    def __init__(self, recipe: Recipe, teacher: nn.Module, frames: int, every: int = 1):
        self.every = every
        options = {**recipe.dataset_options, "eval_count": max(frames, recipe.dataset_options.get("eval_count", 100))}
        validation = data.load("toydrive", "val", size=recipe.size, **options)
        self.batch = data.collate([validation[index] for index in range(frames)])
        self.classes = len(validation.classes.names)
        with torch.no_grad():
            taps = call(teacher.eval(), self.batch.rgb, self.batch.x).taps
        self.deepest = min((f.shape[2:] for f in taps.values()), key=math.prod)
        self.teacher = {name: self._features(f) for name, f in taps.items()}

    def __call__(self, epoch: int, distiller: Distiller) -> dict:
        if epoch % self.every:
            return {}
        out = call(distiller.student, self.batch.rgb)
        pairs = {name: (self._features(out.taps[name]), t) for name, t in self.teacher.items()}
        found = scores(confusion_matrix(out.logits.argmax(1), self.batch.label, self.classes))
        return {
            "cka": {
                "linear": {name: self._linear(s[0], t[0]) for name, (s, t) in pairs.items()},
                "particular": {
                    name: self._linear(*(f - f.mean(0) for f in (s[0], t[0]))) for name, (s, t) in pairs.items()
                },
                "laplace": {name: self._laplace(s[1], t[1]) for name, (s, t) in pairs.items()},
                "mIoU": round(float(found["mIoU"]), 4),
            }
        }

    def _features(self, f: Tensor) -> tuple[Tensor, Tensor]:
        """**Shapes**: (B, d, H, W) -> pooled (B, p, d), and the Laplace kernel matrices (B, n, n)."""
        small = F.adaptive_avg_pool2d(f.float(), self.deepest).flatten(2).mT
        h, w = f.shape[2:]
        shrink = min(1.0, math.sqrt(POSITIONS / (h * w)))
        rows = F.adaptive_avg_pool2d(f.float(), (max(int(h * shrink), 1), max(int(w * shrink), 1))).relu().flatten(2)
        return small, gram(F.layer_norm(rows, rows.shape[2:]).mT.contiguous(), kernel="laplace")

    def _linear(self, s: Tensor, t: Tensor) -> list[float]:
        return _rounded(linear_cka(s.flatten(0, 1), other.flatten(0, 1)) for other in (t, t.roll(-1, 0)))

    def _laplace(self, s: Tensor, t: Tensor) -> list[float]:
        return _rounded(cka(s, other).mean() for other in (t, t.roll(-1, 0)))


def _rounded(values: Iterable[Tensor]) -> list[float]:
    return [round(float(value), 4) for value in values]


def main(options: Options) -> None:
    torch.set_num_threads(1)  # so that every machine of the same kind computes the same numbers
    command = shlex.join(["python", *sys.argv])
    for seed in options.seeds:
        for method in options.methods:
            recipe = recipe_of(method, seed)
            teacher = run(recipe_of("arfd", seed).of_teacher(), device="cpu", command=command, progress=False).net
            observer = Observer(recipe, teacher, options.frames, options.every)
            finished = run(recipe, device="cpu", command=command, observe=observer, progress=False)
            rows = [{"epoch": row["epoch"], **row["cka"]} for row in finished.log if "cka" in row]
            if not rows:
                raise SystemExit(f"{finished.folder} was trained without looking: set LIX_RUNS to another folder")
            results.append(finished.line | {"cka": rows, "frames": options.frames}, options.results)
            print(f"{method}, seed {seed}: mIoU {100 * finished.line['metrics']['mIoU']:.2f}", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Options))
