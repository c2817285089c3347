"""A student, its teacher and a method, as one module that a training loop calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lixlib.core import options
from lixlib.core.checks import check_choice, valid_pixels, whole
from lixlib.core.constants import IGNORE
from lixlib.core.options import Weight
from lixlib.core.output import Output, call
from lixlib.distillers.afdcd import AfDCD
from lixlib.distillers.arfd import ARFD
from lixlib.distillers.at import AT
from lixlib.distillers.common import check_options, targets
from lixlib.distillers.cwkd import CWKD
from lixlib.distillers.diffkd import DiffKD
from lixlib.distillers.dist import DIST
from lixlib.distillers.dkd import DKD
from lixlib.distillers.dwld import DWLD
from lixlib.distillers.fitnet import FitNet
from lixlib.distillers.ft import FT
from lixlib.distillers.kd import KD
from lixlib.distillers.lix import LIX
from lixlib.distillers.maskd import MasKD
from lixlib.distillers.none import NoDistillation
from lixlib.distillers.nst import NST
from lixlib.distillers.pad import PAD
from lixlib.distillers.predict_x import XHead
from lixlib.distillers.rkd import RKD
from lixlib.distillers.sp import SP
from lixlib.distillers.vid import VID
from lixlib.distillers.wsld import WSLD
from lixlib.functional.softmax import softmax

if TYPE_CHECKING:
    from lixlib.core.sample import Sample

METHODS: dict[str, type[nn.Module]] = {
    "none": NoDistillation,
    "kd": KD,
    "cwkd": CWKD,
    "dkd": DKD,
    "dist": DIST,
    "wsld": WSLD,
    "dwld": DWLD,
    "at": AT,
    "fitnet": FitNet,
    "ft": FT,
    "nst": NST,
    "rkd": RKD,
    "sp": SP,
    "vid": VID,
    "maskd": MasKD,
    "diffkd": DiffKD,
    "afdcd": AfDCD,
    "pad": PAD,
    "arfd": ARFD,
    "lix": LIX,
}


def build(name: str, student: Output | None, teacher: Output | None, **hyper: Any) -> nn.Module:
    """A method by name, its adapters made to fit example outputs of the two networks.

    The method is called as `method(student_output, teacher_output, target)` and returns its loss terms by name, each
    already multiplied with its weight.

    Raises:
        ValueError: an unknown name or option; it lists those that exist.
    """
    check_choice("method", name, METHODS)
    check_options(METHODS[name], hyper)
    return METHODS[name](student, teacher, **hyper)


class Distiller(nn.Module):
    """Trains `student` by cross-entropy and by what `teacher` knows: L = CE + the terms of the method, LIX Eq. (18).

    The teacher is frozen: no gradient, always in evaluation mode. What has to be trained is the student and the
    method's adapters: exactly the parameters that require gradient. `distiller.student.state_dict()` holds no adapter.
    FT and MasKD learn something from the teacher first (`TwoStage`): `lixlib.training.fit_stage(distiller, ...)`.
    A network is called as `net(rgb)`, or as `net(rgb, x)` if its `x_channels` is not None, and returns an object with
    `logits` (B, C, H, W) and `taps`; an RGB student never sees X. With method "none" any network can be trained, a
    teacher too.

    Args:
        example: one batch, or its (rgb, x), from which the methods read the sizes of the taps.
        auxiliary: weight of the term "x", for which the student predicts X as a second task (`XHead`); 0 for none.
        hyper: the options of the method.

    Raises:
        ValueError: an unknown method or option, a method without a teacher, or a batch without the X a network needs.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module | None = None,
        method: str = "none",
        *,
        example: Sample | tuple[Tensor, Tensor | None] | None = None,
        auxiliary: Weight = 0.0,
        **hyper: Any,
    ):
        super().__init__()
        check_choice("method", method, METHODS)
        options.check("Distiller", {"auxiliary": Weight}, {"auxiliary": auxiliary})
        self.student = student
        self.teacher = None if method == "none" else teacher
        outputs: tuple[Output, Output] | tuple[None, None] = None, None
        if method != "none":
            if teacher is None or example is None:
                raise ValueError(f"method {method!r} needs a teacher and an example batch")
            if teacher is student:
                raise ValueError("student and teacher are one network, which would be frozen: build a second one")
            teacher.requires_grad_(False).eval()
            outputs = _probe(student, example), _probe(teacher, example)
        self.method = build(method, *outputs, **hyper)
        self.auxiliary, self.x_head = auxiliary, None
        if auxiliary:
            if example is None:
                raise ValueError("the term 'x' needs an example batch, which says how many channels X has")
            _, x = example if isinstance(example, tuple) else (example.rgb, example.x)
            if x is None:
                raise ValueError("the term 'x' needs X, and the example has none")
            self.x_head = XHead(outputs[0] or _probe(student, example), x.shape[1])

    def train(self, mode: bool = True) -> Distiller:
        super().train(mode)
        if self.teacher is not None:
            self.teacher.eval()
        return self

    def forward(self, batch: Sample) -> dict[str, Tensor]:
        """The loss terms by name, "ce" first; the loss is their sum. Each is a mean over valid pixels, label != 255.

        In an image with no label at all, the method takes the class that the teacher sees for the target.

        Raises:
            ValueError: labels that do not fit the logits, are not of an integer type, or are no class and not 255.
        """
        label = whole(batch.label)
        student, teacher = call(self.student, batch.rgb, batch.x), None
        valid = valid_pixels(student.logits, label)
        log_p = softmax(student.logits.float(), valid, log=True)
        total = F.nll_loss(log_p, label, ignore_index=IGNORE, reduction="sum")
        if self.teacher is not None:
            with torch.no_grad():
                teacher = call(self.teacher, batch.rgb, batch.x)
        terms = {"ce": total / valid.sum().clamp(min=1)}
        if self.x_head is not None:
            terms["x"] = self.auxiliary * self.x_head(student, batch)
        return {**terms, **self.method(student, teacher, targets(label, teacher))}


@torch.no_grad()
def _probe(net: nn.Module, example: Sample | tuple[Tensor, Tensor | None]) -> Output:
    """What a network returns for the example, in evaluation mode, which leaves batch norm as it was."""
    rgb, x = example if isinstance(example, tuple) else (example.rgb, example.x)
    modes = {module: module.training for module in net.modules()}
    output = call(net.eval(), rgb, x)
    for module, mode in modes.items():
        module.training = mode
    return output
