"""A student, its teacher and a method, as one module that a training loop calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lixlib.core import options
from lixlib.core.checks import full_precision, shape, valid_pixels, whole
from lixlib.core.constants import IGNORE
from lixlib.core.options import Weight
from lixlib.core.output import Output, call
from lixlib.distillers.common import targets
from lixlib.distillers.mean_teacher import MeanTeacher
from lixlib.distillers.predict_x import XHead
from lixlib.distillers.registry import ALONE, SELF_TAUGHT, build, maker
from lixlib.functional.softmax import softmax

if TYPE_CHECKING:
    from lixlib.core.sample import Sample

RESERVED = ("ce", "x", "epoch", "mIoU", "seconds")  # terms of `Distiller`, and what else is in a row of the log


class Distiller(nn.Module):
    """Trains `student` by cross-entropy and by what `teacher` knows: L = CE + the terms of the method, LIX Eq. (18).

    The teacher is frozen: no gradient, always in evaluation mode. What has to be trained is the student and the
    method's adapters: exactly the parameters that require gradient. `distiller.student.state_dict()` holds no adapter.
    FT and MasKD learn something from the teacher first (`TwoStage`): `lixlib.training.fit_stage(distiller, ...)`.
    A network is called as `net(rgb)`, or as `net(rgb, x)` if its `x_channels` is not None, and returns an object with
    `logits` (B, C, H, W) and `taps`; an RGB student never sees X. With method "none" any network can be trained, a
    teacher too; with "mean-teacher" it also agrees with its own average (`MeanTeacher`) and needs no other network.

    Args:
        example: one batch, or its (rgb, x), from which the methods read the sizes of the taps.
        auxiliary: weight of the term "x", for which the student predicts X as a second task (`XHead`); 0 for none.
        class_weights: (C,) weight of every class in the cross-entropy (`lixlib.training.class_weights`); None: all 1.
            No part of the state dict.
        method_options: the options of the method.

    Raises:
        ValueError: an unknown method or option, a method without a teacher, a batch without the X a network needs, or
            class weights that are not (C,) numbers from 0 on, one of them above 0.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module | None = None,
        method: str = "none",
        *,
        example: Sample | tuple[Tensor, Tensor | None] | None = None,
        auxiliary: Weight = 0.0,
        class_weights: Tensor | None = None,
        **method_options: Any,
    ):
        super().__init__()
        maker(method)  # which knows it, or says what there is
        options.check("Distiller", {"auxiliary": Weight}, {"auxiliary": auxiliary})
        self.student = student
        self.teacher = None if method in ALONE else teacher
        outputs: tuple[Output, Output] | tuple[None, None] = None, None
        if method not in ALONE:
            if teacher is None or example is None:
                raise ValueError(f"method {method!r} needs a teacher and an example batch")
            if teacher is student:
                raise ValueError("student and teacher are one network, which would be frozen: build a second one")
            teacher.requires_grad_(False).eval()
            outputs = _probe(student, example), _probe(teacher, example)
        learnt_from = (student, None) if method in SELF_TAUGHT else outputs
        self.method = build(method, *learnt_from, **method_options)
        self.auxiliary, self.x_head = auxiliary, None
        if auxiliary:
            if example is None:
                raise ValueError("the term 'x' needs an example batch, which says how many channels X has")
            _, x = example if isinstance(example, tuple) else (example.rgb, example.x)
            if x is None:
                raise ValueError("the term 'x' needs X, and the example has none")
            self.x_head = XHead(outputs[0] or _probe(student, example), x.shape[1])
        if class_weights is not None:
            _check_class_weights(class_weights)
        self.class_weights: Tensor | None
        self.register_buffer("class_weights", class_weights, persistent=False)

    def train(self, mode: bool = True) -> Distiller:
        super().train(mode)
        if self.teacher is not None:
            self.teacher.eval()
        return self

    def forward(self, batch: Sample) -> dict[str, Tensor]:
        """The loss terms by name, "ce" first; the loss is their sum. Each is a mean over valid pixels, label != 255.

        With class weights w and labels y, "ce" is the weighted mean sum w_y (-log p_y) / sum w_y, that of
        `torch.nn.functional.cross_entropy`: of a magnitude that does not depend on the scale of the weights, so that
        the weights of the other terms keep their meaning.

        In an image with no label at all, the target of the method is the class that the teacher, or the average, sees.

        Raises:
            ValueError: labels that do not fit the logits, are not of an integer type, or are no class and not 255; or
                class weights for another number of classes.
        """
        label = whole(batch.label)
        rgb, teacher = batch.rgb, None
        if isinstance(self.method, MeanTeacher):
            rgb, teacher = self.method.look(self.student, batch)
        student = call(self.student, rgb, batch.x)
        ce = self._cross_entropy(student.logits, label)
        if self.teacher is not None:
            with torch.no_grad():
                teacher = call(self.teacher, batch.rgb, batch.x)
        terms = {"ce": ce}
        if self.x_head is not None:
            terms["x"] = self.auxiliary * self.x_head(student, batch)
        return {**terms, **self._checked(self.method(student, teacher, targets(label, teacher)))}

    def _checked(self, terms: Any) -> dict[str, Tensor]:
        """The terms of the method, if they are what the training loop and its log can take."""
        name = type(self.method).__name__
        if not isinstance(terms, dict):
            raise ValueError(f"{name} returned {type(terms).__name__}: a dictionary of loss terms by name is needed")
        for term, value in terms.items():
            if term in RESERVED:
                raise ValueError(f"{name} returned a term {term!r}, which is the name of something else: rename it")
            if not isinstance(value, Tensor) or value.ndim:
                found = f"a tensor {shape(value)}" if isinstance(value, Tensor) else type(value).__name__
                raise ValueError(f"{name} returned {found} as its term {term!r}: a tensor without dimensions is needed")
        return terms

    @full_precision
    def _cross_entropy(self, logits: Tensor, label: Tensor) -> Tensor:
        """0, attached to the graph, where no pixel is valid. **Shapes**: (B, C, H, W), (B, H, W) -> ()."""
        valid, weights = valid_pixels(logits, label), self.class_weights
        log_p = softmax(logits, valid, log=True)
        if weights is None:
            return F.nll_loss(log_p, label, ignore_index=IGNORE, reduction="sum") / valid.sum().clamp(min=1)
        if len(weights) != logits.shape[1]:
            raise ValueError(f"{len(weights)} class weights do not fit logits {shape(logits)}: give one a class")
        weights = weights.to(log_p.dtype)
        total = F.nll_loss(log_p, label, weights, ignore_index=IGNORE, reduction="sum")
        mass = weights[label.where(valid, 0)].where(valid, 0).sum()
        return total / mass.clamp(min=torch.finfo(log_p.dtype).tiny)


def _check_class_weights(weights: Tensor) -> None:
    if weights.dim() != 1 or not weights.is_floating_point():
        raise ValueError(f"class weights must be (C,) of a float type, found {shape(weights)} of {weights.dtype}")
    if not (weights.isfinite() & (weights >= 0)).all() or not weights.any():
        raise ValueError(f"class weights must be finite, at least 0 and not all 0, found {weights.tolist()}")


@torch.no_grad()
def _probe(net: nn.Module, example: Sample | tuple[Tensor, Tensor | None]) -> Output:
    """What a network returns for the example, in evaluation mode, which leaves batch norm as it was."""
    rgb, x = example if isinstance(example, tuple) else (example.rgb, example.x)
    modes = {module: module.training for module in net.modules()}
    output = call(net.eval(), rgb, x)
    for module, mode in modes.items():
        module.training = mode
    return output
