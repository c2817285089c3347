"""Chapter 11: what it writes out is what the library does, and the paper's numbers that it reads are the paper's."""

import ast
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
import torch
from notebook_code import definitions, exercises, run
from scipy import stats

from lixlib.core.files import read_json_lines
from lixlib.lab import experiments, reversal
from lixlib.lab.experiments import EXPERIMENTS
from lixlib.lab.reversal import CELLS, HEAVIER, LENGTHS, slope
from lixlib.lab.statistics import compare_with, differ
from tools.dev.execute_notebooks import FOLDER

CHAPTER = "11_ablation_logit"
RESULTS = FOLDER.parent / "results"
PAPER = RESULTS / "paper"


@pytest.fixture
def chapter(monkeypatch):
    """What the chapter defines, with the values that its functions read."""
    names = definitions(CHAPTER)
    for name, value in {"margin": 1.0, "runs": {}}.items():
        monkeypatch.setitem(names["verdict"].__globals__, name, value)
    return names


def test_the_papers_table_iv_is_that_of_its_text(paper):
    block = paper.split("Ablation Study on Logit Distillation")[1]
    rows = [row for row in block.splitlines() if row.count(".") == 4 and row.count("|") >= 4][:3]
    found = [[float(cell) for cell in row.split("|") if cell.strip().replace(".", "").isdigit()] for row in rows]
    lines = read_json_lines(PAPER / "table-iv.jsonl")
    ours = [[100 * line["metrics"][name] for name in ("mFsc", "fwFsc", "mIoU", "fwIoU")] for line in lines]
    assert np.allclose(ours, found, atol=1e-9)
    assert [line["variant"] for line in lines] == list(EXPERIMENTS["table-iv"])


def test_what_the_chapter_says_of_the_papers_tables():
    table_iv = {line["variant"]: line["metrics"] for line in read_json_lines(PAPER / "table-iv.jsonl")}
    lines = [line for line in read_json_lines(PAPER / "tables.jsonl") if line["table"] == "I"]
    table_i = {line["method"]: line["metrics"] for line in lines if line["network"] == "MFNet"}
    assert table_iv["fixed weight"]["mIoU"] < table_i["student"]["mIoU"]
    assert table_iv["H = P"]["mIoU"] < table_i["dkd"]["mIoU"] < table_iv["H = [P, c]"]["mIoU"]


def test_the_yes_of_the_first_page_has_not_come_back():
    no = compare_with(experiments.read("beta", RESULTS / "experiments"), "DKD 1")["DKD 10"]
    assert no.interval[1] < 0, "one set of trainings said no, and seemed sure"
    again = reversal.at(reversal.read(RESULTS / "evidence"), reversal.minus("DKD 5.5", "DKD 1"), 800)
    assert again.mean < 0 < again.interval[1], "no lead after 800 updates, and no certain loss"


def test_quotations_are_the_papers(paper):
    prose = " ".join(
        cell.source for cell in nbformat.read(FOLDER / f"{CHAPTER}.ipynb", 4).cells if cell.cell_type == "markdown"
    )
    for quotation in (
        "the student network achieves increases by over 1.0% in mIoU and by over 0.9% in mFsc",
        "DWLD consistently demonstrates superior performance over DKD across different values of",
        "shows a gradual improvement until reaching a saturation point, after which its performance degrades due to "
        "over-fitting",
        "the inclusion of dropout layers does not appear to enhance the overall performance",
    ):
        assert quotation in paper and quotation in prose


def fake_runs(seed: int, n: int = 3) -> dict:
    rng = np.random.default_rng(seed)
    runs = {m: rng.normal(50 + 2 * i, 0.5, n) for i, m in enumerate(("low", "middle", "high"))}
    return {m: {s: {"metrics": {"mIoU": y / 100}} for s, y in enumerate(scores)} for m, scores in runs.items()}


def test_a_verdict_is_that_of_the_exercise_and_needs_two_seeds(chapter):
    solution = next(e.solution for e in exercises() if e.number == "11.1")
    namespace = dict(chapter)
    run(solution, namespace)
    words = {1: "agree", -1: "contradict", 0: "cannot tell"}
    for seed in range(5):
        runs = fake_runs(seed)
        two = {m: runs[m] for m in ("low", "high")}  # of two methods the pooled test is the paired one
        for one, other in (("low", "high"), ("high", "low")):
            test = compare_with(two, other)[one]
            gain = torch.tensor(
                [100 * (two[one][s]["metrics"]["mIoU"] - two[other][s]["metrics"]["mIoU"]) for s in two[one]]
            )
            expected = words[namespace["my_verdict"](gain, stats.t.ppf(0.975, 2))]
            assert chapter["verdict"](test) == expected
    alone = {m: {0: by[0]} for m, by in fake_runs(0).items()}
    assert chapter["verdict"](compare_with(alone, "low")["high"]) == chapter["verdict"](None) == "cannot tell"


@pytest.mark.parametrize(
    ("interval", "word"),
    [
        ((0.1, 0.9), "the same"),
        ((-0.5, 0.5), "the same"),
        ((0.2, 1.4), "better"),
        ((-2.0, -0.1), "worse"),
        ((-0.3, 1.2), "cannot tell"),
        ((np.nan, np.nan), "cannot tell"),
    ],
)
def test_the_four_answers(chapter, interval, word):
    assert chapter["four_words"](SimpleNamespace(interval=interval)) == word


@pytest.mark.parametrize(
    ("interval", "p", "of_a_gain", "of_no_help"),
    [
        ((0.5, 1.5), 0.01, "agree", "contradict"),
        ((0.5, 1.5), 0.20, "cannot tell", "cannot tell"),  # alone it would count, among eleven it does not
        ((-1.5, -0.5), 0.01, "contradict", "agree"),
        ((-0.5, 0.8), 0.60, "cannot tell", "agree"),  # a help of a point is excluded
        ((np.nan, np.nan), np.nan, "cannot tell", "cannot tell"),
    ],
)
def test_a_claim_is_judged_by_its_corrected_p_value(chapter, interval, p, of_a_gain, of_no_help):
    test = SimpleNamespace(interval=interval, mean=np.mean(interval))
    assert chapter["judged"]("c in H helps", test, p) == of_a_gain
    assert chapter["judged"]("dropout does not help", test, p) == of_no_help
    assert chapter["judged"]("c in H helps", None, np.nan) == "not run"


def test_better_than_all_and_not(chapter):
    alone = {m: {0: by[0]} for m, by in fake_runs(0).items()}
    chapter["beats_all"].__globals__["runs"] |= {"new": fake_runs(0), "alone": alone}
    beats_all = chapter["beats_all"]
    assert beats_all("new", "high", ["low", "middle"])[0] == "agree"
    assert beats_all("new", "middle", ["low", "high"]) == ("contradict", "better: high")
    assert beats_all("alone", "high", ["low", "middle"]) == ("cannot tell", "above 2 of 2 in the mean; one seed")
    assert beats_all("new", "high", ["low", "nobody"])[0] == "not run", "all of them means all of them"


def test_the_intervals_of_a_curve(chapter):
    y = np.random.default_rng(0).normal(50, 1, (4, 3))
    mean, half = chapter["curve"](y)
    luck = differ(y)
    assert mean == pytest.approx(y.mean(1))
    assert half == pytest.approx(np.full(4, stats.t.ppf(0.975, 6) * luck.deviation / 3**0.5))
    assert np.isnan(chapter["curve"](y[:, :1])[1]).all()


def test_the_exercise_finds_the_slope_of_the_library(chapter):
    random, namespace = np.random.default_rng(0), dict(chapter)
    run(next(e.solution for e in exercises() if e.number == "11.2"), namespace)
    lines = {
        by[u]: {s: {"metrics": {"mIoU": random.normal(0.5, 0.02)}, "per_class": {}} for s in range(3)}
        for by in CELLS.values()
        for u in LENGTHS
    }
    d = [
        [sum(w * 100 * lines[CELLS[a][u]][s]["metrics"]["mIoU"] for a, w in HEAVIER.items()) for s in range(3)]
        for u in LENGTHS
    ]
    by_seed = namespace["my_slope"](torch.tensor(LENGTHS), torch.tensor(d, dtype=torch.float64))
    assert by_seed.mean().item() == pytest.approx(slope(lines, HEAVIER).mean)


def test_the_range_by_luck(chapter):
    assert chapter["luck_range"](2) == pytest.approx(2 / np.pi**0.5, abs=0.02)
    assert chapter["luck_range"](5) == pytest.approx(2.326, abs=0.03)  # the control charts' d2


def test_every_claim_asks_for_variants_that_exist():
    cells = [cell.source for cell in nbformat.read(FOLDER / f"{CHAPTER}.ipynb", 4).cells if cell.cell_type == "code"]
    nodes = [node for cell in cells for node in ast.parse(cell).body if isinstance(node, ast.Assign)]
    (claims,) = (node.value for node in nodes if getattr(node.targets[0], "id", None) == "CLAIMS")
    asked = [[getattr(part, "value", LENGTHS[-1]) for part in claim.elts] for claim in claims.values]
    assert len(asked) == 11
    for where, *pair in asked:
        assert set(pair) <= set(CELLS if where in LENGTHS else EXPERIMENTS[where])
