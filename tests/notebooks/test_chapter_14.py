"""Chapter 14: what it writes out is what the library does, and the lines that it reads belong together."""

import numpy as np
import pytest
import torch
from notebook_code import definitions

from lixlib.core.files import read_json_lines
from lixlib.metrics import reliability, scores
from tools.dev.execute_notebooks import FOLDER
from tools.studies.transfer import COMMON

CHAPTER = definitions("14_beyond_the_paper")
TRANSFER = FOLDER.parent / "results" / "transfer"


@pytest.mark.parametrize("bins", [5, 15, 30])
def test_merged_bins_are_those_of_fewer_bins(bins):
    probability, label = torch.randn(2, 4, 6, 8).softmax(1), torch.randint(0, 4, (2, 6, 8))
    fine = reliability(probability, label, bins=30)
    torch.testing.assert_close(CHAPTER["merged"](fine.tolist(), bins), reliability(probability, label, bins=bins))


def test_bins_that_do_not_merge_stay():
    assert CHAPTER["merged"]([[1.0] * 30] * 3, 7).shape == (3, 30)


def test_streets_are_scored_as_the_results_say():
    lines = {(line["variant"], line["seed"]): line for line in read_json_lines(TRANSFER / "toydrive.jsonl")}
    for line in lines.values():
        pixels = sum(torch.tensor(matrix) for matrix in line["confusion"].values())
        count, confidence, right = torch.tensor(line["bins"], dtype=torch.float64)
        assert sum(line["frames"].values()) == line["tested_on"]["frames"]
        assert count.sum() == pixels.sum() == line["tested_on"]["frames"] * np.prod(line["tested_on"]["size"])
        assert right.sum() == pixels.trace() and (confidence <= count + 1e-6).all()


def test_every_shipped_network_is_best_at_home():
    lines = read_json_lines(TRANSFER / "datasets.jsonl")
    miou = {}
    for line in lines:
        assert tuple(line["classes"]) == COMMON
        found = np.mean(scores(torch.tensor(line["confusion"]))["IoU"][: len(COMMON)])
        miou[line["network"], line["trained_on"]["dataset"] == line["tested_on"]["dataset"]] = found
    assert len(miou) == 8 and all(miou[name, True] > miou[name, False] for name, _ in miou)
