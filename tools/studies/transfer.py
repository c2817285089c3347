"""Test trained networks on data that they were not trained on, for notebook 14. The results are in results/transfer.

The first part tests the students of `lix experiment methods` on ToyDrive frames of every difficulty, by weather, and
measures how well calibrated their probabilities are. It needs the finished runs in the runs folder (LIX_RUNS, or
runs/). The second part tests the networks that ship with the library on ToyDrive and on CamVid, over the classes that
both have. It needs CamVid's files for the tests on CamVid. A result that exists is not computed again; delete its line
to repeat it.
"""

import json
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

import torch
import tyro
from torch import Tensor, nn

from lixlib import checkpoints, data
from lixlib.core.files import read_json_lines, write_json_lines
from lixlib.core.sample import IGNORE
from lixlib.data.toydrive import ToyDrive
from lixlib.data.toydrive.scene import WEATHERS, make_scene, weather
from lixlib.lab import experiments, record
from lixlib.lab.plan import folder_of, runs_folder
from lixlib.metrics import confusion_matrix, reliability, scores
from lixlib.nets import call

DIFFICULTIES = (0.0, 0.2, 0.5, 0.8)
BINS = 30  # bins of the confidence; a notebook can merge them
SHIPPED = ("toydrive-mfnet-student", "toydrive-mfnet-lix", "camvid-mfnet-student", "camvid-mfnet-lix-ours")
# The classes that both data sets have. They follow the usual grouping of CamVid's 32 labels into eleven classes, in
# which lane marks are road, trucks are cars, and traffic lights are signs. Terrain, fence and bicyclist have no
# counterpart in the other data set.
COMMON = ("road", "sidewalk", "building", "pole", "tree", "sky", "car", "pedestrian", "sign")
SAME = {"lane mark": "road", "truck": "car", "traffic sign": "sign", "traffic light": "sign"}


@dataclass(frozen=True)
class Options:
    """What to test.

    Args:
        experiments: Experiments whose runs are tested on ToyDrive.
        seeds: Seeds of these runs.
        difficulties: Difficulties of the ToyDrive frames. Each frame is rendered once and takes a third of a second.
        frames: Number of ToyDrive test frames of each difficulty. By default, as many as the run was tested on.
        camvid: Folder of CamVid's files. Without it, CamVid is left out.
        results: Folder to which the results are written.
    """

    experiments: tuple[str, ...] = ("baselines", "methods")
    seeds: tuple[int, ...] = (0, 1, 2)
    difficulties: tuple[float, ...] = DIFFICULTIES
    frames: int | None = None
    camvid: str | None = None
    results: str = "results"


def answer(net: nn.Module, samples: Sequence) -> tuple[Tensor, Tensor]:
    """Return the predicted probabilities and the labels. **Shapes**: B samples -> (B, C, H, W), (B, H, W)."""
    batch = data.collate(list(samples))
    with torch.no_grad():
        output = call(net, batch.rgb, batch.x)
    return output.logits.softmax(1), batch.label


def sixteen(samples: Sequence) -> list[Sequence]:
    return [samples[i : i + 16] for i in range(0, len(samples), 16)]


@cache
def weathers(seed: int, indices: range, difficulty: float) -> list[str]:
    return [weather(make_scene(seed, index, difficulty)) for index in indices]


def on_toydrive(net: nn.Module, frames: ToyDrive) -> dict:
    """Compute a confusion matrix for each weather (rows are the truth), and the `reliability` over all frames."""
    kinds = weathers(frames.seed, frames.indices, frames.difficulty)
    by_weather = {kind: [s for s, k in zip(frames, kinds, strict=True) if k == kind] for kind in WEATHERS}
    count, bins = len(frames.classes), torch.zeros(3, BINS, dtype=torch.float64)
    confusion = {}
    for kind, samples in by_weather.items():
        matrix = torch.zeros(count, count, dtype=torch.int64)
        for some in sixteen(samples):
            probability, label = answer(net, some)
            matrix += confusion_matrix(probability.argmax(1), label, count)
            bins += reliability(probability, label, bins=BINS)
        confusion[kind] = matrix.tolist()
    rows = [[round(value, 2) for value in row] for row in bins.tolist()]
    return {
        "frames": {kind: len(samples) for kind, samples in by_weather.items()},
        "confusion": confusion,
        "bins": rows,
    }


def to_common(names: Iterable[str]) -> Tensor:
    """Map each class to its index in `COMMON`, or to len(COMMON) if it has no counterpart. **Shapes**: (C,) int64."""
    partners = (SAME.get(name, name) for name in names)
    return torch.tensor([COMMON.index(name) if name in COMMON else len(COMMON) for name in partners])


def on_common(net: nn.Module, known: Sequence[str], samples: Sequence, names: Sequence[str]) -> Tensor:
    """Compute the confusion matrix over the common classes; pixels of any other true class are ignored.

    **Shapes**: (K + 1, K + 1) int64. Rows are the truth; the last column counts predictions of other classes.

    Args:
        known: The network's classes.
        names: The data set's classes.
    """
    predicted, true = to_common(known), torch.full((IGNORE + 1,), IGNORE)
    true[: len(names)] = to_common(names).where(to_common(names) < len(COMMON), IGNORE)
    matrix = torch.zeros(len(COMMON) + 1, len(COMMON) + 1, dtype=torch.int64)
    for some in sixteen(samples):
        probability, label = answer(net, some)
        matrix += confusion_matrix(predicted[probability.argmax(1)], true[label], len(COMMON) + 1)
    return matrix


class Lines:
    """The results in one file, with one line for each network and test set."""

    def __init__(self, path: Path, command: str):
        self.path, self.command = path, command
        lines = read_json_lines(path) if path.exists() else []
        self.by_key = {self.key(line): line for line in lines}

    @staticmethod
    def key(line: dict) -> str:
        return json.dumps([line["network"], line["tested_on"]], sort_keys=True)

    def has(self, network: str, tested_on: dict) -> bool:
        return self.key({"network": network, "tested_on": tested_on}) in self.by_key

    def add(self, line: dict) -> None:
        line |= record.provenance(torch.device("cpu")) | {"command": self.command}
        self.by_key[self.key(line)] = line
        write_json_lines(self.path, self.by_key.values())


def difficulties(options: Options, lines: Lines) -> None:
    """Test every run of the experiments on ToyDrive frames of every difficulty."""
    for name in options.experiments:
        recipes = experiments.recipes(name, options.seeds)
        for difficulty, (variant, by_seed) in product(options.difficulties, recipes.items()):
            for seed, recipe in by_seed.items():
                tested = {"dataset": "toydrive", "size": list(recipe.size), "difficulty": difficulty}
                tested["frames"] = options.frames or recipe.dataset_options.get("eval_count") or 300
                if lines.has(str(folder_of(recipe)), tested):
                    continue
                folder = runs_folder() / folder_of(recipe)
                if not (folder / "result.jsonl").exists():
                    print(f"{variant}, seed {seed}: its run is not in {runs_folder()}, left out", file=sys.stderr)
                    continue
                net, _ = checkpoints.load(folder / "weights.safetensors")
                (line,) = read_json_lines(folder / "result.jsonl")
                frames = ToyDrive("test", size=recipe.size, count=tested["frames"], difficulty=difficulty)
                found = on_toydrive(net, frames)
                trained = {key: recipe.dataset_options[key] for key in ("count", "difficulty")}
                about = {"network": str(folder_of(recipe)), "variant": variant, "method": recipe.method, "seed": seed}
                lines.add({**about, "trained_on": trained, "tested_on": tested, **found})
                score = 100 * scores(sum(torch.tensor(m) for m in found["confusion"].values()))["mIoU"]
                own = f", its line says {100 * line['metrics']['mIoU']:.2f}" * (difficulty == trained["difficulty"])
                print(f"{variant}, seed {seed}, difficulty {difficulty:g}: mIoU {score:.2f}{own}", flush=True)


def other_sets(options: Options, lines: Lines) -> None:
    """Test the shipped networks on ToyDrive and CamVid, over the common classes."""
    loaded = {name: checkpoints.load(checkpoints.shipped(name)) for name in SHIPPED}
    home = {recipe["recipe"]["dataset"]: recipe for _, recipe in loaded.values()}
    for dataset, about in home.items():
        root = {"toydrive": None, "camvid": options.camvid}[dataset]
        if dataset == "camvid" and root is None:
            print("no --camvid FOLDER: CamVid is left out", file=sys.stderr)
            continue
        rare = {"difficulty": about["recipe"]["data"]["difficulty"]} if dataset == "toydrive" else {}
        split = about["recipe"]["splits"][-1]
        more = {"eval_count": options.frames, **rare} if dataset == "toydrive" else {"with_x": False}
        samples = data.load(dataset, split, root=root, size=tuple(about["size"]), **more)
        tested = {"dataset": dataset, "split": split, "size": list(about["size"]), "frames": len(samples), **rare}
        for name, (net, recipe) in loaded.items():
            if lines.has(name, tested):
                continue
            matrix = on_common(net, recipe["classes"], list(samples), samples.classes.names)
            iou = scores(matrix)["IoU"][: len(COMMON)]
            trained = {"dataset": recipe["recipe"]["dataset"], "size": list(recipe["size"])}
            method = {"method": recipe["recipe"]["method"], "seed": recipe["recipe"]["seed"]}
            found = {"classes": COMMON, "confusion": matrix.tolist()}
            lines.add({"network": name, **method, "trained_on": trained, "tested_on": tested, **found})
            print(f"{name} on {dataset}: mIoU over {len(COMMON)} classes {100 * sum(iou) / len(iou):.2f}", flush=True)


def main(options: Options) -> None:
    words = [Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:]]  # no absolute paths
    command = shlex.join(["python", "-m", "tools.studies.transfer", *words])
    folder = Path(options.results, "transfer")
    other_sets(options, Lines(folder / "datasets.jsonl", command))
    difficulties(options, Lines(folder / "toydrive.jsonl", command))


if __name__ == "__main__":
    main(tyro.cli(Options))
