"""The loss weights: those that the library uses are those that won on validation frames, each after the same budget."""

from collections import Counter
from pathlib import Path

from lixlib.distillers import METHODS
from lixlib.lab import results
from lixlib.lab.results import NAMES
from tools.studies.sweep_weights import ALSO, SETTING, SHARES, best

LINES = results.read(Path(__file__).resolve().parents[2] / "results" / "history" / "sweep", "toydrive")


def test_the_best_weights_are_the_chosen_ones():
    winners = best(LINES)
    assert winners.keys() == NAMES.keys() - {"teacher", "student"}, "the methods of the paper"
    for method, weights in winners.items():
        assert {name: METHODS[method].tuned[name] for name in weights} == weights, method


def test_every_method_had_the_same_budget():
    assert {(line["seed"], line["split"], line["epochs"]) for line in LINES} == {
        (SETTING["seed"], "val", SETTING["epochs"])
    }
    tried = Counter(line["method"] for line in LINES)
    assert tried.pop("student") == 1
    diverged = {"vid": 2}
    for method, count in tried.items():
        assert count == len(SHARES) + len(ALSO.get(method, ())) - diverged.get(method, 0), method
