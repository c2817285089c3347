"""Chapter 10: what it writes out is what the library does, and the numbers that it reads are sound."""

import json

import numpy as np
import pytest
from notebook_code import cells_of, definitions

from lixlib.core.files import read_json_lines
from lixlib.lab import main_table
from lixlib.lab.regime import RARE
from lixlib.lab.results import METRICS, NAMES, by_method, gains
from lixlib.lab.statistics import holm
from tools.dev.execute_notebooks import FOLDER

RESULTS = FOLDER.parent / "results"
FORMER = RESULTS / "history"  # the tables of before
PAPER = read_json_lines(RESULTS / "paper" / "tables.jsonl")
# rows of the paper whose two frequency-weighted scores exclude each other; chapter 10 prints them
CONTRADICTIONS = {("I", "SNE-RoadSeg", "lix"), ("III", "MFNet", "nst"), ("III", "MFNet", "afdcd")}


@pytest.mark.parametrize("seed", range(5))
def test_holm_by_hand_is_the_librarys(seed):
    by_hand = definitions("10_comparison")["holm_by_hand"]
    p = list(np.random.default_rng(seed).beta(0.3, 1, size=1 + 4 * seed))
    assert by_hand(p) == pytest.approx(list(holm(dict(enumerate(p))).values()))


def test_the_table_that_fooled_us_has_another_winner_without_four_classes():
    then = main_table.by_title(by_method(read_json_lines(FORMER / "toydrive" / "mfnet.jsonl")))
    by_all = main_table.ranked(then)
    by_nine = sorted(by_all, key=lambda name: -main_table.split(then, name, "student")[0])
    assert len(by_all) == 19 and (by_all[0], by_nine[0]) == ("DIST", "CWKD")
    assert (by_all.index("MasKD"), by_nine.index("MasKD")) == (2, 5), "as the words below the figure say"
    parts = definitions("10_comparison")["parts"]
    for name in by_all:
        gain = np.mean(list(gains(then, name).values()))
        common, rare = parts(then, name).values()
        assert common + rare == pytest.approx(gain)
        assert 13 / 9 * common == pytest.approx(main_table.split(then, name, "student")[0])
    common, rare = parts(then, "DIST").values()
    assert rare > common, "most of the winner's gain is four classes"
    alone = [line["per_class"][name][0] or 0 for line in then["student"].values() for name in RARE]
    assert max(alone) < 0.03, "the student alone has not found them"


def test_the_papers_tables_are_complete():
    tables = {"I": "vKITTI2", "II": "KITTI Semantics", "III": "nuImages"}
    found = [(line["table"], line["dataset"], line["network"], line["method"]) for line in PAPER]
    networks = ("SNE-RoadSeg", "MFNet")
    assert found == [(*table, network, m) for table in tables.items() for network in networks for m in NAMES]
    assert all(tuple(line["metrics"]) == METRICS for line in PAPER)


@pytest.mark.parametrize("table", ["I", "II", "III"])
def test_the_papers_numbers_are_those_of_its_text(table, paper):
    block = paper.split("KD Type | Algorithm")[len(table)]
    lines = {(line["network"], line["method"]): line["metrics"] for line in PAPER if line["table"] == table}
    for method, row in zip(NAMES, [row for row in block.splitlines() if row.count(".") == 8], strict=False):
        numbers = [float(cell) for cell in row.split("|") if cell.strip().replace(".", "").isdigit()]
        metrics = [lines[network, method] for network in ("SNE-RoadSeg", "MFNet")]
        ours = [100 * m[name] for m in metrics for name in ("mFsc", "fwFsc", "mIoU", "fwIoU")]
        assert ours == pytest.approx(numbers, abs=1e-9), method


def possible(metrics: dict, rounding: float) -> bool:
    """F is a concave function of IoU: its mean cannot exceed F of the mean IoU."""
    pairs = [(metrics[f"{kind}IoU"] + rounding, metrics[f"{kind}Fsc"] - rounding) for kind in ("m", "fw")]
    return all(iou - 2 * rounding <= f <= 2 * iou / (1 + iou) for iou, f in pairs)


def test_f_scores_and_ious_go_together():
    wrong = {(line["table"], line["network"], line["method"]) for line in PAPER if not possible(line["metrics"], 5e-5)}
    assert wrong == CONTRADICTIONS
    for path in FORMER.glob("*/mfnet.jsonl"):
        assert all(possible(line["metrics"], 1e-9) for line in read_json_lines(path)), path


def test_predictions_fit_their_frames():
    for file in FORMER.glob("predictions/*/*/frames.json"):
        frames = json.loads(file.read_text())
        assert len(frames["indices"]) == len(frames["names"]) > 1
        shown = {path.stem for path in file.parent.glob("*.png")}
        assert shown <= {*NAMES, "truth"} and {"teacher", "student"} <= shown


@pytest.mark.parametrize(
    ("chapter", "command"),
    [
        ("10_comparison", "lix compare --datasets toydrive --results nowhere"),
        ("11_ablation_logit", "lix experiment baselines --results nowhere/experiments"),
        ("12_ablation_feature", "lix experiment"),
        ("13_looking_inside", "python tools/studies/look_inside.py --results nowhere"),
        ("14_beyond_the_paper", "lix experiment"),
    ],
)
def test_a_chapter_without_results_stops_where_it_first_reads_them(chapter, command, monkeypatch, capsys):
    monkeypatch.chdir(FOLDER)
    monkeypatch.setenv("LIX_HEADLESS", "1")
    namespace: dict = {}
    with pytest.raises(FileNotFoundError, match=f"no results in nowhere.*: make them by `{command}") as caught:
        for cell in cells_of(chapter):
            if cell.cell_type == "code":
                exec(cell.source, namespace)
                if "parameters" in cell.metadata.get("tags", []):
                    namespace["results_folder"] = "nowhere"
    assert "\n" not in str(caught.value)


def test_without_a_line_there_is_a_sentence_and_no_empty_figure(tmp_path, monkeypatch, capsys):
    (tmp_path / "evidence").mkdir()
    for name in ("forest", "scatter", "heatmaps"):
        monkeypatch.setattr(f"lixlib.plots.{name}", lambda *shown, **look: pytest.fail("an empty figure"))
    monkeypatch.chdir(FOLDER)
    first, last = "## 1. The experiment", "## 6. Is it X?"
    namespace: dict = {"quick": True}
    inside = False
    for cell in cells_of("10_comparison"):
        inside = (inside or cell.source.startswith(first)) and not cell.source.startswith(last)
        if inside and cell.cell_type == "code" and "explore(" not in cell.source and "my_" not in cell.source:
            exec(cell.source, namespace)
            if "parameters" in cell.metadata.get("tags", []):
                namespace["results_folder"] = str(tmp_path)
    assert capsys.readouterr().out.count("No method can be compared yet, so there is nothing to draw.") == 4
