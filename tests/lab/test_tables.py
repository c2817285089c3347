"""Tables of runs, and the numbers of forest plots."""

from lixlib.lab.statistics import compare_with, estimates
from lixlib.lab.tables import gain_table, metric_table, over_seeds

METRICS = {"mIoU": 0.5, "fwIoU": 0.8, "mFsc": 0.6, "fwFsc": 0.9}


def test_metric_table():
    better = {key: value + 0.1 for key, value in METRICS.items()}
    table = metric_table({key: value + 0.2 for key, value in METRICS.items()}, METRICS, better, "LIX")
    lines = table.splitlines()
    assert lines[0] == "| | mIoU | fwIoU | mFsc | fwFsc |"
    assert lines[3] == "| student (RGB) | 50.0 | 80.0 | 60.0 | 90.0 |"
    assert lines[5].endswith("| +10.0 | +10.0 | +10.0 | +10.0 |")
    assert lines[6].endswith("| 50 % | 50 % | 50 % | 50 % |")
    assert "no gap" in metric_table(METRICS, METRICS, better)


def test_what_x_adds_is_told_beside_the_gain():
    better, best = ({key: value + more for key, value in METRICS.items()} for more in (0.02, 0.1))
    teacher = {key: value + 0.2 for key, value in METRICS.items()}
    lines = metric_table(teacher, METRICS, best, "LIX", without_x=better).splitlines()
    assert lines[4] == "| LIX, taught by RGB alone (RGB) | 52.0 | 82.0 | 62.0 | 92.0 |"
    assert lines[6].startswith("| gain") and lines[6].endswith("| +10.0 | +10.0 | +10.0 | +10.0 |")
    assert lines[7] == "| X gain, points | +8.0 | +8.0 | +8.0 | +8.0 |"


def experiment(**scores):
    """Runs by variant and seed, of mIoU in %."""
    return {
        name: {seed: {"metrics": {"mIoU": value / 100}} for seed, value in enumerate(values)}
        for name, values in scores.items()
    }


def test_gain_table_says_what_is_known():
    runs = experiment(student=[30, 31, 32], kd=[33, 34.1, 34.9], at=[30.1, 30.9, 32], one=[35], none=[])
    rows = gain_table(runs, "student", corner="x").splitlines()
    cells = {row.split("|")[1].strip(): [cell.strip() for cell in row.split("|")[2:-1]] for row in rows[2:]}
    assert rows[0].startswith("| x | mIoU, % | seeds | minus student")
    assert cells["student"] == ["31.0 ± 1.0", "3", "–", "–", ""]
    assert cells["kd"][:3] == ["34.0 ± 1.0", "3", "+3.0"] and cells["kd"][-1] == "**better**"
    assert cells["at"][-1] == "not told apart"
    assert cells["one"] == ["35.0", "1", "+5.0", "–", "not known yet"]
    assert cells["none"] == ["–", "–", "–", "–", "not known yet"]
    assert rows[1] == "|---|---:|---:|---:|---:|---|", "numbers flush right, words flush left"
    assert gain_table(runs, "kd", ["student"]).count("\n") == 2
    assert "not known yet" in gain_table(runs, "none", ["kd"])


def test_estimates_are_those_of_the_tests():
    runs = experiment(student=[30, 31, 32], kd=[33, 34.1, 34.9], at=[30.1, 30.9, 32], none=[])
    found, tests = estimates(runs, "student"), compare_with({k: v for k, v in runs.items() if v}, "student")
    assert list(found) == ["kd", "at"] and found["kd"]["sure"] and not found["at"]["sure"]
    assert found["kd"]["mean"] == tests["kd"].own.mean and found["kd"]["interval"] == tests["kd"].shared.interval
    assert found["at"]["wide"] == tests["at"].own.interval and len(found["at"]["values"]) == 3
    assert estimates(runs, "none") == {}


def test_runs_over_their_seeds_as_plain_text():
    def line(method, seed, miou, network="mfnet"):
        scores = {**METRICS, "mIoU": miou}
        return method, {"dataset": "toydrive", "network": network, "seed": seed, "metrics": scores}

    scored = {"teacher": [0.7, 0.72], "student": [0.4, 0.42], "kd": [0.45, 0.48], "lix": [0.5, None]}
    lines = [line(method, seed, miou) for method, each in scored.items() for seed, miou in enumerate(each)]
    header, *rows = over_seeds([*lines, line("kd", 0, 0.3, "off-net")]).split("\n\n")[0].splitlines()
    assert len({len(row) for row in (header, *rows)}) == 1, "columns are aligned"
    assert header.split() == ["toydrive", "mfnet", "mIoU", "fwIoU", "mFsc", "fwFsc", "seeds", "gain", "in", "mIoU"]
    cells = {row.split()[0]: row.split("  ") for row in rows}
    assert list(cells) == list(scored)
    assert "46.50 ± 2.12" in cells["kd"] and cells["kd"][-1] == "+5.50 ± 0.71"
    assert "50.00" in "".join(cells["lix"]) and cells["lix"][-1].strip() == "+10.00"
    assert cells["student"][-1].strip() == cells["teacher"][-1].strip() == "–"
    level = {**scored, "kd": [0.4, 0.41999]}
    level = [line(method, seed, miou) for method, each in level.items() for seed, miou in enumerate(each)]
    assert "+0.00 ± 0.00" in over_seeds(level) and "-0.00" not in over_seeds(level)
    assert over_seeds(lines[:1]) == over_seeds([]) == "", "one seed has no spread"
    assert over_seeds([*lines, line("kd", 0, 0.5)]) == "", "two variants of one method"
