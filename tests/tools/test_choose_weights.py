"""The rule by which the weights of the main table are chosen, and that the library has what it chose."""

import pytest

from lixlib.distillers import METHODS
from lixlib.lab import evidence
from lixlib.lab.regime import CHOICE_SEEDS, SEEDS, STARTS
from tools.studies import choose_weights
from tools.studies.choose_weights import RESULTS, next_tries, recipes_of, scores


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({}, [-1, 0, 1]),
        ({-1: 0.1, 0: 0.3, 1: 0.2}, []),
        ({-1: 0.1, 0: 0.2, 1: 0.3}, [2]),
        ({-1: 0.3, 0: 0.2, 1: 0.1}, [-2]),
        ({-2: 0.2, -1: 0.3, 0: 0.2, 1: 0.1}, []),
        ({-1: 0.3}, [0, 1]),  # a killed study goes on with the tries that all have
        ({0: 0.2, 1: 0.3}, [-1]),
        ({float(e): e for e in range(9)}, []),  # enough is enough
    ],
)
def test_the_range_grows_until_the_best_lies_inside(found, expected):
    assert next_tries({float(e): score for e, score in found.items()}) == expected


def test_a_try_multiplies_all_weights_of_a_method_and_leaves_the_rest():
    (plain, _), (double, _) = recipes_of("lix", 0.0), recipes_of("lix", 1.0)
    assert (plain.options["lambda_l"], double.options["lambda_l"]) == (0.5, 1.5)
    assert (plain.options["lambda_f"], double.options["lambda_f"]) == (3.0, 9.0)
    assert plain.options["logit"] == double.options["logit"]
    assert plain.splits[-1] == "val" and {r.seed for r in recipes_of("kd", 0.0)} == set(CHOICE_SEEDS)
    assert not set(CHOICE_SEEDS) & set(SEEDS)


def test_every_method_has_a_start():
    assert set(STARTS) == {*METHODS, "mean-teacher"}
    for method in METHODS:
        recipes_of(method, 0.0)  # its options are those of the method


def test_what_was_chosen_is_what_the_results_say():
    if not RESULTS.exists():
        pytest.skip(f"no results in {RESULTS}: make them by python -m tools.studies.choose_weights")
    for method in STARTS:
        found = scores(method)
        if found and not next_tries(found):
            best = recipes_of(method, max(found, key=found.__getitem__))[0]
            assert {name: best.method_options[name] for name in STARTS[method]} == evidence.CHOSEN[method], method


def test_a_try_that_is_not_finished_has_no_score(tmp_path, monkeypatch):
    monkeypatch.setattr(choose_weights, "RESULTS", tmp_path)
    assert scores("kd") == {}
