"""The table of results/choices: every try of every method, and how long the student was trained for comparison."""

from collections import defaultdict
from statistics import mean

from lixlib.lab.record import Record
from lixlib.lab.regime import FIXED, RARE, REGIME, STARTS
from lixlib.lab.results import title


def table(lines: list[Record]) -> str:
    """A row for each try: mIoU of all, of the common and of the rare classes, means over the seeds, in %."""
    tries: dict[tuple, list[Record]] = defaultdict(list)
    for line in lines:
        if line["method"] != "teacher":
            tries[_key(line)].append(line)
    text = ["| method | what is tried | mIoU | common | rare | seeds |", "|---|---|---:|---:|---:|---|"]
    for _, found in sorted(tries.items(), key=lambda item: _order(item[0])):
        scores = [mean(_scores(line)[part] for line in found) for part in range(3)]
        seeds = ", ".join(str(line["seed"]) for line in sorted(found, key=lambda line: line["seed"]))
        cells = " | ".join(f"{100 * score:.2f}" for score in scores)
        text.append(f"| {title(found[0])} | {_told(found[0])} | {cells} | {seeds} |")
    return "\n".join(text)


def _key(line: Record) -> tuple:
    recipe = line["recipe"]
    weights = tuple(recipe["hyper"].get(name, 0.0) for name in STARTS.get(line["method"], ()))
    return line["method"], line["epochs"], recipe["lr"], recipe.get("momentum", 0.9), weights, _searched(line)


def _order(key: tuple) -> tuple:
    method, *rest = key
    return ("student", *STARTS).index(method), *rest


def _scores(line: Record) -> tuple[float, float, float]:
    iou = {name: values[0] for name, values in line["per_class"].items()}
    common = [value for name, value in iou.items() if name not in RARE]
    return line["metrics"]["mIoU"], mean(common), mean(iou[name] for name in RARE)


def _searched(line: Record) -> str:
    """The options of a method beside its weights that differ from those which the regime fixes."""
    fixed = {*STARTS.get(line["method"], ()), *FIXED.get(line["method"], ()), "net", "class_weights", "ema"}
    options = {name: value for name, value in line["recipe"]["hyper"].items() if name not in fixed}
    options |= options.pop("feature", {})
    return ", ".join(
        f"{name} {value if not isinstance(value, list) else ' '.join(value)}" for name, value in options.items()
    )


def _told(line: Record) -> str:
    recipe = line["recipe"]
    parts = [f"{name} {recipe['hyper'][name]:g}" for name in STARTS.get(line["method"], ())]
    if line["method"] == "student" or line["epochs"] != REGIME["epochs"]:
        parts.append(f"{line['updates']} updates")
    parts += [f"rate {recipe['lr']:g}"] if recipe["lr"] != 0.05 else []
    parts += [f"momentum {recipe['momentum']:g}"] if recipe.get("momentum", 0.9) != 0.9 else []
    return ", ".join([*parts, *filter(None, [_searched(line)])])
