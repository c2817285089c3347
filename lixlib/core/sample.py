"""The one type that every dataset returns, and that every batch is made of."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lixlib.core.checks import is_whole
from lixlib.core.constants import IGNORE as IGNORE


@dataclass
class Sample:
    """An RGB image, its X, the mask of valid X, and its labels; or a batch of them.

    **Shapes**: rgb (3, H, W) float in [0, 1]; x (1, H, W) or (3, H, W) float, 0 where invalid; valid (1, H, W) bool;
    label (H, W) int64, 255 = ignored. A batch has a leading B everywhere, and `name` is a tuple of B names.

    `unit` says how x reads, e.g. "2 m / depth" (`lixlib.data.x.depth_encoding`); a batch has one.
    """

    rgb: Tensor
    x: Tensor
    valid: Tensor
    label: Tensor
    name: str | tuple[str, ...] = ""
    unit: str = ""

    def to(self, device: torch.device | str) -> "Sample":
        """The same sample on another device."""
        tensors = {field: getattr(self, field).to(device, non_blocking=True) for field in TENSORS}
        return replace(self, **tensors)

    def check(self, num_classes: int) -> "Sample":
        """Return the sample itself if it keeps the type's promises.

        Raises:
            ValueError: shapes or types that do not fit, RGB or X that is not finite, or a label that is neither a class
                nor 255.
        """
        height, width = self.label.shape[-2:]
        for field, channels in (("rgb", (3,)), ("x", (1, 3)), ("valid", (1,))):
            shape = tuple(getattr(self, field).shape)
            if shape[-2:] != (height, width) or shape[-3] not in channels:
                raise ValueError(f"{self.name}: {field} is {shape}, but its label is {tuple(self.label.shape)}")
        if self.valid.dtype != torch.bool:
            raise ValueError(f"{self.name}: valid is {self.valid.dtype}, and bool is needed")
        self.check_finite()
        check_label(self.label, num_classes, self.name)
        return self

    def check_finite(self) -> None:
        """Raise a ValueError that names sample, value and place if RGB or X holds NaN or an infinite value."""
        for field in ("rgb", "x"):
            values = getattr(self, field)
            if not values.is_floating_point():
                raise ValueError(f"{self.name}: {field} is {values.dtype}, and a float type is needed")
            finite = values.isfinite()
            if not finite.all():
                *image, channel, row, column = at = tuple((~finite).nonzero()[0].tolist())
                name = self.name[image[0]] if image else self.name
                raise ValueError(
                    f"{name}: {field} is {values[at].item()} at channel {channel}, row {row}, column {column}: "
                    "numbers are needed, and 0 where x is not valid"
                )


def check_label(label: Tensor, num_classes: int, name: object) -> None:
    """Raise a ValueError that names the place and the value if a label is neither a class nor 255."""
    if not is_whole(label):
        raise ValueError(f"{name}: integer labels are needed, found {label.dtype}")
    label = label.long()
    wrong = (label != IGNORE) & ((label < 0) | (label >= num_classes))
    if wrong.any():
        where = wrong.nonzero()[0].tolist()
        raise ValueError(
            f"{name}: label {int(label[tuple(where)])} at {where} is neither one of the {num_classes} "
            f"classes 0..{num_classes - 1} nor {IGNORE} (ignored)"
        )


TENSORS = ("rgb", "x", "valid", "label")


def collate(samples: Sequence[Sample]) -> Sample:
    """Stack samples of one size and one unit of X into a batch.

    Raises:
        ValueError: the samples differ in size, or in the unit of X.
    """
    sizes = {tuple(sample.label.shape) for sample in samples}
    if len(sizes) > 1:
        raise ValueError(f"samples of different sizes {sorted(sizes)} cannot form a batch: give the dataset one size")
    units = {sample.unit for sample in samples}
    if len(units) > 1:
        raise ValueError(f"samples whose X differs in unit {sorted(units)} cannot form a batch: choose one x for all")
    return Sample(
        **{field: torch.stack([getattr(sample, field) for sample in samples]) for field in TENSORS},
        name=tuple(str(sample.name) for sample in samples),
        unit=units.pop(),
    )
