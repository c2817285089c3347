"""Train controllers of the NCLD weights on one batch of a frozen student and teacher, and record what W depends on.

Run it from the repository's root as `python -m tools.studies.frozen_controllers`. It takes less than ten minutes on one
idle core. This is the experiment of notebook 02, section 4, with thirty times as many updates. The results are written
to results/controllers, and notebook 02 plots them.
"""

import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from torch import Tensor

from lixlib import checkpoints, data
from lixlib.core.files import read_json_lines, write_json_lines
from lixlib.distillers import DWLD
from lixlib.functional import confidence, dwld_loss
from lixlib.lab import record
from lixlib.nets import Output

# name -> weighting, divergence, and whether the controller maximises the loss, as in the notebook
WAYS = {
    "joint, kl": ("joint", "kl", False),
    "normalised": ("normalised", "bregman", False),
    "up, budget": ("normalised", "bregman", True),
}
LOOKS = (0, 30, 100, 300, 1000, 3000)  # numbers of updates after which W is recorded
EDGES = (0.0, 0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # bins of the student's probability
STRIDE = 4  # every fourth pixel in each direction is used


@dataclass(frozen=True)
class Options:
    """What to run.

    Args:
        ways: Ways to train the controller, by their names in `WAYS`.
        seeds: Seeds of the controller's initial weights.
        frames: Number of validation frames on which the controller is trained. As many further frames are held out.
        steps: Number of updates. W is recorded after those of `LOOKS` that are reached.
        results: Folder to which the results are written.
    """

    ways: tuple[str, ...] = tuple(WAYS)
    seeds: tuple[int, ...] = (0, 1, 2)
    frames: int = 8
    steps: int = LOOKS[-1]
    results: str = "results/controllers"


class Frames:
    """The logits of some frames, and the elements of W that the loss uses: all classes but the target."""

    def __init__(self, student: Tensor, teacher: Tensor, label: Tensor):
        self.student, self.teacher, self.label = Output(student, {}), Output(teacher, {}), label
        self.used = torch.ones_like(student, dtype=torch.bool).scatter(1, label.unsqueeze(1), False)
        self.top = torch.zeros_like(self.used).scatter(1, student.argmax(1, keepdim=True), True)
        self.doubt = 1 - confidence(student).unsqueeze(1).expand_as(student)
        edges = torch.tensor(EDGES[1:-1])
        self.bins = torch.bucketize(student.softmax(1), edges, right=True)

    def weights(self, method: DWLD) -> Tensor:
        with torch.no_grad():
            return method.weights(self.student, self.teacher, self.label).double()

    def elements(self) -> Tensor:
        """Compute the elements D of the paper's divergence "kl", which are 0 at the target.

        The loss is linear in W, so each element is the gradient by W times the number of pixels.
        """
        w = torch.ones_like(self.student.logits, requires_grad=True)
        dwld_loss(self.student.logits, self.teacher.logits, self.label, w).backward()
        return w.grad.double() * self.label.numel()

    def statistics(self, w: Tensor) -> dict:
        used, wrong_top = self.used, self.used & self.top
        by_class = [(w[:, c][used[:, c]], self.doubt[:, c][used[:, c]].double()) for c in range(w.shape[1])]
        means = torch.stack([values.mean() for values, _ in by_class])[:, None, None].expand_as(w)
        within = torch.stack([torch.corrcoef(torch.stack(pair))[0, 1] for pair in by_class])
        return {
            "mean": float(w[used].mean()),
            "top": float(w[wrong_top].mean()),  # the class that the student predicts, where it is wrong
            "rest": float(w[used & ~self.top].mean()),
            "between_classes": float(means[used].var() / w[used].var()),
            "with_doubt": float(torch.corrcoef(torch.stack([w[used], self.doubt[used].double()]))[0, 1]),
            "with_doubt_within_a_class": float(within.mean()),
            "by_probability": [float(w[used & (self.bins == i)].mean()) for i in range(len(EDGES) - 1)],
            "weighted_ncld": float((w * self.elements()).sum(1).mean()),  # with the elements of the paper's divergence
        }


def load(count: int) -> tuple[Frames, Frames, dict]:
    """Return the training frames, the held-out frames, and the metadata of the shipped student."""
    teacher_net, _ = checkpoints.load(checkpoints.shipped("toydrive-mfnet-teacher"))
    student_net, about = checkpoints.load(checkpoints.shipped("toydrive-mfnet-student"))
    difficulty = about["recipe"]["data"]["difficulty"]
    frames = data.load("toydrive", "val", size=tuple(about["size"]), eval_count=2 * count, difficulty=difficulty)
    batch = data.collate(list(frames))
    with torch.no_grad():
        maps = student_net(batch.rgb).logits, teacher_net(batch.rgb, batch.x).logits, batch.label
    thin = [values[..., 1::STRIDE, 1::STRIDE].contiguous() for values in maps]
    return Frames(*(v[:count] for v in thin)), Frames(*(v[count:] for v in thin)), about


def train(way: str, seed: int, steps: int, seen: Frames, unseen: Frames) -> list[dict]:
    """Train one controller, and return the statistics of W after the updates of `LOOKS`."""
    weighting, divergence, up = WAYS[way]
    torch.manual_seed(seed)
    method = DWLD(seen.student, seen.teacher, weighting=weighting, divergence=divergence)
    optimizer = torch.optim.SGD(method.parameters(), lr=0.05, momentum=0.9)
    looks = []
    for update in range(steps + 1):
        if update in LOOKS:
            both = {name: each.statistics(each.weights(method)) for name, each in (("seen", seen), ("unseen", unseen))}
            looks.append({"update": update, **both})
        loss = method(seen.student, seen.teacher, seen.label)["dwld"]
        optimizer.zero_grad()
        (-loss if up else loss).backward()
        optimizer.step()
    return looks


def rounded(value):
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return round(value, 4) if isinstance(value, float) else value


def main(options: Options) -> None:
    torch.set_num_threads(1)  # so that every machine of the same kind computes the same numbers
    path = Path(options.results) / "toydrive.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    seen, unseen, about = load(options.frames)
    ncld = {name: float(each.elements().sum(1).mean()) for name, each in (("seen", seen), ("unseen", unseen))}
    common = {"dataset": "toydrive", "network": "mfnet", "frames": options.frames, "stride": STRIDE}
    common |= {"steps": options.steps, "edges": list(EDGES), "ncld": rounded(ncld)}
    common |= {"command": shlex.join(["python", "-m", "tools.studies.frozen_controllers", *sys.argv[1:]])}
    common |= record.provenance(torch.device("cpu"))
    for seed in options.seeds:
        for way in options.ways:
            start = time.perf_counter()
            looks = train(way, seed, options.steps, seen, unseen)
            line = {"way": way, "seed": seed, "looks": rounded(looks), **common}
            line["seconds"] = round(time.perf_counter() - start, 2)
            before = read_json_lines(path) if path.exists() else []
            others = [
                old for old in before if any(old[name] != line[name] for name in ("way", "seed", "frames", "steps"))
            ]
            write_json_lines(path, [*others, line])
            print(f"{way}, seed {seed}: W {looks[-1]['seen']['top']:.2f} at a wrong first choice", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Options))
