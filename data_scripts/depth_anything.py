"""Relative inverse depth of photographs by Depth Anything (Yang et al., NeurIPS 2024): an X where none was measured.

    python data_scripts/depth_anything.py --images photographs --out disparity

Every image becomes a 16-bit PNG of its name and size: 65535 is the nearest point, 1 the farthest; 0 would be invalid
and does not occur. Images that have one are left alone, so the command goes on where it was interrupted.
"""

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import common
import numpy as np
import torch
import torch.nn.functional as F
import tyro
from PIL import Image

from lixlib.data.images import PHOTOS, check_twins, choose_images, open_photo, warn_of

MODEL = "depth-anything/Depth-Anything-V2-Small-hf"

Option = Annotated[
    str | None,
    tyro.conf.arg(
        name="depth-anything",
        metavar="MODEL",
        help=f"Make X with this model: a name on the Hugging Face hub, such as {MODEL}, or a folder.",
    ),
]


def main(
    images: common.Folder,
    out: common.Folder,
    model: str = MODEL,
    limit: common.Limit = None,
    dry_run: tyro.conf.FlagCreatePairsOff[bool] = False,
) -> int:
    """Make a depth map of every photograph in a folder and below it.

    Args:
        images: Folder of .jpg, .jpeg and .png files.
        out: Folder for the depth maps; subfolders stay as they are.
        model: Depth Anything: a name on the Hugging Face hub, or a folder.
        limit: Only the first N images.
        dry_run: Say what would be done, and do nothing.
    """
    photos = photographs(images, out)
    if not photos:
        raise FileNotFoundError(f"no {', '.join(PHOTOS)} images in {images}")
    return int(make(dict(itertools.islice(photos.items(), limit)), model, dry_run) > 0)


def photographs(images: Path, out: Path) -> dict[Path, Path]:
    """The images in a folder and below it, each by the PNG file in `out` that its depth goes to.

    What lies in hidden folders, and in `out` where that is one of those below, is no photograph.

    Raises:
        ValueError: `out` is the folder itself, or two images differ in their suffix alone.
    """
    if out.resolve() == images.resolve():
        raise ValueError(f"{out} holds the photographs, which depth maps of their names would replace: choose another")
    below = {path: path.relative_to(images) for path in sorted(images.rglob("*"))}
    shown = [
        path
        for path, name in below.items()
        if not any(part.startswith(".") for part in name.parts) and not path.resolve().is_relative_to(out.resolve())
    ]
    found, others = choose_images(shown, PHOTOS)
    warn_of(others, images, PHOTOS)
    check_twins(found, lambda path: path.with_suffix(""))
    return {(out / below[path]).with_suffix(".png"): path for path in found}


def make(photos: Mapping[Path, Path], model: str, dry_run: bool) -> int:
    """Write the depth of every photograph whose PNG file is not there; how many could not be made.

    Raises:
        OSError: no such model, or no network to fetch it.
    """

    def load() -> Callable[[Path], np.ndarray]:
        from transformers import AutoImageProcessor, AutoModelForDepthEstimation  # here alone: optional, slow to import

        device = "cuda" if torch.cuda.is_available() else "cpu"
        processor = AutoImageProcessor.from_pretrained(model, backend="pil")  # the other backend needs torchvision
        network = AutoModelForDepthEstimation.from_pretrained(model).to(device).eval()
        return lambda path: estimate(network, processor, open_photo(path))

    return common.make_images("depth", photos, load, dry_run)


@torch.inference_mode()
def estimate(network: torch.nn.Module, processor: object, image: Image.Image) -> np.ndarray:
    """Relative inverse depth of an image, (H, W) uint16 from 1 (farthest) to 65535 (nearest).

    Raises:
        ValueError: the network gives numbers that are not finite.
    """
    pixels = processor(images=image, return_tensors="pt")["pixel_values"].to(network.device)
    inverse = network(pixel_values=pixels).predicted_depth[:, None].float()
    inverse = F.interpolate(inverse, size=(image.height, image.width), mode="bicubic", align_corners=False)[0, 0]
    if not inverse.isfinite().all():
        raise ValueError("the network gave depth that is not finite: try another model")
    low, high = inverse.aminmax()
    inverse = (inverse - low) / (high - low).clamp(min=torch.finfo(inverse.dtype).tiny)
    return (1 + 65534 * inverse).round().cpu().numpy().astype(np.uint16)


if __name__ == "__main__":
    common.cli(main, __doc__)
