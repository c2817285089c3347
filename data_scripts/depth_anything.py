"""Relative inverse depth of photographs by Depth Anything (Yang et al., NeurIPS 2024), as X where none was measured.

    python data_scripts/depth_anything.py --images photographs --out disparity

Every image gives a 16-bit PNG file of the same name and size: 65535 is the nearest point, 1 is the farthest, and 0,
which means unknown, does not occur. Existing files are kept, so that the command continues after an interruption.
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
        out: Folder for the depth maps, which get the same subfolders.
        model: Depth Anything, as a name on the Hugging Face hub or as a folder.
        limit: Take only the first N images.
        dry_run: Only say what would be done.
    """
    photos = photographs(images, out)
    if not photos:
        raise FileNotFoundError(f"no {', '.join(PHOTOS)} images in {images}")
    return int(make(dict(itertools.islice(photos.items(), limit)), model, dry_run) > 0)


def photographs(images: Path, out: Path) -> dict[Path, Path]:
    """Map the PNG file in `out` for every depth map to its photograph, for the images in a folder and below it.

    Files in hidden folders are left out, and so are those in `out` if it lies below the folder.

    Raises:
        ValueError: `out` is the folder itself, or two images differ only in their suffix.
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
    """Write the depth of every photograph whose PNG file does not exist; return how many could not be made.

    Raises:
        OSError: there is no such model, or it cannot be fetched.
    """

    def load() -> Callable[[Path], np.ndarray]:
        from transformers import AutoImageProcessor, AutoModelForDepthEstimation  # optional, and slow to import

        device = "cuda" if torch.cuda.is_available() else "cpu"
        processor = AutoImageProcessor.from_pretrained(model, backend="pil")  # the other backend needs torchvision
        network = AutoModelForDepthEstimation.from_pretrained(model).to(device).eval()
        return lambda path: estimate(network, processor, open_photo(path))

    return common.make_images("depth", photos, load, dry_run)


@torch.inference_mode()
def estimate(network: torch.nn.Module, processor: object, image: Image.Image) -> np.ndarray:
    """Estimate the relative inverse depth of an image, from 1 (farthest) to 65535 (nearest).

    **Shapes**: -> (H, W) uint16.

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
