"""The weights of equal pull: each undoes how hard its loss pulls, and a measurement names every loss."""

import pytest

from lixlib.core.files import read_json_lines
from lixlib.lab.evidence import CHOSEN, EQUAL_PULL
from lixlib.lab.regime import CHOICE_SEEDS
from tools.studies.equal_pull import RESULTS, equal, main


def test_a_weight_undoes_the_pull():
    found = [{"laplace, cka": 0.2, "none, cosine": 0.1}, {"laplace, cka": 0.8, "none, cosine": 0.9}]
    weights = equal(found)
    assert weights["laplace, cka"] == CHOSEN["arfd"]["weight"]
    assert weights["none, cosine"] * 0.3 == pytest.approx(CHOSEN["arfd"]["weight"] * 0.4)


def test_the_weights_are_those_that_were_measured():
    lines = read_json_lines(RESULTS / "toydrive" / "mfnet.jsonl")
    assert [line["seed"] for line in lines] == list(CHOICE_SEEDS)
    again = "teachers that are trained again differ in rounding; a weight has two digits"
    assert equal([line["pull"] for line in lines]) == pytest.approx(EQUAL_PULL, rel=0.1), again


def test_every_loss_is_measured_and_a_line_says_how(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LIX_RUNS", str(tmp_path / "runs"))
    options = {"count": 8, "eval_count": 8}
    main([0], tmp_path, size=(32, 96), epochs=1, unlabelled=0, dataset_options=options)
    (line,) = read_json_lines(tmp_path / "toydrive" / "mfnet.jsonl")
    found = line["pull"]
    assert list(found) == list(EQUAL_PULL) and min(found.values()) > 0
    assert max(found, key=found.get) == "linear, euclidean", "its entries are sums over the channels"
    assert line["seed"] == 0 and line["command"] == "python -m tools.studies.equal_pull"
    assert {"device", "instructions", "versions", "commit"} <= set(line)
    assert capsys.readouterr().out.strip() == str(equal([found]))
