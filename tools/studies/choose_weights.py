"""Choose the loss weight of every method in the regime of the main table, by one rule, on validation frames.

    python -m tools.studies.choose_weights kd dist lix

All weights of a method are multiplied by one factor 3^e. The tries are e = -1, 0, 1, and one step further as long as
the best lies at an end of what was tried. Each try has the two seeds `CHOICE_SEEDS`, the full length of the main table,
and the validation split. Every run is a line of results/choices; what is there is not run again.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from lixlib.distillers import METHODS
from lixlib.lab.grid import compare, lines_of
from lixlib.lab.plan import folder_of
from lixlib.lab.recipe import Recipe
from lixlib.lab.regime import CHOICE_SEEDS, REGIME, STARTS, options_of
from lixlib.lab.results import NAMES

RESULTS = Path(__file__).resolve().parents[2] / "results" / "choices"
BASE = 3.0
FIRST = (-1.0, 0.0, 1.0)  # exponents that every method tries
MOST = 9  # tries of one method
FRAMES = {**REGIME["dataset_options"], "eval_count": 300}  # as many as the tables' test split has
SETTING = {**REGIME, "splits": ("train", None, "val"), "dataset_options": FRAMES}


def recipes_of(method: str, exponent: float) -> list[Recipe]:
    """One try: the method with all its weights times BASE^exponent, once for each seed."""
    weights = {name: float(f"{value * BASE**exponent:.2g}") for name, value in STARTS[method].items()}
    options = options_of(method, weights)
    return [Recipe(method=method, method_options=options, seed=seed, **SETTING) for seed in CHOICE_SEEDS]


def scores(method: str) -> dict[float, float]:
    """The mean validation mIoU of every try that is finished, by its exponent."""
    exponents = [float(e) for e in range(-MOST, MOST + 1)]
    asked = {exponent: recipes_of(method, exponent) for exponent in exponents}
    found = lines_of([recipe for tried in asked.values() for recipe in tried], RESULTS)
    done = {e: [found.get(folder_of(recipe)) for recipe in tried] for e, tried in asked.items()}
    return {e: mean(line["metrics"]["mIoU"] for line in lines) for e, lines in done.items() if all(lines)}


def next_tries(found: dict[float, float]) -> list[float]:
    """The exponents to try next, by the rule above; none when the choice is made."""
    if len(found) >= MOST:
        return []
    if missing := [e for e in FIRST if e not in found]:  # of a killed study some are there
        return missing
    tried, best = sorted(found), max(found, key=found.__getitem__)
    if best in (tried[0], tried[-1]):
        return [best - 1 if best == tried[0] else best + 1]
    return []


def main(methods: Sequence[str]) -> None:
    methods = list(methods or METHODS)
    while todo := {method: tries for method in methods if (tries := next_tries(scores(method)))}:
        asked = [recipe for method, tries in todo.items() for e in tries for recipe in recipes_of(method, e)]
        report = compare(sorted(asked, key=lambda recipe: recipe.seed), results_dir=RESULTS, device="cpu")
        if report.failures:
            raise SystemExit("\n".join(f"{failure.recipe.method}: {failure.error}" for failure in report.failures))
    # the student at the length of the regime, and at twice and four times that: has it learnt what it can?
    lengths = [SETTING | {"epochs": times * SETTING["epochs"]} for times in (1, 2, 4)]
    students = [Recipe(method="student", seed=seed, **setting) for seed in CHOICE_SEEDS for setting in lengths]
    compare(students, results_dir=RESULTS, device="cpu")
    for method in methods:
        found = scores(method)
        best = max(found, key=found.__getitem__)
        weights = {name: recipes_of(method, best)[0].method_options[name] for name in STARTS[method]}
        tries = ", ".join(f"3^{e:g}: {100 * found[e]:.2f}" for e in sorted(found))
        print(f"{NAMES[method]}: {weights} ({tries})")


if __name__ == "__main__":
    main(sys.argv[1:])
