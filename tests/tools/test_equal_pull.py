"""The weights of equal pull: each undoes how hard its loss pulls, and a measurement names every loss."""

import pytest

from lixlib.lab.evidence import CHOSEN, EQUAL_PULL
from tools.studies.equal_pull import equal, pulls


def test_a_weight_undoes_the_pull():
    found = [{"laplace, cka": 0.2, "none, cosine": 0.1}, {"laplace, cka": 0.8, "none, cosine": 0.9}]
    weights = equal(found)
    assert weights["laplace, cka"] == CHOSEN["arfd"]["weight"]
    assert weights["none, cosine"] * 0.3 == pytest.approx(CHOSEN["arfd"]["weight"] * 0.4)


def test_every_loss_is_measured(tmp_path, monkeypatch):
    monkeypatch.setenv("LIX_RUNS", str(tmp_path))
    options = {"count": 8, "eval_count": 8}
    small = {"size": (32, 96), "epochs": 1, "unlabelled": 0, "dataset_options": options}
    found = pulls(0, **small)
    assert list(found) == list(EQUAL_PULL) and min(found.values()) > 0
    assert max(found, key=found.get) == "linear, euclidean", "its entries are sums over the channels"
