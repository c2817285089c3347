"""Record what the networks of ToyDrive's experiments predict, for notebook 13, in results/inside.

There are three parts. Each writes its arrays, and a JSON file that says how they were made.

training: Trains seed 0 of every method once more. On the way it records the predictions on a few test frames, and the
    distribution of the loss between student and teacher over the validation frames.
networks: Evaluates the finished runs of all seeds on all test frames. It records the predicted classes and the
    probability of the true class.
faults: Evaluates a teacher that was trained on clean X on damaged X, and the students of such teachers.

The runs are read from the runs folder (LIX_RUNS, or runs/). Part 1 trains a run that is missing; parts 2 and 3 skip it.
"""

import json
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import tyro
from torch import Tensor, nn
from torch.nn import functional as F

from lixlib import checkpoints
from lixlib.core.files import write_atomically
from lixlib.data import Sample, collate
from lixlib.distillers import Distiller
from lixlib.functional import confidence
from lixlib.lab import experiments, inputs
from lixlib.lab.inputs import Inputs
from lixlib.lab.plan import folder_of, runs_folder
from lixlib.lab.recipe import Recipe
from lixlib.lab.record import provenance, result_header
from lixlib.lab.run import run
from lixlib.metrics import confusion_matrix, scores
from lixlib.nets import call

# the name of a method in the files -> its experiment and variant
METHODS = {
    "teacher": ("baselines", "teacher"),
    "student": ("baselines", "student"),
    "dwld": ("beta", "DWLD, as published"),
    "closed-form": ("weighting", "closed-form, kl"),
    "arfd": ("table-v", "laplace, cka"),
    "kd": ("methods", "KD"),
    "lix": ("methods", "LIX, former"),
}
LOOKS = (1, 4, 12, 30)  # epochs whose maps are kept; the last epoch is kept as well
EDGES = (0.0, *np.geomspace(1e-4, 30, 49).tolist())  # bins of the loss per pixel, in nats; the last bin is open
SMALL = ("pole", "traffic sign", "traffic light", "pedestrian")  # the kept frames have most pixels of these
LEVELS = 50  # the histograms of probabilities have bins centred at 0, 1/50, ..., 1


@dataclass(frozen=True)
class Options:
    """What to write.

    Args:
        parts: Parts to run: training, networks, faults.
        seeds: Seeds of the finished runs.
        frames: Number of test frames whose maps are kept during training. Those with the most pixels of small objects
            are chosen.
        results: Folder to which the results are written.
        quick: Train for two epochs on a few frames, to check that everything works.
    """

    parts: tuple[str, ...] = ("training", "networks", "faults")
    seeds: tuple[int, ...] = (0, 1, 2)
    frames: int = 6
    results: str = "results"
    quick: bool = False


def recipe_of(method: str, seed: int, quick: bool = False) -> Recipe:
    experiment, variant = METHODS[method]
    return experiments.recipes(experiment, (seed,), quick=quick)[variant][seed]


def teacher_of(seed: int, quick: bool = False) -> Recipe:
    return recipe_of("teacher", seed, quick)


def most_small_things(label: Tensor, names: tuple[str, ...], count: int) -> list[int]:
    """Return the `count` frames with the most pixels of `SMALL`, in ascending order. **Shapes**: label (N, H, W)."""
    wanted = torch.tensor([names.index(name) for name in SMALL])
    pixels = torch.isin(label, wanted).flatten(1).sum(1)
    return sorted(pixels.argsort(descending=True, stable=True)[:count].tolist())


def bytes_of(share: Tensor, levels: int = 255) -> np.ndarray:
    """Quantise numbers in [0, 1] to whole numbers from 0 to `levels`. **Shapes**: any -> the same, uint8."""
    return (share * levels).round().byte().numpy()


def non_target_mean(weight: Tensor, label: Tensor) -> Tensor:
    """Average W over all classes but the labelled one. **Shapes**: W (B, C, H, W), label (B, H, W) -> (B, H, W)."""
    at_target = weight.gather(1, label[:, None])[:, 0]
    return (weight.sum(1) - at_target) / (weight.shape[1] - 1)


class Observer:
    """Save maps of the kept frames at the epochs of `LOOKS`; log the distribution of the loss every few epochs."""

    def __init__(self, folder: Path, kept: Sample, validation: Sample, teacher: nn.Module, epochs: int):
        self.folder, self.kept, self.validation, self.teacher = folder, kept, validation, teacher
        self.looks = [epoch for epoch in LOOKS if epoch < epochs] + [epochs]
        with torch.no_grad():
            self.log_t = call(teacher, validation.rgb, validation.x).logits.log_softmax(1)

    def __call__(self, epoch: int, distiller: Distiller) -> dict:
        if epoch in self.looks:
            maps = self.maps(distiller)
            write_atomically(self.folder / f"look{epoch}.npz", lambda path: _write(path, maps))
        if epoch > 4 and epoch % 4:
            return {}
        output = distiller.student(self.validation.rgb)
        loss = F.kl_div(output.logits.log_softmax(1), self.log_t, log_target=True, reduction="none").sum(1)
        wrong = output.logits.argmax(1) != self.validation.label
        edges = torch.tensor((*EDGES[1:], torch.inf))
        bins = torch.searchsorted(edges, loss, right=True)
        count = len(EDGES)
        return {
            "to_teacher": float(loss.mean()),
            "kd_right": torch.bincount(bins[~wrong], minlength=count).tolist(),
            "kd_wrong": torch.bincount(bins[wrong], minlength=count).tolist(),
            "sure": float(confidence(output.logits).mean()),
        }

    def maps(self, distiller: Distiller) -> dict[str, np.ndarray]:
        kept = self.kept
        output = distiller.student(kept.rgb)
        maps = maps_of(output.logits)
        controller = getattr(distiller.method, "dwld", distiller.method)
        if hasattr(controller, "weights"):
            weight = controller.weights(output, call(self.teacher, kept.rgb, kept.x), kept.label)
            weight = non_target_mean(weight, kept.label)
            low, high = float(weight.min()), float(weight.max())
            maps["weight"] = bytes_of((weight - low) / max(high - low, 1e-6))
            maps["weight_range"] = np.array([low, high], dtype=np.float32)
        return maps


def maps_of(logits: Tensor) -> dict[str, np.ndarray]:
    """Return probabilities, predicted classes and confidence as uint8.

    **Shapes**: (B, C, H, W) -> (B, C, H, W), (B, H, W), (B, H, W).
    """
    return {
        "probability": bytes_of(logits.softmax(1)),
        "answer": logits.argmax(1).byte().numpy(),
        "confidence": bytes_of(confidence(logits)),
    }


def _write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with path.open("wb") as file:  # numpy would append .npz to a name, but not to a file
        np.savez_compressed(file, **arrays)


def net_of(recipe: Recipe) -> nn.Module | None:
    """Load the network of a finished run, or return None if the run is not in the runs folder."""
    path = runs_folder() / folder_of(recipe) / "weights.safetensors"
    return checkpoints.load(path)[0] if (path.parent / "result.jsonl").exists() else None


@torch.no_grad()
def logits_of(net: nn.Module, batch: Sample) -> Tensor:
    """Compute the logits of all frames, 50 at a time. **Shapes**: N frames -> (N, C, H, W)."""
    parts = zip(batch.rgb.split(50), batch.x.split(50), strict=True)
    return torch.cat([call(net, rgb, x).logits for rgb, x in parts])


def levels_of(p: Tensor, label: Tensor, right: Tensor, classes: int) -> np.ndarray:
    """Count the levels of a probability, by true class, separately for wrong and right predictions.

    **Shapes**: p in [0, 1], label and right (N, H, W) -> (C, 2, LEVELS + 1) int32.
    """
    index = (2 * label + right) * (LEVELS + 1) + (p * LEVELS).round().long()
    counts = torch.bincount(index.flatten(), minlength=classes * 2 * (LEVELS + 1))
    return counts.reshape(classes, 2, LEVELS + 1).int().numpy()


def miou(answer: Tensor, label: Tensor, classes: int) -> float:
    return round(scores(confusion_matrix(answer.long(), label, classes))["mIoU"], 6)


def test_frames(recipe: Recipe, fault: str | None = None) -> tuple[Sample, tuple[str, ...]]:
    """Return all test frames as one batch and the class names. X is damaged by `fault`, or clean without one."""
    data = {name: value for name, value in recipe.dataset_options.items() if name != "fault"} | (
        {"fault": fault} if fault else {}
    )
    test = inputs.load(replace(recipe, dataset_options=data), recipe.splits[-1], with_x=True)
    return collate(list(test)), test.classes.names


def training(options: Options, folder: Path, command: str) -> Iterator[dict]:
    """Run part 1; yield the contents of its JSON file after every method."""
    teacher_recipe = teacher_of(0, options.quick)
    teacher = run(teacher_recipe, device="cpu", command=command, progress=False).net
    test, names = test_frames(teacher_recipe)
    frames = most_small_things(test.label, names, options.frames)
    kept = pick(test, frames)
    validation = collate(list(inputs.load(teacher_recipe, "val", with_x=True)))
    found = {"frames": frames, "validation": len(validation.label), "edges": EDGES, "runs": {}}
    with torch.no_grad():
        maps = maps_of(call(teacher, kept.rgb, kept.x).logits)
    _write_looks(folder / "training-teacher.npz", {teacher_recipe.epochs: maps}, [])
    for method in METHODS:
        if method == "teacher":
            continue
        recipe = recipe_of(method, 0, options.quick)
        looks = runs_folder() / folder_of(recipe) / "looks"
        observer = Observer(looks, kept, validation, teacher, recipe.epochs)
        finished = run(recipe, device="cpu", command=command, observe=observer, progress=False)
        if not any("to_teacher" in row for row in finished.log):
            print(f"{method}: its run was there already, and nobody had looked at it; left out", file=sys.stderr)
            continue
        maps = {}
        for epoch in observer.looks:
            with np.load(looks / f"look{epoch}.npz") as file:
                maps[epoch] = dict(file)
        _write_looks(folder / f"training-{method}.npz", maps, finished.log)
        found["runs"][method] = {"mIoU": finished.line["metrics"]["mIoU"], "hyper": finished.line["hyper"]}
        print(f"{method}: mIoU {100 * finished.line['metrics']['mIoU']:.2f}", flush=True)
        yield found


def _write_looks(path: Path, looks: dict[int, dict[str, np.ndarray]], log: list[dict]) -> None:
    """Write the maps of all kept epochs and the histograms of the loss by epoch into one file."""
    arrays = {name: np.stack([maps[name] for maps in looks.values()]) for name in next(iter(looks.values()))}
    arrays["epochs"] = np.array(list(looks))
    log = [row for row in log if "to_teacher" in row]
    if log:
        arrays["kd_epochs"] = np.array([row["epoch"] for row in log])
        arrays |= {name: np.array([row[name] for row in log], dtype=np.int32) for name in ("kd_right", "kd_wrong")}
        arrays |= {name: np.array([row[name] for row in log], dtype=np.float32) for name in ("to_teacher", "sure")}
    write_atomically(path, lambda temporary: _write(temporary, arrays))


def pick(batch: Sample, frames: list[int]) -> Sample:
    parts = {field: getattr(batch, field)[frames] for field in ("rgb", "x", "valid", "label")}
    return replace(batch, **parts, name=tuple(batch.name[i] for i in frames))


def networks(options: Options, folder: Path, _: str) -> Iterator[dict]:
    """Run part 2; yield the contents of its JSON file after every network."""
    test, names = test_frames(teacher_of(0, options.quick))
    small = torch.tensor([names.index(name) for name in SMALL])
    found: dict = {"levels": LEVELS, "small": SMALL, "runs": {}}
    for seed in options.seeds:
        for method in METHODS:
            net = net_of(recipe_of(method, seed, options.quick))
            if net is None:
                print(f"{method}, seed {seed}: not in the runs folder, left out", file=sys.stderr)
                continue
            logits = logits_of(net, test)
            p, answer = logits.softmax(1), logits.argmax(1)
            truth, right = p.gather(1, test.label[:, None])[:, 0], answer == test.label
            arrays = {
                "answer": answer.byte().numpy(),
                "truth": levels_of(truth, test.label, right, len(names)),
                "largest": levels_of(p.amax(1), test.label, right, len(names)),
                "small": bytes_of(truth[torch.isin(test.label, small)]),  # every pixel, but only those of small objects
            }
            write_atomically(folder / f"{method}-seed{seed}.npz", lambda path, arrays=arrays: _write(path, arrays))
            found["runs"].setdefault(method, {})[seed] = miou(answer, test.label, len(names))
            yield found


def faults(options: Options, folder: Path, _: str) -> Iterator[dict]:
    """Run part 3; yield the contents of its JSON file after every fault and seed."""
    found: dict = {"teacher": {}, "student": {}}
    for name, changes in experiments.EXPERIMENTS["faults"].items():
        fault = changes.get("dataset_options", {}).get("fault")
        test, names = test_frames(teacher_of(0, options.quick), fault)
        for seed in options.seeds:
            arrays = {}
            nets = {
                "teacher": net_of(teacher_of(seed, options.quick)),
                "student": net_of(experiments.recipes("faults", (seed,), quick=options.quick)[name][seed]),
            }
            for who, net in nets.items():
                if net is not None:
                    answer = logits_of(net, test).argmax(1)
                    arrays[who] = answer.byte().numpy()
                    iou = scores(confusion_matrix(answer, test.label, len(names)))["IoU"]
                    line = {"mIoU": miou(answer, test.label, len(names)), "IoU": dict(zip(names, iou, strict=True))}
                    found[who].setdefault(name, {})[seed] = line
            path = folder / f"fault-{name}-seed{seed}.npz"
            if arrays:
                write_atomically(path, lambda temporary, arrays=arrays: _write(temporary, arrays))
                yield found


PARTS = {"training": training, "networks": networks, "faults": faults}


def main(options: Options) -> None:
    torch.set_num_threads(1)  # so that every machine of the same kind computes the same numbers
    folder = Path(options.results, "inside", "toydrive", "mfnet")
    folder.mkdir(parents=True, exist_ok=True)
    recipe = teacher_of(0, options.quick)
    made = {"command": shlex.join(["python", *sys.argv]), **provenance(torch.device("cpu"))}
    made["reduced"] = result_header(Inputs(recipe))["reduced"]
    frames = {"split": recipe.splits[-1], "size": recipe.size, "data": recipe.dataset_options}
    for part in options.parts:
        for found in PARTS[part](options, folder, made["command"]):
            text = json.dumps(made | frames | found) + "\n"
            write_atomically(folder / f"{part}.json", lambda path, text=text: path.write_text(text, encoding="utf-8"))


if __name__ == "__main__":
    main(tyro.cli(Options))
