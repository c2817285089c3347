"""Record what the networks of ToyDrive's main table predict, for notebook 13, in results/inside.

There are three parts. Each writes its arrays, and a JSON file that says how they were made.

networks: Evaluates the finished networks of the main table on all test frames.
training: Trains LIX, as published, once more, and records what it predicts on the way. Its teacher is a finished run.
faults: Evaluates the former experiment's teachers, which were trained on clean X, on damaged X, and the students of
    such teachers.

The runs are read from the runs folder (LIX_RUNS, or runs/); one that is missing is left out.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import tyro
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional as F

from lixlib import checkpoints
from lixlib.core.files import write_atomically
from lixlib.data import Sample, collate
from lixlib.distillers import Distiller
from lixlib.functional import confidence
from lixlib.lab import experiments, inputs
from lixlib.lab.disagreement import objects
from lixlib.lab.inputs import Inputs
from lixlib.lab.plan import folder_of, runs_folder
from lixlib.lab.prepare import augmentation_of, distiller_of, schedule_of
from lixlib.lab.recipe import Recipe
from lixlib.lab.record import provenance, result_header
from lixlib.lab.regime import RARE
from lixlib.metrics import confusion_matrix, scores
from lixlib.nets import call
from lixlib.training import fit, launch

# the name of an arm in the files -> its name in the main table
ARMS = {
    "teacher": "teacher",
    "student": "student",
    "longer": "student, four times",
    "kd": "KD",
    "dist": "DIST",
    "rwld": "RWLD",
    "lix": "LIX, as published",
    "ours": "LIX, ours",
}
WATCHED = "lix"  # its controller is trained, so that its weights change
LOOKS = (1, 3, 10, 30)  # epochs whose maps are kept; the last epoch is kept as well
EDGES = (0.0, *np.geomspace(1e-4, 30, 49).tolist())  # bins of the loss per pixel, in nats; the last bin is open
ANSWERS = 150  # test frames whose answers are kept, pixel by pixel; they need most of the room
LEVELS = 50  # the histograms of probabilities have bins centred at 0, 1/50, ..., 1
ENOUGH = 6  # pixels of an object whose probabilities are summed up


@dataclass(frozen=True)
class Options:
    """What to write.

    Args:
        parts: Parts to run: networks, training, faults.
        seeds: Seeds of the finished runs.
        frames: Number of test frames whose maps are kept. Those with the most pixels of rare classes are chosen.
        results: Folder to which the results are written.
        quick: Networks of two epochs on a few frames, to check that everything works.
    """

    parts: tuple[Literal["networks", "training", "faults"], ...] = ("networks", "training", "faults")
    seeds: tuple[int, ...] = (0, 1, 2, 3)
    frames: int = 4
    results: str = "results"
    quick: bool = False


def recipe_of(arm: str, seed: int, quick: bool = False) -> Recipe:
    return experiments.recipes("main", (seed,), quick=quick)[ARMS[arm]][seed]


def most_small_things(label: Tensor, names: tuple[str, ...], count: int) -> list[int]:
    """Return the `count` frames with the most pixels of `RARE`, in ascending order. **Shapes**: label (N, H, W)."""
    wanted = torch.tensor([names.index(name) for name in RARE])
    pixels = torch.isin(label, wanted).flatten(1).sum(1)
    return sorted(pixels.argsort(descending=True, stable=True)[:count].tolist())


def bytes_of(share: Tensor) -> np.ndarray:
    """Quantise numbers in [0, 1] to whole numbers from 0 to 255. **Shapes**: any -> the same, uint8."""
    return (share * 255).round().byte().numpy()


def mistakes(answer: Tensor, label: Tensor) -> np.ndarray:
    """Return 0 where the answer is right, else 1 + its class; this compresses well. **Shapes**: (N, H, W) -> uint8."""
    return torch.where(answer == label, 0, answer + 1).byte().numpy()[:ANSWERS]


def non_target_mean(weight: Tensor, label: Tensor) -> Tensor:
    """Average W over all classes but the labelled one. **Shapes**: W (B, C, H, W), label (B, H, W) -> (B, H, W)."""
    at_target = weight.gather(1, label[:, None])[:, 0]
    return (weight.sum(1) - at_target) / (weight.shape[1] - 1)


def maps_of(logits: Tensor) -> dict[str, np.ndarray]:
    """Return probabilities and confidence as uint8. **Shapes**: (B, C, H, W) -> (B, C, H, W), (B, H, W)."""
    return {"probability": bytes_of(logits.softmax(1)), "confidence": bytes_of(confidence(logits))}


def loss_histogram(student: Tensor, teacher: Tensor, label: Tensor) -> np.ndarray:
    """Count the pixels by their KL divergence, where the student is right and where it is wrong.

    **Shapes**: logits (N, C, H, W), twice, label (N, H, W) -> (2, len(EDGES)) int32.
    """
    loss = F.kl_div(student.log_softmax(1), teacher.log_softmax(1), log_target=True, reduction="none").sum(1)
    bins = torch.searchsorted(torch.tensor((*EDGES[1:], torch.inf)), loss, right=True)
    right = student.argmax(1) == label
    counts = [torch.bincount(bins[chosen], minlength=len(EDGES)) for chosen in (right, ~right)]
    return torch.stack(counts).int().numpy()


class Observer:
    """At the epochs of `LOOKS`, save maps of the kept frames and the histogram of the loss over the test frames."""

    def __init__(self, folder: Path, kept: Sample, test: Sample, teacher: nn.Module, epochs: int):
        self.folder, self.kept, self.test, self.teacher = folder, kept, test, teacher
        self.epochs = [epoch for epoch in LOOKS if epoch < epochs] + [epochs]
        self.taught = logits_of(teacher, test)

    def __call__(self, epoch: int, distiller: Distiller) -> dict:
        if epoch in self.epochs:
            maps = self.maps(distiller)
            maps["loss"] = loss_histogram(logits_of(distiller.student, self.test), self.taught, self.test.label)
            write_atomically(self.folder / f"look{epoch}.npz", lambda path: _write(path, maps))
        return {}

    def maps(self, distiller: Distiller) -> dict[str, np.ndarray]:
        kept = self.kept
        output = distiller.student(kept.rgb)
        weight = distiller.method.dwld.weights(output, call(self.teacher, kept.rgb, kept.x), kept.label)
        weight = non_target_mean(weight, kept.label)
        low, high = float(weight.min()), float(weight.max())
        scaled = bytes_of((weight - low) / max(high - low, 1e-6))
        return {**maps_of(output.logits), "weight": scaled, "weight_range": np.array([low, high], dtype=np.float32)}

    def looks(self) -> dict[str, np.ndarray]:
        """Return what was saved, the epochs one after the other."""
        saved = []
        for epoch in self.epochs:
            with np.load(self.folder / f"look{epoch}.npz") as file:
                saved.append(dict(file))
        return {name: np.stack([maps[name] for maps in saved]) for name in saved[0]} | {"epochs": np.array(self.epochs)}


def _write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with path.open("wb") as file:  # numpy would append .npz to a name, but not to a file
        np.savez_compressed(file, **arrays)


def net_of(recipe: Recipe) -> nn.Module | None:
    """Load the network of a finished run, or return None if the run is not in the runs folder."""
    path = runs_folder() / folder_of(recipe) / "weights.safetensors"
    if not (path.parent / "result.jsonl").exists():
        print(f"{path.parent.name}: not in the runs folder, left out", file=sys.stderr)
        return None
    return checkpoints.load(path)[0]


@torch.no_grad()
def logits_of(net: nn.Module, batch: Sample) -> Tensor:
    """Compute the logits of all frames, 50 at a time. **Shapes**: N frames -> (N, C, H, W)."""
    parts = zip(batch.rgb.split(50), batch.x.split(50), strict=True)
    return torch.cat([call(net, rgb, x).logits for rgb, x in parts])


def levels_of(p: Tensor, label: Tensor, classes: int) -> np.ndarray:
    """Count the levels of a probability, by true class.

    **Shapes**: p in [0, 1] and label (N, H, W) -> (C, LEVELS + 1) int32.
    """
    index = label * (LEVELS + 1) + (p * LEVELS).round().long()
    return torch.bincount(index.flatten(), minlength=classes * (LEVELS + 1)).reshape(classes, -1).int().numpy()


def in_objects(p: Tensor, label: Tensor, names: tuple[str, ...]) -> np.ndarray:
    """Mean and standard deviation of a probability in every object of `RARE` with at least `ENOUGH` pixels.

    **Shapes**: p and label (N, H, W) -> (2, objects) float16, the objects in the order of `disagreement.objects`.
    """
    pieces, values = objects(label).numpy(), p.double().numpy()
    rare = torch.isin(label, torch.tensor([names.index(name) for name in RARE])).numpy()
    found, sizes = np.unique(pieces[rare], return_counts=True)
    found = found[sizes >= ENOUGH]
    about = {"labels": pieces, "index": found}
    return np.stack([ndimage.mean(values, **about), ndimage.standard_deviation(values, **about)]).astype(np.float16)


def miou(answer: Tensor, label: Tensor, classes: int) -> float:
    return round(scores(confusion_matrix(answer.long(), label, classes))["mIoU"], 6)


def test_frames(recipe: Recipe, fault: str | None = None) -> tuple[Sample, tuple[str, ...]]:
    """Return all test frames as one batch and the class names. X is damaged by `fault`, or clean without one."""
    data = {name: value for name, value in recipe.dataset_options.items() if name != "fault"} | (
        {"fault": fault} if fault else {}
    )
    test = inputs.load(replace(recipe, dataset_options=data), recipe.splits[-1], with_x=True)
    return collate(list(test)), test.classes.names


def pick(batch: Sample, frames: list[int]) -> Sample:
    parts = {field: getattr(batch, field)[frames] for field in ("rgb", "x", "valid", "label")}
    return replace(batch, **parts, name=tuple(batch.name[i] for i in frames))


def networks(options: Options, folder: Path) -> Iterator[dict]:
    """Run the first part; yield the contents of its JSON file after every arm."""
    test, names = test_frames(recipe_of("teacher", 0, options.quick))
    kept = most_small_things(test.label, names, options.frames)
    about = {"frames": kept, "levels": LEVELS, "edges": EDGES, "enough": ENOUGH, "answers": ANSWERS, "runs": {}}
    teachers: dict[int, Tensor] = {}
    for arm in ARMS:
        nets = {seed: net_of(recipe_of(arm, seed, options.quick)) for seed in options.seeds}
        found: dict[int, dict[str, np.ndarray]] = {}
        for seed, net in nets.items():
            if net is None:
                continue
            logits = logits_of(net, test)
            if arm == "teacher":
                teachers[seed] = logits
            found[seed] = seen(logits, teachers.get(seed), test.label, names)
            about["runs"].setdefault(arm, {})[seed] = miou(logits.argmax(1), test.label, len(names))
            if len(found) == 1:  # maps of the first seed
                maps = maps_of(logits[kept])
        if found:
            by_seed = {
                name: np.stack([each[name] for each in found.values()], -1) for name in next(iter(found.values()))
            }
            arrays = {**by_seed, **maps, "seeds": np.array(list(found))}
            write_atomically(folder / f"{arm}.npz", lambda path, arrays=arrays: _write(path, arrays))
            yield about


def seen(logits: Tensor, teacher: Tensor | None, label: Tensor, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """What is kept of one network on all test frames; the histogram of the loss only where its teacher is there.

    **Shapes**: logits (N, C, H, W), twice, label (N, H, W) -> mistakes (ANSWERS, H, W); right pixels (N,); sums of
    the largest probability where wrong and where right (N, 2) and of the truth's by class (N, C); histograms.
    """
    p, answer = logits.softmax(1), logits.argmax(1)
    truth, right = p.gather(1, label[:, None])[:, 0], answer == label
    largest = p.amax(1)
    found = {
        "mistakes": mistakes(answer, label),
        "hits": right.sum((1, 2)).int().numpy(),
        "sure": torch.stack([(largest * chosen).sum((1, 2)) for chosen in (~right, right)], 1).numpy(),
        "truth": torch.stack([(truth * (label == c)).sum((1, 2)) for c in range(len(names))], 1).half().numpy(),
        "levels": levels_of(truth, label, len(names)),
        "objects": in_objects(truth, label, names),
    }
    return found if teacher is None else {**found, "loss": loss_histogram(logits, teacher, label)}


def training(options: Options, folder: Path) -> Iterator[dict]:
    """Run the second part; yield the contents of its JSON file."""
    recipe, teacher = recipe_of(WATCHED, 0, options.quick), net_of(recipe_of("teacher", 0, options.quick))
    if teacher is None:
        return
    test, names = test_frames(recipe_of("teacher", 0, options.quick))
    kept = most_small_things(test.label, names, options.frames)
    train = Inputs(recipe).train
    distiller = distiller_of(recipe, teacher, train, progress=False)
    watched = runs_folder() / "watched" / folder_of(recipe).name
    observer = Observer(watched, pick(test, kept), test, teacher, recipe.epochs)
    about = {"augment": augmentation_of(recipe), "fabric": launch("cpu", recipe.precision), "progress": False}
    fit(distiller, train, schedule_of(recipe), folder=watched, observe=observer, **about)
    looks = observer.looks()
    write_atomically(folder / "training.npz", lambda path: _write(path, looks))
    answer = logits_of(distiller.student, test).argmax(1)
    yield {"frames": kept, "arm": WATCHED, "seed": 0, "mIoU": miou(answer, test.label, len(names))}


def faults(options: Options, folder: Path) -> Iterator[dict]:
    """Run the third part; yield the contents of its JSON file after every seed."""
    variants = list(experiments.EXPERIMENTS["faults"])
    about: dict = {"teacher": {name: {} for name in variants}, "follows": {name: {} for name in variants[1:]}}
    pictures: dict[str, np.ndarray] = {}
    for seed in options.seeds:
        (teacher_recipe,) = experiments.recipes("baselines", (seed,), quick=options.quick)["teacher"].values()
        teacher = net_of(teacher_recipe)
        if teacher is None:
            continue
        answers: dict[str, Tensor] = {}
        for name in variants:
            changes = experiments.EXPERIMENTS["faults"][name].get("dataset_options", {})
            test, names = test_frames(teacher_recipe, changes.get("fault"))
            answers[name] = logits_of(teacher, test).argmax(1)
            about["teacher"][name][seed] = miou(answers[name], test.label, len(names))
        if not pictures:
            pictures = {name: mistakes(answer, test.label) for name, answer in answers.items()}
            write_atomically(folder / "faults.npz", lambda path, arrays=pictures: _write(path, arrays))
        recipes = experiments.recipes("faults", (seed,), quick=options.quick)
        students = {name: net_of(recipes[name][seed]) for name in variants}
        said = {name: logits_of(net, test).argmax(1) for name, net in students.items() if net is not None}
        for name in said:
            if "clean" in said and name != "clean":
                about["follows"][name][seed] = follows(answers, said, name, test.label)
        yield about


def follows(teachers: dict[str, Tensor], students: dict[str, Tensor], fault: str, label: Tensor) -> list[float]:
    """How often two students repeat what a damaged X made wrong: its own student, and the student of the clean X.

    Of the pixels that the teacher has right with a clean X and wrong with the damaged one, the share where the student
    answers as the teacher with the damaged X does. **Shapes**: all (N, H, W) -> two shares.
    """
    spoilt = (teachers["clean"] == label) & (teachers[fault] != label)
    return [float((students[name] == teachers[fault])[spoilt].double().mean()) for name in (fault, "clean")]


PARTS = {"networks": networks, "training": training, "faults": faults}


def command_of(part: str, options: Options) -> str:
    """The command that makes one part with its seeds, and tells no folder of this machine."""
    words = ["--parts", part, "--seeds", *map(str, options.seeds), "--frames", str(options.frames)]
    return " ".join(["python tools/studies/look_inside.py", *words, *(["--quick"] if options.quick else [])])


def main(options: Options) -> None:
    torch.set_num_threads(1)  # so that every machine of the same kind computes the same numbers
    folder = Path(options.results, "inside", "toydrive", "mfnet")
    folder.mkdir(parents=True, exist_ok=True)
    made = provenance(torch.device("cpu"))
    former = experiments.recipes("baselines", quick=options.quick)["teacher"][0]
    for part in options.parts:
        recipe = former if part == "faults" else recipe_of("teacher", 0, options.quick)
        told = {"command": command_of(part, options)} | made | {"reduced": result_header(Inputs(recipe))["reduced"]}
        told |= {"split": recipe.splits[-1], "size": recipe.size, "data": recipe.dataset_options}
        for found in PARTS[part](options, folder):
            text = json.dumps(told | found) + "\n"
            write_atomically(folder / f"{part}.json", lambda path, text=text: path.write_text(text, encoding="utf-8"))


if __name__ == "__main__":
    main(tyro.cli(Options))
