"""An option that a command does not have: one short line with the nearest one that it has."""

import pytest
from commands import fails_with_one_line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("compare", "--dataset", "toydrive"),
            "compare has no option --dataset: the nearest that it has is --datasets; run `lix compare --help`",
        ),
        (
            ("predict", "--weight=f"),
            "predict has no option --weight: the nearest that it has is --weights; run `lix predict --help`",
        ),
        (
            ("eval", "W", "--dataset-options", "{}"),
            "eval has no option --dataset-options: the nearest that it has is --dataset; run `lix eval --help`",
        ),
        (("compare", "--optimizer", "adam"), "compare has no option --optimizer: run `lix compare --help`"),
        (("train", "--epochs", "3", "4"), "'4' belongs to no option of train: run `lix train --help`"),
    ],
)
@pytest.mark.parametrize("boxes", [True, False])
def test_an_unknown_option_is_one_short_line(lix, monkeypatch, words, said, boxes):
    monkeypatch.setattr("tyro._fmtlib._FORCE_UTF8_BOXES", boxes)
    code, _, errors = lix(*words)
    assert (code, errors) == (2, f"lix: {said}\n")


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        (("experiment", "beta", "--only", "student", "--only", "KD"), "--only"),
        (("compare", "--seeds=0", "--seeds", "1"), "--seeds"),
        (("train", "--dataset-options", "{}", "--dataset_options={}"), "--dataset-options"),
    ],
)
def test_an_option_that_is_there_twice_is_refused(lix, words, flag):
    fails_with_one_line(lix(*words), f"{flag} is there more than once, and all but the last would be lost: give it")


def test_an_unknown_command_lists_those_there_are(lix):
    fails_with_one_line(lix("trian"), "trian", "train, compare, experiment")


def test_options_of_compare_are_by_method(lix):
    words = ("compare", "--methods", "kd", "--method-options", '{"temperature": 4}')
    fails_with_one_line(lix(*words), 'by method, write {"kd": {"temperature": 4}}')
