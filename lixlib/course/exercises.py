"""The exercises of the notebooks: `check("01.2", my_function)` compares an answer with the library and gives a hint."""

import copy
import math
import tracemalloc
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, one_hot
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from lixlib.data.classes import CITYSCAPES_IDS
from lixlib.data.readers.kitti import depth_of
from lixlib.data.x.normals import Intrinsics
from lixlib.functional import cka, confidence, dkd_loss, gram, hsic, kd_loss
from lixlib.functional.dkd import split
from lixlib.lab.disagreement import flips, net_gain
from lixlib.lab.results import gap_closed
from lixlib.lab.statistics import differ
from lixlib.metrics import calibration_error
from lixlib.nets.resnet import Bottleneck

Inputs = Mapping[str, tuple]

BYTES_OF_PYTHON = 2**16  # what the objects of Python itself take, at most, while a function runs


@dataclass(frozen=True)
class Exercise:
    """What an answer is compared with.

    Args:
        expected: the right function.
        inputs: given a generator, the arguments of every trial by what they are ("random logits"), the plainest first.
        hint: one sentence for a person who has not begun.
        mistakes: likely wrong functions, by the sentence that names the mistake.
        entries: given the arguments, the most entries that any tensor made on the way may have; None: any number.
        detached: no gradient may flow from the answer to its arguments.
        double: it is about digits that single precision does not hold; else single precision, on the way or at the
            end, is good enough.
    """

    expected: Callable[..., Any]
    inputs: Callable[[torch.Generator], Inputs]
    hint: str
    mistakes: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    entries: Callable[..., int] | None = None
    detached: bool = False
    double: bool = False


def check(number: str, answer: Callable[..., Any]) -> None:
    """Print one sentence about a learner's function: "Correct", or what is wrong with it; never raise for its sake.

    Raises:
        ValueError: there is no exercise of that number.
    """
    print(verdict(number, answer))


def verdict(number: str, answer: Callable[..., Any]) -> str:
    """The sentence that `check` prints; it begins with "Correct" if and only if the answer is right.

    A right answer may be a tensor of any floating type, a NumPy array, a number or a list of numbers.
    """
    if number not in EXERCISES:
        raise ValueError(f"there is no exercise {number!r}: choose one of {', '.join(EXERCISES)}")
    if not callable(answer):
        return f"Not yet: a {type(answer).__name__} came here; give the function itself, without brackets behind it."
    exercise, overwrites = EXERCISES[number], False
    for trial, (what, args) in enumerate(exercise.inputs(torch.Generator().manual_seed(0)).items()):
        given, watch = copy.deepcopy(args), _Largest()
        try:
            with watch if exercise.entries else nullcontext():
                found = answer(*given)
        except Exception as error:
            if isinstance(error, NotImplementedError) and not str(error):
                return f"Not written yet. Hint: {exercise.hint}"
            return f"Python stumbled over {what}: {type(error).__name__}: {' '.join(str(error).split())}"
        if found is None:
            nothing = "nothing (None) came back; does every way through your function end in a return?"
            return f"Not yet, with {what}: {nothing}" if trial else f"Not written yet. Hint: {exercise.hint}"
        wrong = _wrong(exercise, found, args) or _wrong_on_the_way(exercise, answer, args, watch.entries)
        if wrong:
            return f"Not yet, with {what}: {wrong}"
        overwrites = overwrites or not _same(given, args)
    remark = " It overwrites its arguments, though: whoever calls it loses them." * overwrites
    return f"Correct: it agrees with the library on every trial.{remark}"


def _wrong(exercise: Exercise, found: Any, args: tuple) -> str | None:
    """What is wrong with the value, in one sentence; None if nothing is."""
    expected = exercise.expected(*copy.deepcopy(args))
    wrong = _difference(found, expected, args, exercise.double)
    if wrong:
        for sentence, mistake in exercise.mistakes.items():
            if not _difference(found, mistake(*copy.deepcopy(args)), args, exercise.double):
                return sentence
    return wrong


def _wrong_on_the_way(exercise: Exercise, answer: Callable[..., Any], args: tuple, entries: int) -> str | None:
    """What is wrong with how a right value was found."""
    if exercise.detached and _carries_gradient(answer, args):
        return "the values are right, but a gradient flows back through them to the arguments: detach those first."
    if exercise.entries:
        # What NumPy holds is known in all only: four arrays of the size that must do are granted.
        entries, most = max(entries, _numpy_entries(answer, args) // 4), exercise.entries(*args)
        if entries > most:
            return f"the values are right, but on the way you hold {entries:,} entries at once, and {most:,} must do."
    return None


def _carries_gradient(answer: Callable[..., Any], args: tuple) -> bool:
    watched = tree_map_only(Tensor, lambda t: t.clone().requires_grad_(t.is_floating_point()), args)
    try:
        found = answer(*watched)
    except Exception:  # NumPy refuses such an argument, and torch to overwrite it: nothing flows
        return False
    return any(isinstance(leaf, Tensor) and leaf.requires_grad for leaf in tree_leaves(found))


def _numpy_entries(answer: Callable[..., Any], args: tuple) -> int:
    """The most doubles that NumPy held at once, about; torch's own memory is not seen here."""
    given = copy.deepcopy(args)
    tracemalloc.start()
    try:
        answer(*given)
        return max(0, tracemalloc.get_traced_memory()[1] - BYTES_OF_PYTHON) // 8
    finally:
        tracemalloc.stop()


def _same(given: tuple, args: tuple) -> bool:
    leaves = zip(tree_leaves(given), tree_leaves(args), strict=True)
    return all(not isinstance(old, Tensor) or torch.equal(new, old) for new, old in leaves)


def _numbers(found: Any) -> Tensor:
    """Anything that holds real numbers, detached, in its own precision; a Python number has double precision.

    Raises:
        TypeError: it holds something else.
    """
    if isinstance(found, Tensor) and not found.is_complex():
        return found.detach().to_dense().cpu()
    if isinstance(found, np.ndarray | np.generic) and found.dtype.kind in "biuf":
        single = found.dtype.kind == "f" and found.dtype.itemsize < 8
        return torch.tensor(np.array(found) if single else np.array(found, dtype=np.float64))
    if isinstance(found, int):
        return torch.tensor(found)
    if isinstance(found, Real):
        return torch.tensor(float(found), dtype=torch.float64)
    if isinstance(found, list | tuple) and found:
        return torch.stack([_numbers(each) for each in found])
    raise TypeError(f"a {type(found).__name__} came back where a tensor or a number is expected.")


def _difference(found: Any, expected: Any, args: tuple, double: bool) -> str | None:
    """What differs, in one sentence; None if nothing does."""
    try:
        found, expected = _numbers(found), _numbers(expected)
    except TypeError as error:
        return str(error)
    except (ValueError, RuntimeError, OverflowError) as error:
        return f"what came back is no tensor of numbers: {' '.join(str(error).split())}"
    if found.shape != expected.shape:
        turned = found.dim() == 2 and found.T.shape == expected.shape
        return f"the shape is {tuple(found.shape)}, expected {tuple(expected.shape)}{': transpose it' * turned}."
    tolerance = 1e-8 if double else 1e-4
    if found.is_floating_point():
        tolerance = max(tolerance, 4 * torch.finfo(found.dtype).eps)
    counted = not expected.is_floating_point()
    found, expected = found.double(), expected.double()
    slack = tolerance * float(expected.nan_to_num(posinf=0, neginf=0).abs().amax())
    if counted:
        slack = 0.0
    elif not double:  # what rounding the arguments alone may do
        slack += 4 * torch.finfo(torch.float32).eps * _largest_argument(args)
    for name, test in (("NaN", torch.isnan), ("infinite", torch.isinf)):
        count = int((test(found) & ~test(expected)).sum())
        if count:
            return f"{count} of {found.numel()} values {'is' if count == 1 else 'are'} {name}."
    if _close(found, expected, slack):
        return None
    proportion = _proportion(found, expected, _counts(args), tolerance)
    if proportion:
        return proportion
    worst = int((found - expected).abs().argmax())
    place = tuple(int(i) for i in torch.unravel_index(torch.tensor(worst), found.shape)) if found.dim() else ()
    where = f" at {list(place)}" if place else ""
    return f"the value{where} is {found[place].item():.6g}, expected {expected[place].item():.6g}."


def _close(found: Tensor, expected: Tensor, slack: float) -> bool:
    same = (found == expected) | (found.isnan() & expected.isnan())
    return bool(same.logical_or((found - expected).abs() <= slack).all())


def _largest_argument(args: tuple) -> float:
    floats = [leaf for leaf in tree_leaves(args) if isinstance(leaf, Tensor) and leaf.is_floating_point()]
    return max((float(leaf.abs().amax()) for leaf in floats), default=0.0)


def _proportion(found: Tensor, expected: Tensor, counts: Mapping[int, str], tolerance: float) -> str | None:
    """The factor between them, in words, if there is one and the same for all entries.

    One number is always some multiple of another, so there only a factor that means something is named.
    """
    if not expected.any():
        return None
    factor = float((found * expected).sum() / expected.square().sum())
    if not factor or not _close(found, factor * expected, tolerance * float(found.abs().amax())):
        return None

    def is_near(value: float) -> bool:
        return math.isclose(factor, value, rel_tol=tolerance)

    if is_near(1):  # whole numbers that differ by little
        return None
    if is_near(-1):
        return "the sign is the wrong way round."
    for count, of_what in counts.items():
        if is_near(count):
            return f"it is {count} times too large, and {count} is the number of {of_what}: a sum for a mean?"
        if is_near(1 / count):
            return f"it is {count} times too small, and {count} is the number of {of_what}: a mean for a sum?"
    for value, words in ((1 / math.log(2), "base 2"), (1 / math.log(10), "base 10")):
        if is_near(value):
            return f"that is a logarithm to {words}; the natural one is meant."
    many = int((expected != 0).sum()) > 1
    if factor > 0 and (many or is_near(max(round(factor), 1)) or is_near(1 / max(round(1 / factor), 1))):
        return f"it is {max(factor, 1 / factor):.4g} times too {'large' if factor > 1 else 'small'}."
    return None


def _counts(args: tuple) -> dict[int, str]:
    """What somebody may have summed over, or divided by, without being asked: sizes of the arguments."""
    counts: dict[int, str] = {}
    for argument in args:
        if isinstance(argument, Tensor):
            for size in argument.shape:
                counts.setdefault(size, f"entries along one dimension of the arguments {tuple(argument.shape)}")
            counts.setdefault(argument.numel(), f"entries of an argument {tuple(argument.shape)}")
            if argument.dim() > 1:
                per_channel = argument.numel() // argument.shape[1]
                counts.setdefault(per_channel, f"positions of an argument {tuple(argument.shape)}")
    return {count: words for count, words in counts.items() if count > 1}


class _Largest(TorchDispatchMode):
    """Remembers the entries of the largest tensor that any operation made."""

    entries = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):  # by its storage: an expanded view costs nothing
                size = leaf.element_size() if leaf.is_floating_point() else 8  # an array's bytes are no entries
                self.entries = max(self.entries, leaf.untyped_storage().nbytes() // size)
        return result


def _randn(generator: torch.Generator, *size: int) -> Tensor:
    return torch.randn(*size, dtype=torch.float64, generator=generator)


# 00: the share of the gap


def _scores(generator: torch.Generator) -> Inputs:
    return {
        "teacher 0.80, student 0.60, distilled 0.65": (0.80, 0.60, 0.65),
        "a student that distillation made worse": (0.80, 0.60, 0.55),
    }


# 01: the DKD gradient, and log(1 - p_t)


def _pixels(generator: torch.Generator) -> Inputs:
    def trial(n, classes, scale, alpha, beta):
        logits = scale * _randn(generator, 2, n, classes)
        return *logits, torch.randint(classes, (n,), generator=generator), alpha, beta

    certain = trial(40, 13, 1.0, 1.0, 8.0)
    certain[0][range(40), certain[2]] += 12
    return {
        "random logits": trial(200, 5, 2.0, 1.5, 4.0),
        "two classes": trial(20, 2, 2.0, 2.0, 3.0),
        "a student that is nearly certain": certain,
        "alpha = 0": trial(20, 4, 3.0, 0.0, 8.0),
    }


def _dkd_gradient(student: Tensor, teacher: Tensor, target: Tensor, alpha: float, beta: float) -> Tensor:
    student = student.detach().requires_grad_()
    loss = len(student) * dkd_loss(student, teacher, target, alpha=alpha, beta=beta)
    return torch.autograd.grad(loss, student)[0]


def _dkd_mistake(formula: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The gradient by a formula of alpha, beta, p_t^S - p_t^T, the one-hot label, and p and q of both networks."""

    def mistake(student, teacher, target, alpha, beta):
        hit = one_hot(target, student.shape[1]).to(student)
        p_s, p_t = student.softmax(1), teacher.softmax(1)
        gap = ((p_s - p_t) * hit).sum(1, keepdim=True)
        q_s, q_t = (logits.masked_fill(hit.bool(), -torch.inf).softmax(1) for logits in (student, teacher))
        return formula(alpha, beta, gap, hit, p_s, p_t, q_s, q_t)

    return mistake


def _labelled_logits(generator: torch.Generator) -> Inputs:
    target = torch.arange(12) % 4
    lead = 60.0 * one_hot(target, 4)
    return {
        "random logits": (2 * _randn(generator, 12, 4), target),
        "a target that leads by 60": (_randn(generator, 12, 4) + lead, target),
        "logits of +-10,000": (1e4 * _randn(generator, 12, 4).sign(), target),
    }


def _log_not_target(logits: Tensor, target: Tensor) -> Tensor:
    _, _, network, _ = split(logits, logits, target, 1.0, 255)
    return logsigmoid(-network.margin)


def _log_p(logits: Tensor, target: Tensor) -> Tensor:
    return logits.log_softmax(1).gather(1, target.unsqueeze(1)).squeeze(1)


# 02: weights in closed form


def _range_and_logits(generator: torch.Generator) -> Inputs:
    certain = 200.0 * torch.eye(4, dtype=torch.float64)[torch.randint(4, (1, 3, 5), generator=generator)].movedim(-1, 1)
    return {
        "random logits": (3 * _randn(generator, 2, 5, 4, 6), 1.0, 10.0),
        "a student that is certain everywhere": (certain, 1.0, 10.0),
        "two classes and a range below 1": (_randn(generator, 1, 2, 7, 3), 0.05, 0.8),
    }


def _spread(share: Tensor, logits: Tensor, low: float, high: float) -> Tensor:
    return (low + (high - low) * share.unsqueeze(1)).expand_as(logits)


# 03: the generalised KL element


def _nearly_equal(generator: torch.Generator) -> Inputs:
    teacher, student = (3 * _randn(generator, 6, 4)).log_softmax(1), (3 * _randn(generator, 6, 4)).log_softmax(1)
    return {
        "two random distributions": (teacher, student),
        "a student that is far away": (teacher, teacher - 30),
        "a student that agrees to a millionth": (teacher, teacher + 1e-6 * _randn(generator, 6, 4)),
        "a student that agrees": (teacher, teacher.clone()),
    }


def _generalised_kl(log_t: Tensor, log_s: Tensor) -> Tensor:
    d = log_s - log_t
    return log_t.exp() * (torch.expm1(d) - d)


# 04: the Laplace Gram matrix


def _rows(generator: torch.Generator) -> Inputs:
    equal = _randn(generator, 8, 3)
    equal[5] = equal[2]
    return {
        "random rows": (_randn(generator, 12, 5), 2.0),
        "two equal rows": (equal, 0.7),
        "rows that are far apart": (1000 * _randn(generator, 9, 4), 3.0),
        "more channels than rows": (_randn(generator, 20, 50), 40.0),
        "many rows and channels": (_randn(generator, 60, 60), 40.0),
    }


def _l1(x: Tensor) -> Tensor:
    return torch.cdist(x, x, p=1)


# 05: unbiased HSIC


def _grams(generator: torch.Generator) -> Inputs:
    return {
        "random features": (gram(_randn(generator, 9, 3)), gram(_randn(generator, 9, 4), kernel="laplace")),
        "four samples, the fewest": (gram(_randn(generator, 4, 5)), gram(_randn(generator, 4, 5))),
        "large features": (gram(1000 * _randn(generator, 12, 3)), gram(_randn(generator, 12, 50))),
    }


def _hsic_mistake(formula: Callable[..., Tensor], diagonal: bool = False) -> Callable[[Tensor, Tensor], Tensor]:
    """HSIC by a formula of n, sum K L, sum K sum L, K 1 . L 1, and both Grams, which lose their diagonals first."""

    def mistake(k, l):  # noqa: E741
        if not diagonal:
            k, l = (gram - gram.diag().diag() for gram in (k, l))  # noqa: E741
        return formula(len(k), (k * l).sum(), k.sum() * l.sum(), k.sum(1) @ l.sum(1), k, l)

    return mistake


def _song(n: int, pairs: Tensor, sums: Tensor, mixed: Tensor, *grams: Tensor) -> Tensor:
    return (pairs + sums / ((n - 1) * (n - 2)) - 2 * mixed / (n - 2)) / (n * (n - 3))


# 06: ARFD with channels as samples


def _aligned(generator: torch.Generator) -> Inputs:
    contrast = torch.tensor([1e3, 1e-3], dtype=torch.float64)[:, None, None]
    return {
        "random features": (_randn(generator, 2, 12, 5), _randn(generator, 2, 12, 5)),
        "as many positions as channels": (_randn(generator, 3, 7, 7), _randn(generator, 3, 7, 7)),
        "more channels than positions": (_randn(generator, 1, 6, 20), _randn(generator, 1, 6, 20)),
        "images of very different contrast": (_randn(generator, 2, 9, 4), contrast * _randn(generator, 2, 9, 4)),
    }


def _channel_loss(s: Tensor, t: Tensor, kernel: str = "laplace") -> Tensor:
    return 1 - cka(gram(s.mT, kernel=kernel), gram(t.mT, kernel=kernel)).mean()


# 07: a bottleneck's parameters, a plane's normal, a stem for depth


def _blocks(generator: torch.Generator) -> Inputs:
    return {
        "a block in the middle of layer 2": (512, 128, 1),
        "the first block of layer 3": (512, 256, 2),
        "the first block of layer 1": (64, 64, 1),
        "a stride of 2 where the channels fit": (512, 128, 2),
    }


def _bottleneck(in_channels: int, width: int, stride: int) -> int:
    return sum(p.numel() for p in Bottleneck(in_channels, width, stride).parameters())


def _seen_planes(generator: torch.Generator) -> Inputs:
    def trial(camera, normals):
        u, v = 600 * torch.rand(2, len(normals), dtype=torch.float64, generator=generator)
        rays = torch.stack([(u - camera.u0) / camera.fx, (v - camera.v0) / camera.fy, torch.ones_like(u)], dim=1)
        normals = normals * (normals * rays).sum(1, keepdim=True).sign()  # so that every plane lies before the camera
        du, dv = normals[:, 0] / camera.fx, normals[:, 1] / camera.fy
        return (normals * rays).sum(1), du, dv, u, v, camera

    return {
        "random planes": trial(Intrinsics(500.0, 500.0, 310.0, 190.0), _randn(generator, 20, 3)),
        "pixels that are not square": trial(Intrinsics(700.0, 350.0, 280.0, 205.0), _randn(generator, 20, 3)),
        "planes parallel to the image": trial(
            Intrinsics(500.0, 500.0, 310.0, 190.0), torch.tensor([[0.0, 0.0, 0.4]] * 5, dtype=torch.float64)
        ),
    }


def _plane_mistake(nx: Callable, ny: Callable, nz: Callable, unit: bool = True) -> Callable[..., Tensor]:
    """The normal by a formula for each component, turned to the camera; of D, its slopes, pixel and camera."""

    def mistake(*seen):
        n = -torch.stack([component(*seen) for component in (nx, ny, nz)], dim=1)
        return n / n.norm(dim=1, keepdim=True) if unit else n

    return mistake


_PLANE = (
    lambda d, du, dv, u, v, camera: camera.fx * du,
    lambda d, du, dv, u, v, camera: camera.fy * dv,
    lambda d, du, dv, u, v, camera: d - (u - camera.u0) * du - (v - camera.v0) * dv,
)


def _stems(generator: torch.Generator) -> Inputs:
    return {
        "a ResNet's first convolution": (_randn(generator, 64, 3, 7, 7),),
        "filters that tell colours apart": (_randn(generator, 8, 3, 1, 1) * torch.tensor([1, -1, 0])[:, None, None],),
    }


# 08: what label and disparity files hold


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
    train_ids = torch.tensor([*CITYSCAPES_IDS.values(), 255])
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
    """By a table of that many entries, whose last one was written as table[-1]."""
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


# 09: the KL divergence


def _two_logits(generator: torch.Generator) -> Inputs:
    return {"random logits": (3 * _randn(generator, 2, 5, 4, 4), 3 * _randn(generator, 2, 5, 4, 4))}


# 10: the paired t statistic, and the rank correlation


def _seeds(generator: torch.Generator) -> Inputs:
    student = 50 + _randn(generator, 5)
    return {
        "five seeds": (student + 1 + 0.5 * _randn(generator, 5), student),
        "two seeds that agree": (torch.tensor([52.0, 53.0]).double(), torch.tensor([51.0, 51.9]).double()),
        "seeds that scatter more than the gain": (50 + 9 * _randn(generator, 12), 50 + 9 * _randn(generator, 12)),
    }


def _paired_t(distilled: Tensor, student: Tensor) -> Tensor:
    gain = distilled - student
    return gain.mean() / (gain.std() / len(gain) ** 0.5)


def _columns(generator: torch.Generator) -> Inputs:
    rising = _randn(generator, 7).sort().values
    return {
        "random columns": (_randn(generator, 12), _randn(generator, 12)),
        "the same order on another scale": (rising, rising.exp() ** 3),
        "the reverse order": (rising, -rising),
    }


def _ranks(v: Tensor) -> Tensor:
    return v.argsort().argsort().to(v.dtype)


def _correlation(a: Tensor, b: Tensor) -> Tensor:
    a, b = a - a.mean(), b - b.mean()
    return (a * b).sum() / (a.square().sum() * b.square().sum()).sqrt()


# 11: a verdict from a few gains, and whether any of several methods differs


def _few_gains(generator: torch.Generator) -> Inputs:
    def gains(*points: float, t: float) -> tuple:
        return torch.tensor(points, dtype=torch.float64), t

    return {
        "three clear gains": gains(1.0, 1.2, 0.9, t=4.303),
        "three clear losses": gains(-2.0, -1.9, -2.3, t=4.303),
        "gains and a loss": gains(2.0, -1.5, 0.4, t=4.303),
        "gains of all sizes": gains(1.5, 0.0, 0.8, t=4.303),
        "gains that scatter too much": gains(2.0, 0.1, 1.5, t=4.303),
        "five gains, small but steady": gains(0.6, 0.2, 1.0, 0.5, 0.7, t=2.776),
        "three gains on the edge": gains(0.55, 1.0, 1.45, t=4.303),
        "random losses": (_randn(generator, 9) - 1.5, 2.306),
    }


def _half(gains: Tensor, t: float, correction: int = 1) -> Tensor:
    """Half the length of the interval of the mean."""
    return t * gains.std(correction=correction) / len(gains) ** 0.5


def _verdict(mean: Tensor, half: Tensor) -> int:
    return int(mean > half) - int(mean < -half)


def _layouts(generator: torch.Generator) -> Inputs:
    seeds = 3 * _randn(generator, 1, 4)
    return {
        "two variants, three seeds": (torch.tensor([[50.0, 51.0, 49.5], [51.0, 51.5, 51.5]]).double(),),
        "seeds that differ more than variants": (50 + seeds + 0.3 * _randn(generator, 5, 4),),
        "a variant that stands out": (torch.tensor([[0.0], [0.0], [4.0]]) + _randn(generator, 3, 6),),
    }


def _f(y: Tensor, *, blocks: bool = True, between: float | None = None, freedom: int | None = None) -> Tensor:
    """F of variants (k, n), with a mistake if one is asked for."""
    (k, n), row = y.shape, y.mean(1, keepdim=True)
    rest = y - row - (y.mean(0) - y.mean() if blocks else 0)
    freedom = freedom or ((k - 1) * (n - 1) if blocks else k * (n - 1))
    return (n if between is None else between) * row.var() / (rest.square().sum() / freedom)


# 12: what rows and columns leave of a table, and which cells may be the best


def _two_way(generator: torch.Generator) -> Inputs:
    rows, columns = _randn(generator, 4, 1), _randn(generator, 1, 5)
    return {
        "a table of random scores": (50 + 3 * _randn(generator, 4, 4),),
        "rows and columns that add up": (90 + rows + columns + 0.01 * _randn(generator, 4, 5),),
        "two rows, three columns": (_randn(generator, 2, 3),),
    }


def _left_over(table: Tensor, *, rows: float = 1, columns: float = 1, mean: float = 1) -> Tensor:
    effects = rows * table.mean(1, keepdim=True) + columns * table.mean(0, keepdim=True)
    return table - effects + mean * table.mean()


def _tables_of_means(generator: torch.Generator) -> Inputs:
    means = torch.tensor([[49.0, 51.3, 51.6], [48.5, 52.3, 50.9]], dtype=torch.float64)
    return {
        "six cells": (means, 0.4, 2.0),
        "six cells, a larger error": (means, 0.7, 2.1),
        "one cell far above": (torch.tensor([[1.0, 2.0], [9.0, 3.0]], dtype=torch.float64), 0.5, 2.0),
        "random cells": (3 * _randn(generator, 4, 4), 1.0, 2.0),
        "cells below zero": (-5 + 2 * _randn(generator, 4, 4), 0.8, 2.0),
    }


def _tied(means: Tensor, error: float, t: float, *, of_difference: float = 2**0.5) -> Tensor:
    return means.max() - means <= t * of_difference * error


# 13: which pixels flip, and where


def _answers(generator: torch.Generator) -> Inputs:
    def trial(ignored):
        truth, before, after = torch.randint(3, (3, 2, 6, 8), generator=generator)
        return torch.where(torch.rand(2, 6, 8, generator=generator) < ignored, 255, truth), before, after

    plain = torch.tensor([[0, 0, 0, 1, 1, 2, 2], [0, 0, 1, 0, 0, 2, 0], [0, 0, 0, 1, 1, 1, 1]]).unbind()
    return {"seven pixels": plain, "random answers": trial(0.0), "ignored pixels": trial(0.3)}


def _places(generator: torch.Generator) -> Inputs:
    def trial(truth, before, after):
        return torch.randint(4, truth.shape, generator=generator), 5, truth, before, after

    return {what: trial(*answers) for what, answers in _answers(generator).items()}


def _everywhere(truth: Tensor, before: Tensor, after: Tensor) -> Tensor:
    return flips(truth.where(truth != 255, -1), before, after)  # as if an ignored pixel were a wrong one


# 14: do two gains add up, and how far can probabilities be believed


def _four_trainings(generator: torch.Generator) -> Inputs:
    student = 33 + _randn(generator, 3)
    a, b = student + 1 + 0.3 * _randn(generator, 3), student + 2 + 0.3 * _randn(generator, 3)
    return {
        "two treatments that help each other": (student, a, b, a + b - student + 0.5),
        "two treatments that do the same": (student, a, b, torch.maximum(a, b) + 0.1 * _randn(generator, 3)),
    }


def _beliefs(generator: torch.Generator) -> Inputs:
    confidence = 1 - 0.9 * torch.rand(400, dtype=torch.float64, generator=generator) ** 2
    right = torch.rand(400, dtype=torch.float64, generator=generator) < 0.35 + 0.5 * confidence
    edges = torch.arange(1, 6, dtype=torch.float64).repeat(6) / 5
    return {
        "400 pixels, too timid and too bold": (confidence, right, 15),
        "confidences that are all the same": (torch.full((8,), 0.75).double(), torch.arange(8) < 5, 10),
        "confidences on the edges of the bins": (edges, edges < 1, 5),
    }


def _calibration(confidence: Tensor, right: Tensor, bins: int, *, below: bool = True) -> Tensor:
    """Rows of `lixlib.metrics.reliability`; `below`: whether an edge belongs to the bin below it."""
    edges = torch.arange(1, bins, dtype=torch.float64) / bins
    place = torch.bucketize(confidence, edges, right=not below)
    rows = (torch.ones_like(confidence), confidence, right.double())
    return torch.stack([torch.bincount(place, weights=row, minlength=bins) for row in rows])


def _calibration_error(confidence: Tensor, right: Tensor, bins: int, **edges) -> Tensor:
    return torch.tensor(calibration_error(_calibration(confidence, right, bins, **edges)), dtype=torch.float64)


def _gaps(confidence: Tensor, right: Tensor, bins: int) -> Tensor:
    count, sure, correct = _calibration(confidence, right, bins)
    return ((correct - sure) / count)[count > 0]


EXERCISES = {
    "00.1": Exercise(
        expected=gap_closed,
        inputs=_scores,
        hint="how long is the whole way, and how far did we get?",
        mistakes={
            "that is the way still left; both differences start at the student.": lambda t, s, d: (t - d) / (t - s),
            "that is the gain in points; divide it by the whole gap.": lambda t, s, d: d - s,
            "those are per cent; the share of the whole gap is 1.": lambda t, s, d: 100 * (d - s) / (t - s),
            "divide by the gap between student and teacher, not by a score.": lambda t, s, d: (d - s) / t,
            "that is the score relative to the teacher's; both differences start at the student.": lambda t, s, d: (
                d / t
            ),
            "that is upside down: the gain over the whole gap.": lambda t, s, d: (t - s) / (d - s),
        },
    ),
    "01.1": Exercise(
        expected=_dkd_gradient,
        inputs=_pixels,
        hint="begin with the target's column, Eq. (5); for the others, ask what m and q do when z_j moves.",
        mistakes={
            "that is Eq. (5) for the target, and nothing for the others; they get a gradient too.": _dkd_mistake(
                lambda alpha, beta, gap, hit, p_s, p_t, q_s, q_t: alpha * gap * hit
            ),
            "TCLD is missing at the other logits: the margin answers to them as well.": _dkd_mistake(
                lambda alpha, beta, gap, hit, p_s, p_t, q_s, q_t: alpha * gap * hit + beta * (q_s - q_t)
            ),
            "NCLD is missing: the other logits get beta times something, too.": _dkd_mistake(
                lambda alpha, beta, gap, hit, p_s, p_t, q_s, q_t: alpha * gap * (hit - q_s)
            ),
            "that is p where q is needed: divide by 1 - p_t.": _dkd_mistake(
                lambda alpha, beta, gap, hit, p_s, p_t, q_s, q_t: (
                    alpha * gap * (hit - (1 - hit) * p_s) + beta * (1 - hit) * (p_s - p_t)
                )
            ),
            "NCLD's part has the wrong sign: it is the student's q minus the teacher's.": _dkd_mistake(
                lambda alpha, beta, gap, hit, p_s, p_t, q_s, q_t: alpha * gap * (hit - q_s) + beta * (q_t - q_s)
            ),
            "that is the gradient of the KL; here alpha and beta are the weights.": _dkd_mistake(
                lambda alpha, beta, gap, hit, p_s, p_t, q_s, q_t: p_s - p_t
            ),
            "the gradient of every pixel's own loss is asked for, not that of the mean.": lambda s, t, *rest: (
                _dkd_gradient(s, t, *rest) / len(s)
            ),
            "you have swapped student and teacher.": lambda s, t, *rest: _dkd_gradient(t, s, *rest),
        },
    ),
    "01.2": Exercise(
        expected=_log_not_target,
        inputs=_labelled_logits,
        hint="1 - p_t is the sum of the other exponentials over the sum of all; what adds exponentials safely?",
        mistakes={
            "that is log p_t, of the target itself.": _log_p,
            "that is -log p_t, and log(1 - p) is another thing.": lambda logits, target: -_log_p(logits, target),
            "the normaliser is missing: subtract the logsumexp of all logits.": lambda logits, target: logits.scatter(
                1, target.unsqueeze(1), -torch.inf
            ).logsumexp(1),
            "the sum holds the target, too: 1 - p_t is the sum of the others.": lambda logits, target: (
                logits.logsumexp(1) - logits.logsumexp(1)
            ),
            "a sigmoid of the target's logit alone forgets the other logits.": lambda logits, target: logsigmoid(
                -logits.gather(1, target.unsqueeze(1)).squeeze(1)
            ),
        },
    ),
    "02.1": Exercise(
        expected=lambda logits, low, high: _spread(1 - confidence(logits.detach()), logits, low, high),
        inputs=_range_and_logits,
        hint="1 - c is the entropy of the softmax over log C, one number a pixel; log_softmax keeps it finite.",
        mistakes={
            "that gives more weight where the student is sure: it should be 1 - c.": lambda logits, low, high: _spread(
                confidence(logits), logits, low, high
            ),
            "the entropy is not yet divided by its largest value, log C.": lambda logits, low, high: _spread(
                confidence(logits, kind="entropy"), logits, low, high
            ),
            "that is beta_min + beta_max (1 - c), which may exceed beta_max.": lambda logits, low, high: _spread(
                1 - confidence(logits), logits, low, low + high
            ),
            "W begins at beta_min, which you have not added.": lambda logits, low, high: (
                _spread(1 - confidence(logits), logits, low, high) - low
            ),
            "that is 1 - max p; here c is the negentropy.": lambda logits, low, high: _spread(
                1 - confidence(logits, kind="max"), logits, low, high
            ),
            "the weight is one number a pixel, the same for every class: sum the entropy over them.": (
                lambda logits, low, high: (
                    low - (high - low) * logits.softmax(1) * logits.log_softmax(1) / math.log(logits.shape[1])
                )
            ),
        },
        detached=True,
    ),
    "03.1": Exercise(
        expected=_generalised_kl,
        inputs=_nearly_equal,
        hint="with d = log q^S - log q^T, every part of the element is q^T times something made of d.",
        mistakes={
            "the formula is right, its digits cancel; write it with d and torch.expm1.": lambda log_t, log_s: (
                log_t.exp() * (log_t - log_s) - log_t.exp() + log_s.exp()
            ),
            "exp(d) - 1 still cancels; torch.expm1(d) makes it in one piece.": lambda log_t, log_s: (
                log_t.exp() * ((log_s - log_t).exp() - 1 - (log_s - log_t))
            ),
            "that is the first part alone, which can be negative; - q^T + q^S is missing.": lambda log_t, log_s: (
                log_t.exp() * (log_t - log_s)
            ),
            "teacher and student are swapped; the teacher's q stands before the logarithm.": lambda log_t, log_s: (
                _generalised_kl(log_s, log_t)
            ),
            "d has the wrong sign; it is student minus teacher.": lambda log_t, log_s: (
                log_t.exp() * (torch.expm1(log_t - log_s) - (log_t - log_s))
            ),
            "the factor q^T is missing; exp of its logarithm.": lambda log_t, log_s: (
                torch.expm1(log_s - log_t) - (log_s - log_t)
            ),
            "float32 has too few digits for this difference; stay in float64, as the arguments are.": lambda *logs: (
                _generalised_kl(*(log.float() for log in logs))
            ),
            "one value for each class is expected; you have summed them.": lambda log_t, log_s: (
                _generalised_kl(log_t, log_s).sum(1, keepdim=True).expand_as(log_t)
            ),
        },
        double=True,
    ),
    "04.1": Exercise(
        expected=lambda x, bandwidth: gram(x, kernel="laplace", bandwidth=bandwidth),
        inputs=_rows,
        hint="the L1 distance is a sum over channels, and each channel alone needs one n x n table.",
        mistakes={
            "that is the Gaussian kernel; Laplace takes absolute differences, without a square.": lambda x, bandwidth: (
                gram(x, kernel="gaussian", bandwidth=bandwidth)
            ),
            "that is the Euclidean distance; Laplace takes the sum of absolute differences.": lambda x, bandwidth: (
                -torch.cdist(x, x) / bandwidth
            ).exp(),
            "the differences are averaged over the channels; they must be summed.": lambda x, bandwidth: (
                -_l1(x) / (x.shape[1] * bandwidth)
            ).exp(),
            "that is the distance over the bandwidth; its exp(-...) is missing.": lambda x, bandwidth: (
                _l1(x) / bandwidth
            ),
            "the exponent has lost its minus sign.": lambda x, bandwidth: (_l1(x) / bandwidth).exp(),
            "divide by the bandwidth; you have multiplied.": lambda x, bandwidth: (-_l1(x) * bandwidth).exp(),
            "2 s^2 belongs to the Gaussian kernel; Laplace divides by s.": lambda x, bandwidth: (
                -_l1(x) / (2 * bandwidth**2)
            ).exp(),
            "the bandwidth is given here; you have taken the mean distance.": lambda x, bandwidth: gram(
                x, kernel="laplace"
            ),
        },
        entries=lambda x, bandwidth: 2 * max(len(x) ** 2, x.numel()),
    ),
    "05.1": Exercise(
        expected=lambda a, b: hsic(a, b, unbiased=True),
        inputs=_grams,
        hint="set both diagonals to zero; then the terms are sums of K L, of K and of L, and of their rows.",
        mistakes={
            "that is the biased HSIC of Eq. (15).": hsic,
            "the diagonals are still there; set them to zero first.": _hsic_mistake(_song, diagonal=True),
            "you divide by (n - 1)^2; this estimator divides by n (n - 3).": _hsic_mistake(
                lambda n, *terms: _song(n, *terms) * n * (n - 3) / (n - 1) ** 2
            ),
            "the last term lacks its factor 2.": _hsic_mistake(
                lambda n, pairs, sums, mixed, *_: _song(n, pairs, sums, mixed / 2)
            ),
            "the last term is subtracted, not added.": _hsic_mistake(
                lambda n, pairs, sums, mixed, *_: _song(n, pairs, sums, -mixed)
            ),
            "the last term is missing.": _hsic_mistake(lambda n, pairs, sums, mixed, *_: _song(n, pairs, sums, 0)),
            "the middle term is missing.": _hsic_mistake(lambda n, pairs, sums, mixed, *_: _song(n, pairs, 0, mixed)),
            "the first term multiplies entry by entry; you have summed a matrix product.": _hsic_mistake(
                lambda n, pairs, sums, mixed, a, b: _song(n, (a @ b).sum(), sums, mixed)
            ),
        },
    ),
    "06.1": Exercise(
        expected=_channel_loss,
        inputs=_aligned,
        hint="gram takes the rows of each matrix for samples: what must become a row?",
        mistakes={
            "these are still the positions; the channels must become the rows.": lambda s, t: _channel_loss(s.mT, t.mT),
            "reshape mixes positions and channels up; transpose with .mT.": lambda s, t: _channel_loss(
                s.reshape(s.shape[0], s.shape[2], -1).mT, t.reshape(t.shape[0], t.shape[2], -1).mT
            ),
            "that is the similarity; the loss is one minus it.": lambda s, t: 1 - _channel_loss(s, t),
            "that is the linear kernel; ask gram for the Laplace kernel.": lambda s, t: _channel_loss(s, t, "linear"),
            "that is the Gaussian kernel; ask gram for the Laplace kernel.": lambda s, t: _channel_loss(
                s, t, "gaussian"
            ),
            "that is the sum over the images; take their mean.": lambda s, t: len(s) * _channel_loss(s, t),
            "that is one minus the sum over the images; take the mean of their CKA.": lambda s, t: (
                1 - len(s) * (1 - _channel_loss(s, t))
            ),
        },
    ),
    "07.1": Exercise(
        expected=_bottleneck,
        inputs=_blocks,
        hint="count the three convolutions, then two parameters a channel for each batch norm, then the shortcut.",
        mistakes={
            "the batch norms are missing: two parameters for every channel of each convolution.": lambda i, w, s: (
                i * w + 9 * w**2 + 4 * w**2 + (4 * i * w if s > 1 or i != 4 * w else 0)
            ),
            "the shortcut's batch norm is missing.": lambda i, w, s: (
                _bottleneck(i, w, s) - (8 * w if s > 1 or i != 4 * w else 0)
            ),
            "where the stride is 2 the shortcut needs its convolution, even if the channels fit.": lambda i, w, s: (
                _bottleneck(i, w, 1)
            ),
            "the shortcut is missing.": lambda i, w, s: _bottleneck(4 * w, w, 1) + (i - 4 * w) * w,
            "that is a shortcut with a convolution always; it has none where size and channels fit.": lambda i, w, s: (
                _bottleneck(i, w, 2)
            ),
        },
    ),
    "07.2": Exercise(
        expected=_plane_mistake(*_PLANE),
        inputs=_seen_planes,
        hint="n_x = fx du and n_y = fy dv, up to a common factor c; insert both into D = (n_x x + n_y y + n_z) / c.",
        mistakes={
            "it has the right direction; make it a unit vector.": _plane_mistake(*_PLANE, unit=False),
            "n_z is not D itself: subtract what n_x and n_y contribute at this pixel.": _plane_mistake(
                *_PLANE[:2], lambda d, *_: d
            ),
            "pixels count from the principal point: u - u0 and v - v0.": _plane_mistake(
                *_PLANE[:2], lambda d, du, dv, u, v, camera: d - u * du - v * dv
            ),
            "n_y needs fy; only for square pixels is it the same as fx.": _plane_mistake(
                _PLANE[0], lambda d, du, dv, u, v, camera: camera.fx * dv, _PLANE[2]
            ),
        },
    ),
    "07.3": Exercise(
        expected=lambda weight: weight.mean(1, keepdim=True),
        inputs=_stems,
        hint="which dimension of the weight are the three input channels?",
        mistakes={
            "that is one of the three channels; take the mean of all.": lambda weight: weight[:, :1],
            "that is the sum over the input channels; take their mean.": lambda weight: weight.sum(1, keepdim=True),
            "those weights are luminance; the reference takes the plain mean.": lambda weight: (
                weight * torch.tensor([0.299, 0.587, 0.114]).double()[:, None, None]
            ).sum(1, keepdim=True),
            "the mean over the filters is of the wrong dimension; the input channels are dimension 1.": lambda weight: (
                weight.mean(0, keepdim=True).movedim(1, 0)
            ),
        },
    ),
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
                _translated(ids, known, train_ids, 255)
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
    "09.1": Exercise(
        expected=kd_loss,
        inputs=_two_logits,
        hint="KL(p || q) is the sum of p (log p - log q), and p is the teacher's.",
        mistakes={
            "you have swapped teacher and student; the teacher's p is the weight.": lambda s, t: kd_loss(t, s),
            "that is the sum over the pixels; take their mean.": lambda s, t: kd_loss(s, t) * t[:, 0].numel(),
            "that is the mean over the classes, too; sum over them.": lambda s, t: kd_loss(s, t) / t.shape[1],
            "that is the mean over images only; over the pixels of each, too.": lambda s, t: (
                kd_loss(s, t) * t[0, 0].numel()
            ),
            "the sign is the wrong way round: log p - log q.": lambda s, t: -kd_loss(s, t),
            "that is the cross-entropy; the teacher's own entropy is to be subtracted.": lambda s, t: (
                -(t.softmax(1) * s.log_softmax(1)).sum(1).mean()
            ),
            "the softmax must run over the classes, dimension 1; yours runs over the columns.": lambda s, t: (
                (t.softmax(-1) * (t.log_softmax(-1) - s.log_softmax(-1))).sum(1).mean()
            ),
        },
    ),
    "10.1": Exercise(
        expected=_paired_t,
        inputs=_seeds,
        hint="take the gain of every seed first; then its mean over its standard error, std / sqrt(n).",
        mistakes={
            "you have swapped the two; the gain is distilled minus student.": lambda d, s: _paired_t(s, d),
            "that divides by the standard deviation; its standard error is sqrt(n) times smaller.": lambda d, s: (
                (d - s).mean() / (d - s).std()
            ),
            "the standard deviation divides by n - 1, not by n.": lambda d, s: (
                (d - s).mean() / ((d - s).std(correction=0) / len(d) ** 0.5)
            ),
            "that is the unpaired test: take the difference seed by seed before its scatter.": lambda d, s: (
                (d.mean() - s.mean()) / ((d.var() + s.var()) / len(d)).sqrt()
            ),
            "that is the mean gain; divide it by its standard error.": lambda d, s: (d - s).mean(),
        },
    ),
    "10.2": Exercise(
        expected=lambda a, b: _correlation(_ranks(a), _ranks(b)),
        inputs=_columns,
        hint="replace every entry by its rank, then take the ordinary correlation of the ranks.",
        mistakes={
            "that is Pearson's correlation of the values; take the ranks first.": _correlation,
            "one argsort says where the smallest is, not which rank an entry has; take argsort twice.": lambda a, b: (
                _correlation(a.argsort().double(), b.argsort().double())
            ),
            "the ranks are not centred yet: subtract their mean.": lambda a, b: (
                (_ranks(a) * _ranks(b)).sum() / (_ranks(a).square().sum() * _ranks(b).square().sum()).sqrt()
            ),
            "the sign is the wrong way round.": lambda a, b: -_correlation(_ranks(a), _ranks(b)),
        },
    ),
    "11.1": Exercise(
        expected=lambda gains, t: _verdict(gains.mean(), _half(gains, t)),
        inputs=_few_gains,
        hint="half the interval is t times the standard error, std / sqrt(n); compare the mean with plus and minus it.",
        mistakes={
            "that divides by n where the standard deviation divides by n - 1.": lambda gains, t: _verdict(
                gains.mean(), _half(gains, t, correction=0)
            ),
            "that is the scatter of one seed; the mean of n scatters sqrt(n) times less.": lambda gains, t: _verdict(
                gains.mean(), t * gains.std()
            ),
            "1.96 is for a known scatter; with so few seeds take t.": lambda gains, t: _verdict(
                gains.mean(), _half(gains, 1.96)
            ),
            "t is missing: one standard error is far too short an interval.": lambda gains, t: _verdict(
                gains.mean(), _half(gains, 1.0)
            ),
            "that only asks for the sign of the mean; an interval that holds 0 says nothing.": lambda gains, t: (
                _verdict(gains.mean(), torch.zeros(()))
            ),
        },
    ),
    "11.2": Exercise(
        expected=lambda y: torch.tensor(differ(y.numpy()).f, dtype=torch.float64),
        inputs=_layouts,
        hint="take each variant's mean and each seed's mean off, add the grand mean back: what is left is the scatter.",
        mistakes={
            "the seeds are still in the scatter: take each seed's mean off, too.": lambda y: _f(y, blocks=False),
            "the means of n seeds scatter less than one score: multiply their variance by n.": lambda y: _f(
                y, between=1
            ),
            "the scatter has (k - 1)(n - 1) degrees of freedom, not as many as there are scores.": lambda y: _f(
                y, freedom=y.numel()
            ),
            "that is the scatter over the variants; F is the other way up.": lambda y: 1 / _f(y),
        },
    ),
    "12.1": Exercise(
        expected=_left_over,
        inputs=_two_way,
        hint="means with keepdim=True can be subtracted from the table; the overall mean is in both of them.",
        mistakes={
            "the overall mean was taken away twice: put it back once.": lambda table: _left_over(table, mean=0),
            "only the rows' means are gone; the columns' too.": lambda table: _left_over(table, columns=0, mean=0),
            "only the columns' means are gone; the rows' too.": lambda table: _left_over(table, rows=0, mean=0),
            "that is what rows and columns explain; return what is left.": lambda table: table - _left_over(table),
        },
    ),
    "12.2": Exercise(
        expected=_tied,
        inputs=_tables_of_means,
        hint="two independent means differ by chance with the root of the sum of their squared errors.",
        mistakes={
            "that is the error of one mean; a difference of two has sqrt(2) of it.": lambda means, error, t: _tied(
                means, error, t, of_difference=1
            ),
            "errors add as squares: sqrt(2) of it, not 2.": lambda means, error, t: _tied(
                means, error, t, of_difference=2
            ),
            "those can be told from the highest; mark the others.": lambda means, error, t: ~_tied(means, error, t),
            "t is missing.": lambda means, error, t: _tied(means, error, 1.0),
        },
    ),
    "13.1": Exercise(
        expected=flips,
        inputs=_answers,
        hint="2 * (before == truth) + (after == truth) is a number from 0 to 3 for each pixel; count them.",
        mistakes={
            "rows and columns are swapped: before chooses the row.": lambda truth, before, after: (
                flips(truth, before, after).T
            ),
            "row 0 is wrong and row 1 is right; yours is the other way round.": lambda truth, before, after: flips(
                truth, before, after
            ).flip(0, 1),
            "those are shares; count the pixels.": lambda truth, before, after: (
                flips(truth, before, after).double() / (truth != 255).sum()
            ),
            "a pixel whose truth is 255 is neither right nor wrong: leave it out.": _everywhere,
        },
    ),
    "13.2": Exercise(
        expected=net_gain,
        inputs=_places,
        hint="per pixel (after == truth) - (before == truth) is 1, 0 or -1; add it up by bin, then divide.",
        mistakes={
            "divide by the pixels of the bin, not by all.": lambda places, bins, truth, before, after: (
                net_gain(places, bins, truth, before, after)
                * torch.bincount(places[truth != 255], minlength=bins)
                / (truth != 255).sum()
            ),
            "those are counts; divide by the pixels of the bin.": lambda places, bins, truth, before, after: (
                net_gain(places, bins, truth, before, after) * torch.bincount(places[truth != 255], minlength=bins)
            ),
            "that is what became right; subtract what became wrong.": lambda places, bins, truth, before, after: (
                net_gain(places, bins, truth, torch.where(before == truth, after, before), after)
            ),
            "a bin without pixels gets 0, not NaN.": lambda places, bins, truth, before, after: net_gain(
                places, bins, truth, before, after
            ).where(torch.bincount(places[truth != 255], minlength=bins) > 0, torch.nan),
            "before and after are swapped.": lambda places, bins, truth, before, after: net_gain(
                places, bins, truth, after, before
            ),
            "leave the pixels out whose truth is 255, of the bin's pixels too.": (
                lambda places, bins, truth, before, after: net_gain(
                    places, bins, truth.where(truth != 255, -1), before, after
                )
            ),
        },
    ),
    "14.1": Exercise(
        expected=lambda student, a, b, both: both - a - b + student,
        inputs=_four_trainings,
        hint="what would both score if the gain of a and the gain of b simply added up? Subtract that.",
        mistakes={
            "that is the gain of both; subtract what the two gain alone.": lambda student, a, b, both: both - student,
            "a and b both stand on the student: without it, it is subtracted twice.": lambda student, a, b, both: (
                both - a - b
            ),
            "that is the lead over the better of the two; do their gains add up?": lambda student, a, b, both: (
                both - torch.maximum(a, b)
            ),
        },
    ),
    "14.2": Exercise(
        expected=_calibration_error,
        inputs=_beliefs,
        hint="in every bin: its share of the pixels times |share that is right - mean confidence|; add up.",
        mistakes={
            "weight every bin by its share of the pixels.": lambda confidence, right, bins: (
                _gaps(confidence, right, bins).abs().mean()
            ),
            "take the absolute value in every bin, before you add up: gaps of both signs must not cancel.": (
                lambda confidence, right, bins: (right.double().mean() - confidence.mean()).abs()
            ),
            "that is the largest gap of a bin; take the weighted mean.": lambda confidence, right, bins: (
                _gaps(confidence, right, bins).abs().amax()
            ),
            "an edge belongs to the bin below: (m - 1) / M < c <= m / M.": lambda confidence, right, bins: (
                _calibration_error(confidence, right, bins, below=False)
            ),
        },
    ),
}
