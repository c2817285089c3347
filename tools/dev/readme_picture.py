"""Draw the README's picture: street scenes, and what the networks that ship with the library make of them."""

import io
from pathlib import Path

import torch

from lixlib import checkpoints, plots
from lixlib.core.files import write_atomically
from lixlib.data import load
from lixlib.nets import call

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "what_lix_does.png"
FRAMES = (3, 9, 12)  # of the test split: chosen for what they show, not for their scores
NETWORKS = {"teacher (RGB + X)": "teacher", "student (RGB)": "student", "LIX student (RGB)": "lix"}


def draw() -> bytes:
    """The picture as PNG bytes."""
    nets = {title: checkpoints.load(checkpoints.shipped(f"toydrive-mfnet-{name}")) for title, name in NETWORKS.items()}
    _, recipe = next(iter(nets.values()))
    difficulty = recipe["recipe"]["data"]["difficulty"]
    scenes = load("toydrive", "test", size=tuple(recipe["size"]), eval_count=max(FRAMES) + 1, difficulty=difficulty)
    samples = [scenes[index] for index in FRAMES]
    rows = {
        "RGB": [sample.rgb for sample in samples],
        "X: disparity": [sample.x for sample in samples],
        "truth": [plots.colour_labels(sample.label, scenes.classes) for sample in samples],
    }
    for title, (net, _) in nets.items():
        with torch.no_grad():
            outputs = [call(net, s.rgb[None], s.x[None]) for s in samples]
        rows[title] = [plots.colour_labels(output.logits[0].argmax(0), scenes.classes) for output in outputs]
    buffer = io.BytesIO()
    plots.gallery(rows, width=12).savefig(buffer, format="png", dpi=110, bbox_inches="tight", facecolor="white")
    return buffer.getvalue()


if __name__ == "__main__":
    picture = draw()
    write_atomically(PICTURE, lambda temporary: temporary.write_bytes(picture))
