"""Write what every method predicts on a few test images, for notebook 10, to results/history/predictions.

There is one small PNG for each method with seed 0. It shows the predicted label maps one below the other, in the
colours of the classes. The weights are read from the runs folder (LIX_RUNS, or runs/), and the result lines say which
runs belong together. The true labels are written only where their licence allows it, which CamVid's does not.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import tyro
from PIL import Image
from torch import nn

from lixlib import checkpoints, data
from lixlib.core.files import read_json_lines, write_atomically
from lixlib.core.sample import Sample
from lixlib.data.classes import Classes
from lixlib.lab import inputs, results
from lixlib.lab.plan import runs_folder
from lixlib.lab.recipe import Recipe
from lixlib.lab.record import identity
from lixlib.nets import call

FREE_TRUTH = ("toydrive", "potholes")


@dataclass(frozen=True)
class Options:
    """What to predict.

    Args:
        dataset: Data set: toydrive, camvid or potholes.
        root: Folder of the data set's files; toydrive renders its own.
        network: Name of the network.
        images: Number of test images, at least two.
        epochs: Number of epochs of the runs. By default, that of the tables.
        results: Folder of the result lines and of the pictures.
    """

    dataset: str = "toydrive"
    root: str | None = None
    network: str = "mfnet"
    images: int = 8
    epochs: int | None = None
    results: str = "results/history"


def evenly(total: int, images: int) -> list[int]:
    return [round(i * (total - 1) / (images - 1)) for i in range(images)]


def predict(net: nn.Module, samples: Sequence[Sample]) -> np.ndarray:
    """Return the predicted classes. **Shapes**: N samples of (H, W) -> (N, H, W) uint8."""
    batch = data.collate(list(samples))
    with torch.no_grad():
        output = call(net, batch.rgb, batch.x)
    return output.logits.argmax(1).byte().numpy()


def write_labels(path: Path, labels: np.ndarray, classes: Classes) -> None:
    """Write label maps one below the other as a palette PNG; ignored pixels are black. **Shapes**: (N, H, W) uint8."""
    image = Image.fromarray(labels.reshape(-1, labels.shape[-1]))
    palette = np.zeros((256, 3), dtype=np.uint8)
    palette[: len(classes)] = classes.colours
    image.putpalette(palette.tobytes())
    write_atomically(path, lambda temporary: image.save(temporary, format="PNG", optimize=True))


def main(options: Options) -> None:
    runs = results.by_method(results.read(options.results, options.dataset, options.network), options.epochs)
    lines = {method: by_seed[0] for method, by_seed in runs.items() if 0 in by_seed}
    if not lines:
        sys.exit(f"no runs of seed 0 in {options.results}: make them by `lix compare`")
    finished = (runs_folder() / options.dataset / options.network).glob("*/result.jsonl")
    folders = {identity(line): path.parent for path in finished for line in read_json_lines(path)}

    first = next(iter(lines.values()))
    recipe = replace(Recipe.read({**first["recipe"], "hyper": {}, "method": "teacher"}, trust=True), root=options.root)
    if options.dataset == "toydrive":  # its frames are in random order, so the first ones will do
        recipe = replace(recipe, dataset_options={**recipe.dataset_options, "eval_count": options.images})
    test = inputs.load(recipe, first["split"], with_x=True)
    indices = evenly(len(test), options.images)
    samples = [test[index] for index in indices]

    target = Path(options.results, "predictions", options.dataset, options.network)
    for method, line in lines.items():
        folder = folders.get(identity(line))
        if folder is None:
            print(f"{method}: its run is not in {runs_folder()}, left out", file=sys.stderr)
            continue
        net, _ = checkpoints.load(folder / "weights.safetensors")
        write_labels(target / f"{method}.png", predict(net, samples), test.classes)
        print(target / f"{method}.png")
    if options.dataset in FREE_TRUTH:
        truth = torch.stack([sample.label for sample in samples]).byte().numpy()
        write_labels(target / "truth.png", truth, test.classes)
    names = [sample.name for sample in samples]
    frames = {
        "split": first["split"],
        "size": first["size"],
        "data": recipe.dataset_options,
        "indices": indices,
        "names": names,
    }
    write_atomically(target / "frames.json", lambda temporary: temporary.write_text(json.dumps(frames) + "\n"))


if __name__ == "__main__":
    main(tyro.cli(Options))
