"""Dynamically weighted logit distillation: LIX Eqs. (6)-(11)."""

from typing import Annotated, Literal, get_args

import torch
from annotated_types import Interval
from torch import Tensor, nn

from lixlib.core.checks import full_precision, shape
from lixlib.core.constants import IGNORE
from lixlib.core.options import Count, Positive, Weight, checked
from lixlib.core.output import Output
from lixlib.functional import confidence, decouple, dwld_loss
from lixlib.functional.blocks import Block, Found, sweep
from lixlib.functional.dkd import decoupled, labelled
from lixlib.functional.dwld import with_gradients
from lixlib.functional.softmax import Context

Weighting = Literal["joint", "closed-form", "reversed", "normalised", "confidence-gap", "focal"]
WEIGHTINGS = get_args(Weighting)
CLOSED = ("closed-form", "confidence-gap", "focal")  # nothing to train
Features = Literal["probabilities", "logits"]
Kind = Literal["negentropy", "entropy", "squares", "max"]  # of confidence
Layers = Annotated[int, Interval(ge=1, le=64)]
Dropout = Annotated[float, Interval(ge=0, lt=1)]


class DynamicWeightController(nn.Module):
    """W = beta_min + (beta_max - beta_min) sigmoid(MLP(H)), H = [P, c] per pixel: LIX Eqs. (7)-(8).

    The MLP is `depth` 1x1 convolutions with ReLU (and dropout) between them: the paper's MLP on the rows of H, without
    turning the maps into rows. H is detached: the controller learns nothing about how to make the logits.

    **Shapes**: logits (B, C, H, W) or (B, C, N) -> W, likewise, every entry in [beta_min, beta_max].

    Args:
        with_confidence: H = [P, c] (Eq. (8)); False: H = P, the ablation of Table IV.
        features: P is the "probabilities" or, a reading that the text allows, the "logits" themselves.
        kind: the confidence c, see `lixlib.functional.confidence`.
    """

    @checked
    def __init__(
        self,
        num_classes: int,
        *,
        beta_min: Positive = 1.0,
        beta_max: Positive = 10.0,
        kind: Kind = "negentropy",
        with_confidence: bool = True,
        features: Features = "probabilities",
        hidden: Count = 64,
        depth: Layers = 3,
        dropout: Dropout = 0.0,
    ):
        super().__init__()
        self.beta_min, self.beta_max = beta_min, beta_max
        self.kind, self.with_confidence, self.features = kind, with_confidence, features
        widths = [num_classes + with_confidence, *[hidden] * (depth - 1), num_classes]
        layers: list[nn.Module] = []
        for i, (width_in, width_out) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
            if i:
                layers += [nn.ReLU(inplace=True), *([nn.Dropout(dropout)] if dropout else [])]
            layers.append(nn.Conv2d(width_in, width_out, 1))
        self.mlp = nn.Sequential(*layers)

    def forward(self, logits: Tensor) -> Tensor:
        logits = logits.detach().to(next(self.mlp.parameters()).dtype)
        h = logits if self.features == "logits" else logits.softmax(1)
        if self.with_confidence:
            h = torch.cat([h, confidence(logits, kind=self.kind).unsqueeze(1)], dim=1)
        if h.dim() == 3:  # as products of matrices, whose gradients take a CPU a third less than those of convolutions
            for layer in self.mlp:
                if isinstance(layer, nn.Conv2d):
                    assert layer.bias is not None
                    h = torch.baddbmm(layer.bias[:, None], layer.weight.flatten(1).expand(len(h), -1, -1), h)
                else:
                    h = layer(h)
        else:
            h = self.mlp(h)
        return self.beta_min + (self.beta_max - self.beta_min) * h.sigmoid()


class DWLD(nn.Module):
    """The term "dwld" = weight x `dwld_loss`, its NCLD weights W chosen per pixel and class: LIX Eq. (9).

    Args:
        weight: lambda_L of Eq. (18).
        divergence: "kl", the paper's, or "bregman", see `dwld_loss`.
        weighting: where W comes from.
            "joint": the controller, trained by the loss that it weights. This is the paper; it drifts to beta_min.
            "closed-form": W = beta_min + (beta_max - beta_min)(1 - c), one weight for all classes, nothing to train.
            "reversed": the controller ascends the loss (gradient reversal), so it seeks the hard pixels.
            "normalised": the controller's W, rescaled so that its mean over the non-target classes of the valid
            pixels stays at the midpoint of beta_min and beta_max: weight can be moved, not removed. A single W may then
            exceed beta_max.
            "confidence-gap": W = beta_min + (beta_max - beta_min) max(c^T - c^S, 0): where the teacher is sure and the
            student is not.
            "focal": W = beta_min + (beta_max - beta_min)(1 - exp(-NCLD)), a constant to the gradient: where the two
            disagree (after the focal loss of Lin et al., ICCV 2017).
        input: whose logits the controller and the confidence read, "student" (the paper) or "teacher".
        kind, with_confidence, features, hidden, depth, dropout: see `DynamicWeightController`.
    """

    @checked
    def __init__(
        self,
        student: Output,
        teacher: Output,
        *,
        weight: Weight = 1.0,
        temperature: Positive = 1.0,
        divergence: Literal["kl", "bregman"] = "kl",
        weighting: Weighting = "joint",
        beta_min: Positive = 1.0,
        beta_max: Positive = 10.0,
        kind: Kind = "negentropy",
        input: Literal["student", "teacher"] = "student",
        with_confidence: bool = True,
        features: Features = "probabilities",
        hidden: Count = 64,
        depth: Layers = 3,
        dropout: Dropout = 0.0,
    ):
        super().__init__()
        if beta_min > beta_max:
            raise ValueError(f"NCLD weights need beta_min <= beta_max, found {beta_min} and {beta_max}")
        if weighting in ("closed-form", "confidence-gap") and kind == "entropy":
            raise ValueError(f"weighting {weighting!r} needs a confidence in [0, 1]: entropy grows where it is unsure")
        self.weight, self.temperature, self.divergence, self.weighting = weight, temperature, divergence, weighting
        self.beta_min, self.beta_max, self.kind, self.input = beta_min, beta_max, kind, input
        self.controller = None
        if weighting not in CLOSED:
            self.controller = DynamicWeightController(
                student.logits.shape[1],
                beta_min=beta_min,
                beta_max=beta_max,
                kind=kind,
                with_confidence=with_confidence,
                features=features,
                hidden=hidden,
                depth=depth,
                dropout=dropout,
            )

    def forward(self, student: Output, teacher: Output, target: Tensor) -> dict[str, Tensor]:
        if self._in_blocks(student.logits):
            assert self.controller is not None
            loss = controlled_dwld_loss(
                student.logits,
                teacher.logits,
                target,
                (student if self.input == "student" else teacher).logits,
                self.controller,
                temperature=self.temperature,
                divergence=self.divergence,
                sign=-1 if self.weighting == "reversed" else 1,
            )
            return {"dwld": self.weight * loss}
        weights = self.weights(student, teacher, target)
        if self.weighting == "reversed":
            weights = _ReverseGradient.apply(weights)
        loss = dwld_loss(
            student.logits,
            teacher.logits,
            target,
            weights,
            temperature=self.temperature,
            divergence=self.divergence,
        )
        return {"dwld": self.weight * loss}

    def weights(self, student: Output, teacher: Output | None = None, target: Tensor | None = None) -> Tensor:
        """The NCLD weights W. **Shapes**: -> (B, C, H, W).

        The teacher is read with input "teacher", "confidence-gap" and "focal", the target with "focal" and
        "normalised" (there None: the mean of all entries).

        Raises:
            ValueError: what has to be read is None.
        """
        if self.weighting == "confidence-gap":
            if teacher is None:
                raise _missing(self.weighting, teacher=teacher)
            sure_s, sure_t = (confidence(output.logits.detach(), kind=self.kind) for output in (student, teacher))
            return self._spread((sure_t - sure_s).clamp(min=0), student.logits)
        if self.weighting == "focal":
            if teacher is None or target is None:
                raise _missing(self.weighting, teacher=teacher, target=target)
            logits = student.logits.detach()
            _, ncld, _ = decouple(logits, teacher.logits, target, temperature=self.temperature)
            return self._spread(1 - (-ncld).exp(), logits)
        read = student
        if self.input == "teacher":
            if teacher is None:
                raise _missing('input "teacher"', teacher=teacher)
            read = teacher
        logits = read.logits.detach()
        if self.controller is None:  # "closed-form"
            return self._spread(1 - confidence(logits, kind=self.kind), logits)
        if target is not None:  # no NaN of an ignored pixel may reach the controller's gradient
            logits = logits.where((target != IGNORE).unsqueeze(1), 0)
        weights: Tensor = self.controller(logits).float()
        if self.weighting == "normalised":
            # The target class has no say: its entry is not used by the loss, so a controller could hide weight there.
            used = torch.ones_like(weights) if target is None else _non_target(weights, target)
            mean = (weights * used).sum() / used.sum().clamp(min=1)
            weights = weights * ((self.beta_min + self.beta_max) / 2 / mean.where(mean > 0, 1))
        return weights

    def _in_blocks(self, logits: Tensor) -> bool:
        """Whether the controller can learn block by block, which is faster than by maps on a CPU alone.

        "normalised" needs all weights at once. Autocast would run the controller in another precision, and dropout in
        blocks would draw other numbers.
        """
        return (
            self.weighting in ("joint", "reversed")
            and logits.device.type == "cpu"
            and torch.is_grad_enabled()
            and not torch.is_autocast_enabled("cpu")
            and not torch.compiler.is_compiling()
            and not any(isinstance(module, nn.Dropout) for module in self.modules())
            and all(parameter.requires_grad for parameter in self.parameters())
        )

    def _spread(self, share: Tensor, logits: Tensor) -> Tensor:
        """From [0, 1] to [beta_min, beta_max], one W for all classes. **Shapes**: (B, H, W) -> (B, C, H, W)."""
        return (self.beta_min + (self.beta_max - self.beta_min) * share.unsqueeze(1)).expand(shape(logits))


@full_precision
def controlled_dwld_loss(
    student: Tensor,
    teacher: Tensor,
    target: Tensor,
    read: Tensor,
    controller: nn.Module,
    *,
    temperature: float,
    divergence: str,
    sign: int = 1,
) -> Tensor:
    """`dwld_loss` with W = controller(read); the controller's gradient is multiplied by `sign`.

    W is made, used and differentiated block by block, so that neither its map nor one of the controller's hidden units
    is ever written.

    **Shapes**: student, teacher and read (B, C, H, W); target (B, H, W) -> ().
    """
    valid, index = labelled(student, teacher, target, temperature, IGNORE)
    parameters = list(controller.parameters())
    of_parameters = [torch.zeros_like(parameter) for parameter in parameters]

    def formula(block: Block, with_slope: bool) -> Found:
        assert block.weight is not None  # what the controller reads; 0 * NaN of an ignored pixel would be NaN
        with torch.enable_grad():
            weight = controller(block.weight.where(block.valid, 0)).to(student.dtype)
        used = block._replace(weight=weight.detach().contiguous())
        found = decoupled(used, with_slope, bregman=divergence == "bregman")
        assert found.of_weight is not None
        parts = torch.autograd.grad(weight, parameters, found.of_weight.where(block.valid, 0))
        for whole, part in zip(of_parameters, parts, strict=True):
            whole += part
        return Found(found.loss, found.slope)

    loss, slope, _ = sweep(
        formula,
        student,
        teacher,
        read,
        index=index,
        valid=valid,
        temperature=temperature,
        needs=(student.requires_grad, False),
    )
    factor = sign * temperature**2 / valid.sum().clamp(min=1)
    return with_gradients(loss, [student, *parameters], [slope, *(factor * total for total in of_parameters)])


def _missing(what: str, **given: object) -> ValueError:
    """An error that names what of this is None."""
    missing = [name for name, value in given.items() if value is None]
    return ValueError(f"{what} reads the {' and the '.join(missing)}: pass it to weights() too")


def _non_target(weights: Tensor, target: Tensor, ignore_index: int = IGNORE) -> Tensor:
    """1 at the non-target classes of the valid pixels, else 0. **Shapes**: (B, C, H, W), (B, H, W) -> (B, C, H, W)."""
    valid = (target != ignore_index).unsqueeze(1)
    index = target.unsqueeze(1).where(valid, 0)
    return valid.to(weights.dtype).expand_as(weights).scatter(1, index, 0)


class _ReverseGradient(torch.autograd.Function):
    """The identity, with the gradient's sign turned (Ganin and Lempitsky, ICML 2015)."""

    @staticmethod
    def forward(ctx: Context, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Context, gradient: Tensor) -> Tensor:
        return -gradient
