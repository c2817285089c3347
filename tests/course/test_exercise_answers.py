"""What learners hand in, as they write it: other right answers pass, and a hint speaks of each typical mistake."""

import math
import re

import numpy as np
import pytest
import torch

from lixlib.course.exercises import EXERCISES, verdict
from lixlib.functional import cka, gram

F = torch.nn.functional


def hit(logits, target):
    return F.one_hot(target, logits.shape[1]).to(logits)


def q_of(logits, target):
    return logits.masked_fill(hit(logits, target).bool(), -torch.inf).softmax(1)


def gap_of(s, t, target):
    return ((s.softmax(1) - t.softmax(1)) * hit(s, target)).sum(1, keepdim=True)


def dkd_per_pixel(s, t, target, alpha, beta):
    """The right one, written by hand."""
    rest = beta * (q_of(s, target) - q_of(t, target))
    return alpha * gap_of(s, t, target) * (hit(s, target) - q_of(s, target)) + rest


def distances(x):
    return (x[:, None] - x[None]).abs().sum(-1)


def numpy_laplace(x, bandwidth, dtype=np.float64):
    x = np.asarray(x, dtype=dtype)
    return np.exp(-np.abs(x[:, None] - x[None]).sum(-1) / bandwidth)


def weights(logits, low, high, base=None, dim=1):
    log_p = logits.log_softmax(dim)
    doubt = -(log_p.exp() * log_p).sum(dim, keepdim=True) / (base or math.log(logits.shape[1]))
    return (low + (high - low) * doubt).expand_as(logits)


def song(k, l, diagonal=0):  # noqa: E741
    n, ones = len(k), torch.ones(len(k), dtype=k.dtype)
    k, l = (g - (1 - diagonal) * g.diag().diag() for g in (k, l))  # noqa: E741
    means = (ones @ k @ ones) * (ones @ l @ ones) / ((n - 1) * (n - 2))
    return ((k @ l).trace() + means - 2 / (n - 2) * (ones @ k @ l @ ones)) / (n * (n - 3))


def channel_grams(s, t):
    return gram(s.mT, kernel="laplace"), gram(t.mT, kernel="laplace")


def cityscapes(p, focal, baseline, offset=1, steps=256):
    d = (p.double() - offset) / steps
    return torch.where(d > 0, focal * baseline / d, 0.0)


def looked_up(ids, known, train_ids, size):
    table = torch.full((size,), -1)
    table[known] = train_ids
    return table[ids]


def mask(runs, height, width):
    pixels = torch.cat([torch.full((int(n),), i % 2) for i, n in enumerate(runs)])
    return pixels.reshape(width, height)


def kd(s, t):
    log_p, log_q = t.log_softmax(1), s.log_softmax(1)
    return log_p.exp() * (log_p - log_q)


def t_of(gain, n=None, correction=1):
    return gain.mean() / (gain.std(correction=correction) / (n or len(gain)) ** 0.5)


def spearman(a, b):
    a, b = (np.argsort(np.argsort(v.numpy())) for v in (a, b))
    return np.corrcoef(a, b)[0, 1]


def f_of(y, freedom=lambda k, n: (k - 1) * (n - 1), correction=1):
    k, n = y.shape
    rest = y - y.mean(1, keepdim=True) - y.mean(0, keepdim=True) + y.mean()
    return n * y.mean(1).var(correction=correction) / (rest.square().sum() / freedom(k, n))


def flip_counts(truth, before, after, ignored=255):
    known = truth != ignored
    b, a = (before == truth)[known].long(), (after == truth)[known].long()
    return torch.bincount(2 * b + a, minlength=4).reshape(2, 2)


def net(places, bins, truth, before, after):
    known = truth != 255
    change = ((after == truth).double() - (before == truth).double())[known]
    return torch.bincount(places[known], change, minlength=bins)


def gaps(confidence, right, bins, closed=True):
    """Pixels, and |share right - confidence|, of every bin that has pixels."""
    found = []
    for m in range(bins):
        low, high = m / bins, (m + 1) / bins
        inside = (confidence > low) & (confidence <= high) if closed else (confidence >= low) & (confidence < high)
        if inside.any():
            found.append((int(inside.sum()), float((right[inside].double().mean() - confidence[inside].mean()).abs())))
    return found


ALSO_RIGHT = [
    ("01.1", lambda *args: dkd_per_pixel(*args).numpy()),
    ("01.2", lambda z, t: torch.logsumexp(z.masked_fill(hit(z, t) == 1, -math.inf), 1) - torch.logsumexp(z, 1)),
    ("02.1", lambda z, low, high: weights(z.detach(), low, high)),
    ("02.1", lambda z, low, high: weights(z, low, high).numpy()),
    ("04.1", lambda x, h: np.exp(-sum(np.abs(c[:, None] - c[None]) for c in x.numpy().T) / h)),
    ("04.1", lambda x, h: torch.stack([(-(x - row).abs().sum(1) / h).exp() for row in x])),
    ("04.1", lambda x, h: [[math.exp(-float((a - b).abs().sum()) / h) for b in x] for a in x]),
    ("04.2", lambda: (True, True, False, True, False)),
    ("05.1", lambda a, b: float(song(a.fill_diagonal_(0), b.fill_diagonal_(0)))),
    ("05.1", lambda a, b: song(a.float(), b.float())),
    ("05.2", lambda b, c, h, w: [1 / (1 + n / d) for n, d in ((b, c * h * w), (h * w, c), (c, h * w))]),
    ("06.2", lambda: np.array([[1, 0], [0, 1], [0, 0], [0, 1], [0, 1]], dtype=bool)),
    ("07.1", lambda i, w, s: np.int32(i * w + 13 * w * w + 12 * w + (4 * i * w + 8 * w) * (s > 1 or i != 4 * w))),
    ("08.1", lambda p, f, b: cityscapes(p, f, b).numpy().astype(np.float32)),
    ("08.3", lambda *args: mask(*args).T.bool()),
    ("10.2", spearman),
    ("12.2", lambda means, error, t: ((means.max() - means) ** 2 <= 2 * (t * error) ** 2).int()),
    ("13.1", lambda *args: flip_counts(*args).double()),
    ("14.2", lambda c, r, m: sum(n * gap for n, gap in gaps(c, r, m)) / len(c)),
    ("15.1", lambda *args: torch.tensor(hours(*args))),
    ("15.2", lambda g: np.linalg.norm(g.numpy(), axis=1) / np.linalg.norm(g.numpy(), axis=1).sum()),
    ("15.2", lambda g: [float(row.norm() / sum(r.norm() for r in g)) for row in g]),
]
WRONG = [
    ("00.1", lambda t, s, d: (t - d) / (t - s), "still left"),
    ("00.1", lambda t, s, d: d - s, "divide it by the whole gap"),
    ("00.1", lambda t, s, d: 100 * (d - s) / (t - s), "per cent"),
    ("00.1", lambda t, s, d: abs(d - s) / (t - s), "sign is the wrong way"),  # at the student that became worse
    ("01.1", lambda s, t, y, a, b: dkd_per_pixel(t, s, y, a, b), "swapped student and teacher"),
    ("01.1", lambda s, t, y, a, b: dkd_per_pixel(s, t, y, a, b) / len(s), "that of the mean"),
    ("01.1", lambda s, t, y, a, b: dkd_per_pixel(s, t, y, a, b).T, "transpose"),
    ("01.1", lambda s, t, y, a, b: a * gap_of(s, t, y) * hit(s, y), "nothing for the others"),
    ("01.1", lambda s, t, y, a, b: a * (s.softmax(1) - t.softmax(1)), "both halves by alpha"),
    ("01.2", lambda z, t: torch.log(1 - z.softmax(1).gather(1, t[:, None])[:, 0]), "infinite"),
    ("01.2", lambda z, t: torch.log1p(-z.softmax(1).gather(1, t[:, None])[:, 0] + 1e-12), "the value"),
    ("01.2", lambda z, t: z.logsumexp(1) - z.scatter(1, t[:, None], -torch.inf).logsumexp(1), "sign"),
    ("01.2", lambda z, t: log_not(z, t) / math.log(2), "base 2"),
    ("01.2", lambda z, t: log_not(z, t)[:, None], "the shape is"),
    ("01.3", lambda start, teacher: teacher, "the teacher"),
    ("01.3", lambda start, teacher: start * torch.cat([start[:1] / start[:1], teacher[1:]]), "the value"),
    ("01.3", lambda start, teacher: torch.cat([start[:1], (1 - start[0]) * teacher[1:] / (1 - teacher[0])]), "logit"),
    ("02.1", weights, "detach"),
    ("02.1", lambda z, low, high: weights(z, low, high, base=math.log(2)), "the value|divided"),
    ("02.1", lambda z, low, high: weights(z.detach(), low, high, base=1.0), "log C"),
    ("02.1", lambda z, low, high: weights(z.detach(), low, high)[:, :1], "the shape is"),
    ("02.1", lambda z, low, high: weights(z.detach(), high, low), "should be 1 - c"),
    ("02.2", lambda d, group, low, high: torch.where(d < 0, high, low), "must share|share one"),
    ("02.2", lambda d, group, low, high: torch.where(torch.bincount(group, d)[group] > 0, high, low), "uphill"),
    ("02.2", lambda d, group, low, high: torch.where(torch.bincount(group, d) < 0, high, low), "the shape is"),
    ("03.1", lambda t, s: t.exp() * (t - s) - t.exp() + s.exp(), "digits cancel"),
    ("03.1", lambda t, s: t.exp() * (t - s), "first part alone"),
    ("03.1", lambda t, s: s.exp() * (torch.expm1(t - s) - (t - s)), "swapped"),
    ("03.1", lambda t, s: (t.exp() * (torch.expm1(s - t) - (s - t))).mean(1), "the shape is"),
    ("03.2", lambda: [0.6, 0.3, 0.1], "the teacher"),
    ("03.2", lambda: [0.6, 0.3, 1.0], "sum to 1"),
    ("03.2", lambda: [0.32, 0.16, 0.53], "the value at"),
    ("03.3", lambda q, low, high: torch.where(q == q.max(), low, high), "compare all corners"),
    ("03.3", lambda q, low, high: torch.where(q == q.max(), high, low), "changed places|the value"),
    ("03.3", lambda q, low, high: (low, high), "the shape is"),
    ("04.1", lambda x, h: (-distances(x) / h).exp(), "entries at once"),
    ("04.1", numpy_laplace, "entries at once"),
    ("04.1", lambda x, h: numpy_laplace(x, h, np.float32), "entries at once"),
    ("04.1", lambda x, h: (-torch.cdist(x, x) / h).exp(), "Euclidean"),
    ("04.1", lambda x, h: (-torch.cdist(x.T, x.T, p=1) / h).exp(), "the shape is"),
    ("04.2", lambda: [1, 1, 0, 1, 1], "rotation"),
    ("04.2", lambda: [1, 0, 0, 1, 0], "bandwidth"),
    ("04.2", lambda: [1, 1, 0], "the shape is"),
    ("04.2", lambda: "shift, one factor, order", "a str came back"),
    ("05.1", lambda a, b: song(a, b, diagonal=1), "diagonals are still there"),
    ("05.1", lambda a, b: song(a, b) * len(a) * (len(a) - 3) / (len(a) - 1) ** 2, "divides by n"),
    ("05.1", lambda a, b: song(a, b) * len(a) * (len(a) - 3), "times too large"),
    ("05.1", lambda a, b: song(a, b)[None], "the shape is"),
    ("05.2", lambda b, c, h, w: [b / (b + c * h * w), h * w / (h * w + c), c / (c + h * w)], "rises with the columns"),
    ("05.2", lambda b, c, h, w: [c / (b + c), c / (h * w + c), h * w / (c + h * w)], "whole image"),
    ("05.2", lambda b, c, h, w: [c * h * w / (b + c * h * w), h * w / (c + h * w), c / (h * w + c)], "swapped"),
    ("05.2", lambda b, c, h, w: [1.0, 0.09, 0.91], "the value at"),
    ("06.2", lambda: [[0, 1], [1, 0], [0, 0], [1, 0], [1, 0]], "columns are swapped"),
    ("06.2", lambda: [[1, 0], [0, 1], [1, 1], [0, 1], [0, 1]], "bandwidth"),
    ("06.2", lambda: np.array([[1, 0], [0, 1], [0, 0], [0, 1], [0, 1]]).T, "transpose"),
    ("06.2", lambda: [[1, 1]] * 5, "the value at"),
    ("06.1", lambda s, t: (1 - cka(*channel_grams(s, t))).sum(), "sum over the images"),
    ("06.1", lambda s, t: 1 - cka(*channel_grams(s, t)).sum(), "one minus the sum"),
    ("06.1", lambda s, t: cka(*channel_grams(s, t)).mean(), "similarity"),
    ("06.1", lambda s, t: 1 - cka(*channel_grams(s, t)), "the shape is"),
    ("06.1", lambda s, t: 1 - cka(*(gram(f, kernel="laplace") for f in (s, t))).mean(), "positions"),
    ("07.1", lambda i, w, s: i * w + 9 * w**2 + 4 * w**2, "batch norms|the value"),
    ("07.1", lambda i, w, s: i * w + 13 * w**2 + 12 * w + 1, "the value"),  # one of two hundred thousand
    ("07.2", lambda d, du, dv, u, v, c: -plane(d, du, dv, u, v, c), "sign"),
    ("07.2", lambda d, du, dv, u, v, c: plane(d, du, dv, v, u, c), "the value"),
    ("07.2", lambda d, du, dv, u, v, c: plane(d, du, dv, u, v, c).T, "transpose"),
    ("07.3", lambda w: w.sum(1, keepdim=True), "sum"),
    ("07.3", lambda w: w.mean(1), "the shape is"),
    ("07.3", lambda w: w.mean(0, keepdim=True), "the shape is"),
    ("08.1", lambda p, f, b: f * b / ((p - 1) / 256), "p = 0"),
    ("08.1", lambda p, f, b: cityscapes(p, f, b, offset=0), "offset"),
    ("08.1", lambda p, f, b: cityscapes(p, f, b, steps=1), "1/256"),
    ("08.1", lambda p, f, b: cityscapes(p, f, b, steps=255), "the value|1.004 times"),
    ("08.1", lambda p, f, b: cityscapes(p, f, b) / b, "baseline"),
    ("08.1", lambda p, f, b: torch.where(p > 0, f * b * 256 / (p - 1), 0), "p = 1"),
    ("08.2", lambda i, k, t: looked_up(i, k, t, 2**16), "last of 65536 entries"),
    ("08.2", lambda i, k, t: torch.where(i < 1024, looked_up(i.clamp(-1024, 1023), k, t, 1024), -1), "last of 1024"),
    ("08.2", lambda i, k, t: looked_up(i, k, t, 256), "stumbled"),
    ("08.3", mask, "turn the mask|the shape|rows"),
    ("08.3", lambda r, h, w: mask(r, w, h), "row by row|the shape"),
    ("08.3", lambda r, h, w: 1 - mask(r, h, w).T, "first run"),
    ("08.3", lambda r, h, w: 255 * mask(r, h, w).T, "255"),
    ("09.1", lambda s, t: kd(t, s).sum(1).mean(), "swapped"),
    ("09.1", lambda s, t: kd(s, t).sum(), "sum over the pixels"),
    ("09.1", lambda s, t: kd(s, t).mean(), "mean over the classes"),
    ("09.1", lambda s, t: kd(s, t).sum(1).mean() / math.log(2), "base 2"),
    ("09.1", lambda s, t: F.kl_div(s.log_softmax(1), t.softmax(1), reduction="batchmean"), "mean over images only"),
    ("09.1", lambda s, t: kd(s, t).sum(1), "the shape is"),
    ("10.1", lambda d, s: t_of(s - d), "swapped"),
    ("10.1", lambda d, s: t_of(d - s, correction=0), "n - 1"),
    ("10.1", lambda d, s: t_of(d - s, n=1), "standard error"),
    ("10.1", lambda d, s: t_of(d - s, n=len(d) - 1), "the value|times"),
    ("10.2", lambda a, b: np.corrcoef(a, b)[0, 1], "Pearson"),
    ("10.2", lambda a, b: np.corrcoef(np.argsort(a.numpy()), np.argsort(b.numpy()))[0, 1], "argsort twice"),
    ("10.2", lambda a, b: np.corrcoef(a, b), "the shape is"),
    ("10.3", lambda gain, rare: torch.stack([gain[~rare].mean(), gain[rare].mean()]), "do not add up"),
    ("10.3", lambda gain, rare: torch.stack([gain[rare].sum(), gain[~rare].sum()]) / len(gain), "swapped"),
    ("11.1", lambda g, t: int(g.mean() > 0) - int(g.mean() < 0), "sign of the mean"),
    ("11.1", lambda g, t: int(g.mean() > t * g.std() / len(g) ** 0.5), "the value"),
    ("11.1", lambda g, t: "better" if g.mean() > 0 else "worse", "a str"),
    ("11.2", lambda u, d: (u.log() - u.log().mean()) @ d.to(u) / (u.log() - u.log().mean()).square().sum(), "base 2"),
    ("11.2", lambda u, d: u.log2() @ d.to(u) / u.log2().square().sum(), "mean first"),
    ("11.3", lambda y: f_of(y, freedom=lambda k, n: k * n), "degrees of freedom"),
    ("11.3", lambda y: f_of(y, correction=0), "the value|times"),
    ("11.3", lambda y: f_of(y.T), "the value"),
    ("12.1", lambda x: x - x.mean(1, keepdim=True) - x.mean(0, keepdim=True), "twice"),
    ("12.1", lambda x: x - x.mean(1) - x.mean(0) + x.mean(), "stumbled|the value"),
    ("12.1", lambda x: x - x.mean(), "the value"),
    ("12.2", lambda m, e, t: m.max() - m <= t * e, "sqrt"),
    ("12.2", lambda m, e, t: m.max() - m < 2 * t * e, "not 2"),
    ("12.2", lambda m, e, t: m.max(1, keepdim=True).values - m <= t * 2**0.5 * e, "the value"),
    ("13.1", lambda *args: flip_counts(*args).T, "before chooses the row"),
    ("13.1", lambda *args: flip_counts(*args, ignored=-1), "255"),
    ("13.1", lambda *args: flip_counts(*args).flatten(), "the shape is"),
    ("13.2", lambda p, n, *rest: net(p, n, *rest) / torch.bincount(p[rest[0] != 255], minlength=n), "NaN"),
    ("13.2", net, "those are counts"),
    ("13.2", lambda p, n, y, b, a: net(p, n, y, a, b) / torch.bincount(p[y != 255], minlength=n).clamp(1), "swapped"),
    ("14.1", lambda s, a, b, both: both - s, "gain of both"),
    ("14.1", lambda s, a, b, both: both - a - b, "subtracted twice"),
    ("14.1", lambda s, a, b, both: a + b - both - s, "sign"),
    ("14.2", lambda c, r, m: sum(gap for _, gap in gaps(c, r, m)) / m, "weight every bin|the value"),
    ("14.2", lambda c, r, m: sum(n * gap for n, gap in gaps(c, r, m)), "a sum for a mean"),
    ("14.2", lambda c, r, m: sum(n * gap for n, gap in gaps(c, r, m, closed=False)) / len(c), "edge"),
    ("14.2", lambda c, r, m: max(gap for _, gap in gaps(c, r, m)), "largest gap"),
    ("15.1", lambda n, b, e, f, p, s: e * n * f / (p * s) / 3600, "drops the last batch"),
    ("15.1", lambda n, b, e, f, p, s: e * (n // b) * f / (p * s) / 3600, "whole batch"),
    ("15.1", lambda *args: 60 * hours(*args), "times too large"),
    ("15.1", lambda n, b, e, f, p, s: hours(n, b, e, f, p, 1), "divide by the share"),
    ("15.2", lambda g: g.square().sum(1) / g.square().sum(), "take the root"),
    ("15.2", lambda g: g.abs().sum(1) / g.abs().sum(), "Euclidean"),
    ("15.2", lambda g: g.norm(dim=1), "divide them by their sum"),
    ("15.2", lambda g: g.norm(dim=1) / g.norm(), "the value|times"),
]


def hours(images, batch, epochs, flop, peak, share):
    return epochs * (images // batch) * batch * flop / (peak * share) / 3600


def log_not(logits, target):
    return logits.scatter(1, target[:, None], -torch.inf).logsumexp(1) - logits.logsumexp(1)


def plane(d, du, dv, u, v, camera):
    n = torch.stack([camera.fx * du, camera.fy * dv, d - (u - camera.u0) * du - (v - camera.v0) * dv], dim=1)
    return -n / n.norm(dim=1, keepdim=True)


@pytest.mark.parametrize(("number", "answer"), ALSO_RIGHT)
def test_other_right_answers_are_taken(number, answer):
    said = verdict(number, answer)
    assert said.startswith("Correct"), said


@pytest.mark.parametrize(("number", "answer", "spoken_of"), WRONG)
def test_typical_mistakes_are_refused_with_a_hint_that_helps(number, answer, spoken_of):
    said = verdict(number, answer)
    assert not said.startswith("Correct") and re.search(spoken_of, said), said


@pytest.mark.parametrize("number", ["07.1", "08.2", "08.3", "11.1", "13.1"])
def test_counts_are_compared_exactly(number):
    assert not verdict(number, lambda *args: torch.as_tensor(EXERCISES[number].expected(*args)) + 1).startswith("Corr")


def test_every_exercise_has_typical_mistakes():
    numbers = [number for number, *_ in WRONG]
    assert all(numbers.count(number) >= 2 for number in EXERCISES)
