"""Chapter 08: what label and disparity files hold."""

from functools import partial

import torch
from torch import Tensor

from lixlib.core.constants import IGNORE
from lixlib.course.checker import Exercise, Inputs
from lixlib.data.classes import CITYSCAPES_IDS
from lixlib.data.readers.kitti import depth_of


def _disparity_files(generator: torch.Generator) -> Inputs:
    def whole(low, high, dtype=torch.int32):
        return torch.randint(low, high, (5, 7), generator=generator).to(dtype)

    holes = whole(2, 20_000)
    holes[1:3, 2:6] = 0
    far = holes.clone()
    far[0] = 1
    return {
        "a file without holes": (whole(2, 20_000), 2262.52, 0.2093),
        "pixels that were not measured": (holes, 2262.52, 0.2093),
        "pixels without disparity": (far, 721.5, 0.5327),
        "unsigned numbers": (whole(0, 4, torch.uint8), 2262.52, 0.2093),
    }


def _cityscapes_depth(p: Tensor, focal: float, baseline: float, steps: int = 256, offset: int = 1) -> Tensor:
    return depth_of(((p.double() - offset) / steps).clamp(min=0), focal, baseline)


def _label_files(generator: torch.Generator) -> Inputs:
    known = torch.tensor([*CITYSCAPES_IDS, -1])
    train_ids = torch.tensor([*CITYSCAPES_IDS.values(), IGNORE])
    order = torch.randperm(len(known), generator=generator)
    known, train_ids = known[order], train_ids[order]
    ids = known[torch.randint(len(known), (8, 30), generator=generator)]
    trials = {"ids of Cityscapes": ids, "an unknown id": ids.clone(), "unknown ids of all sizes": ids.clone()}
    trials["an unknown id"][2:4, 5:9] = 77
    trials["unknown ids of all sizes"][3, 2:11] = torch.tensor([-2, -100, 34, 127, 256, 999, 1023, 32767, 65535])
    return {what: (ids, known, train_ids) for what, ids in trials.items()}


def _translated(ids: Tensor, known: Tensor, train_ids: Tensor, otherwise: int | Tensor = -1) -> Tensor:
    match = ids[..., None] == known
    return torch.where(match.any(-1), train_ids[match.int().argmax(-1)], otherwise)


def _looked_up(ids: Tensor, known: Tensor, train_ids: Tensor, size: int) -> Tensor:
    """Look up ids in a table of that many entries, of which table[-1] is the last."""
    return torch.where(ids == size - 1, train_ids[known == -1], _translated(ids, known, train_ids))


def _translated_in_place(ids: Tensor, known: Tensor, train_ids: Tensor) -> Tensor:
    for old, new in zip(known, train_ids, strict=True):
        ids[ids == old] = new
    return ids


def _runs(generator: torch.Generator) -> Inputs:
    return {
        "six runs": (torch.tensor([3, 5, 2, 7, 9, 4]), 5, 6),
        "a mask that begins with 1": (torch.tensor([0, 4, 11, 3]), 6, 3),
        "an empty mask": (torch.tensor([35]), 5, 7),
    }


def _mask(runs: Tensor, height: int, width: int, first: int = 0, by_row: bool = False) -> Tensor:
    pixels = ((torch.arange(len(runs)) + first) % 2).repeat_interleave(runs)
    return pixels.reshape(height, width) if by_row else pixels.reshape(width, height).T


EXERCISES = {
    "08.1": Exercise(
        expected=_cityscapes_depth,
        inputs=_disparity_files,
        hint="first the disparity in pixels, (p - 1) / 256, of numbers that can be negative; then Z = f B / d.",
        mistakes={
            "the offset is missing: d = (p - 1) / 256.": lambda p, f, b: _cityscapes_depth(p, f, b, offset=0),
            "p counts steps of 1/256 pixel; you have taken it for pixels.": lambda p, f, b: _cityscapes_depth(
                p, f, b, steps=1
            ),
            "that is the disparity in pixels; depth is f B / d.": lambda p, f, b: ((p.double() - 1) / 256).clamp(min=0),
            "the baseline is missing: Z = f B / d.": lambda p, f, b: _cityscapes_depth(p, f, 1.0),
            "that is upside down: depth is f B over the disparity.": lambda p, f, b: (
                (((p.double() - 1) / 256).clamp(min=0)) / (f * b)
            ),
            "where p = 1 the disparity is 0 and no depth is known either: return 0 there, too.": lambda p, f, b: (
                torch.where(p > 0, 256 * f * b / (p.double() - 1), 0)
            ),
            "where p = 0 nothing was measured, and you give it a depth.": lambda p, f, b: (
                256 * f * b / (p.double() - 1)
            ),
        },
    ),
    "08.2": Exercise(
        expected=_translated,
        inputs=_label_files,
        hint="begin with -1 everywhere; then, for each id of the table, put its train id where ids has it.",
        mistakes={
            "what is translated already was translated again: compare with the ids of the file.": _translated_in_place,
            "an unknown id became 255, ignored: nobody would ever notice it.": lambda ids, known, train_ids: (
                _translated(ids, known, train_ids, IGNORE)
            ),
            "an unknown id came through as it was: say -1.": lambda ids, known, train_ids: _translated(
                ids, known, train_ids, ids
            ),
        }
        | {
            f"table[-1] is the last of {size} entries, so the unknown id {size - 1} looks like the known id -1.": (
                partial(_looked_up, size=size)
            )
            for size in (35, 128, 1000, 1024, 32768, 65536)
        },
    ),
    "08.3": Exercise(
        expected=_mask,
        inputs=_runs,
        hint="repeat 0, 1, 0, 1, ... as often as the runs say; then think of the order of the pixels.",
        mistakes={
            "the runs go down the columns; you have filled row by row.": lambda runs, h, w: _mask(
                runs, h, w, by_row=True
            ),
            "the first run is of 0, not of 1.": lambda runs, h, w: _mask(runs, h, w, first=1),
            "the values of the file are the mask's 0 and 1, not 0 and 255.": lambda runs, h, w: 255 * _mask(runs, h, w),
            "turn the mask: it has height rows.": lambda runs, h, w: _mask(runs, h, w).T,
        },
    ),
}
