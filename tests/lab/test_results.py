"""Result lines on disk, and the README's tables that are made from them."""

import errno
import json
import math
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from lixlib.core.files import read_json_lines, write_atomically
from lixlib.distillers import METHODS
from lixlib.distillers.common import default_options
from lixlib.lab import inputs, record, results
from tools.dev import main_page, readme_tables
from tools.dev.readme_tables import network_tables, paper_size_table, table, update_history, update_measured


def line(method="student", seed=0, miou=0.5, **changes):
    return {
        **{"dataset": "camvid", "network": "mfnet", "method": method, "seed": seed, "split": "val"},
        **{"size": [32, 48], "epochs": 2, "updates": 8, "batch": 4, "hyper": {}},
        "metrics": {"mIoU": miou, "fwIoU": 0.6, "mFsc": 0.7, "fwFsc": 0.8},
        **{"device": "a processor", "reduced": True},
        **changes,
    }


def test_append_replaces_the_same_run_only(tmp_path):
    for each in (line(), line(seed=1), line("lix", hyper={"lambda_l": 1}), line("lix", hyper={"lambda_l": 2})):
        path = results.append(each, tmp_path)
    assert path == tmp_path / "camvid" / "mfnet.jsonl"
    results.append(line(miou=0.9, size=(32, 48)), tmp_path)  # in memory a size is a tuple
    lines = results.read(tmp_path, "camvid")
    assert [(each["method"], each["seed"]) for each in lines] == [
        ("student", 1),
        ("lix", 0),
        ("lix", 0),
        ("student", 0),
    ]
    assert lines[-1]["metrics"]["mIoU"] == 0.9
    assert [file.name for file in path.parent.iterdir()] == ["mfnet.jsonl"]


def test_runs_that_end_at_the_same_moment_are_all_kept(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda seed: results.append(line(seed=seed), tmp_path), range(40)))
    assert sorted(each["seed"] for each in results.read(tmp_path, "camvid")) == list(range(40))


def test_a_folder_that_cannot_be_locked_is_written_to_all_the_same(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.EBADF, "Bad file descriptor")  # what NFS says

    monkeypatch.setattr("lixlib.core.files.fcntl.flock", no_locks)
    results.append(line(), tmp_path)
    assert results.read(tmp_path, "camvid") == [line()]


@pytest.mark.parametrize("key", [*record.IDENTITY_FIELDS, "recipe", "epochs", "updates", "data_digest"])
def test_what_makes_a_run_another_run(tmp_path, key):
    other = line(**{key: {"x": 1} if key in ("hyper", "recipe") else "other"})
    results.append(line(), tmp_path)
    results.append(other, tmp_path)
    found = [each for path in tmp_path.rglob("*.jsonl") for each in read_json_lines(path)]
    assert sorted(map(json.dumps, found)) == sorted(map(json.dumps, [line(), other]))


def test_results_that_are_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="make them by `lix compare --datasets camvid --results "):
        results.read(tmp_path, "camvid")


def test_a_broken_line_is_named(tmp_path):
    path = results.append(line(), tmp_path)
    path.write_text(path.read_text() + '{"dataset": \n')
    with pytest.raises(ValueError, match="mfnet.jsonl, line 2 is no JSON"):
        results.read(tmp_path, "camvid")


WRONG_LINES = {
    "[1]": "is no JSON object but of type list",
    "3": "is no JSON object but of type int",
    "null": "is no JSON object but of type NoneType",
    "{}": "has no dataset",
    json.dumps(line(recipe="lix")): r"has recipe = 'lix'",
    json.dumps(line(recipe={"teacher": 3})): r"has recipe.teacher = 3: input should be a valid dictionary",
    json.dumps(line(recipe=None)): "has recipe = None",
    json.dumps(line(seed="0")): "has seed = '0': input should be a valid integer",
    json.dumps(line(size=[32])): r"has size = \[32\]",
    json.dumps(line(size="32 48")): "has size",
    json.dumps(line(epochs=1.5)): "has epochs = 1.5",
    json.dumps(line(hyper=[])): "has hyper",
    json.dumps(line(metrics={"mIoU": 0.5})): "has no metrics.fwIoU",
    json.dumps({**line(), "metrics": None}): "has metrics = None",
    json.dumps(line(miou=math.nan)): "has metrics.mIoU = nan",
    json.dumps(line(per_class={"car": [0.5]})): "has per_class.car",
    json.dumps({name: value for name, value in line().items() if name != "updates"}): "has no updates",
}


@pytest.mark.parametrize("text", WRONG_LINES)
def test_a_line_that_is_no_result_is_named_with_its_file(text, tmp_path):
    path = results.append(line(), tmp_path)
    path.write_text(path.read_text() + text + "\n")
    content = path.read_bytes()
    for use in (lambda: results.read(tmp_path, "camvid"), lambda: results.append(line(seed=1), tmp_path)):
        with pytest.raises(ValueError, match=f"mfnet.jsonl, line 2 {WRONG_LINES[text]}.*mend or delete that line"):
            use()
    assert path.read_bytes() == content


def test_a_binary_file_of_results_is_named(tmp_path):
    path = results.append(line(), tmp_path)
    path.write_bytes(bytes(range(256)))
    with pytest.raises(ValueError, match=r"mfnet.jsonl is no text file"):
        results.read(tmp_path, "camvid")


def test_committed_results_are_read():
    folder = readme_tables.ROOT / "results"
    runs = [path for path in folder.glob("history/**/*.jsonl") if path.parent.name != "tuning"]
    for name in ("experiments", "rounding", "cka", "weights"):
        runs += folder.glob(f"{name}/**/*.jsonl")
    assert len(runs) > 8
    for path in runs:
        lines = record.read_lines(path)
        assert lines and all(line["reduced"] for line in lines), "as the pages say"
        assert [line | {"reduced": True} for line in read_json_lines(path)] == lines


def test_old_lines_are_read_with_reduced_by_todays_rule(tmp_path):
    path = results.append(line(size=[360, 480], epochs=500, batch=8, reduced=True), tmp_path)
    assert read_json_lines(path)[0]["reduced"] is True
    assert results.read(tmp_path, "camvid")[0]["reduced"] is False


def test_runs_of_other_data_stand_side_by_side(tmp_path):
    for digest in (None, "a", "b", "a"):
        results.append(line(data_digest=digest), tmp_path)
    assert [each["data_digest"] for each in results.read(tmp_path, "camvid")] == [None, "b", "a"]
    old = line(dataset="toydrive", updates=8)
    assert results.identity(old) == results.identity({**old, "data_digest": inputs.RENDERED_BEFORE})
    assert results.identity(old) != results.identity({**old, "data_digest": "renderer 6"})


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fail(temporary):
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_a_class_that_does_not_occur_is_null():
    scores = {**dict.fromkeys(results.METRICS, 0.5), "IoU": [0.25, math.nan], "F1": [0.4, math.nan]}
    found = record.scored(scores, ("road", "car"))
    assert found["per_class"] == {"road": [0.25, 0.4], "car": [None, None]}
    assert set(found["metrics"]) == set(results.METRICS)


def test_provenance_tells_hardware_versions_and_commit():
    found = record.provenance(torch.device("cpu"))
    assert "threads" in found["device"]
    assert found["instructions"] == torch.backends.cpu.get_cpu_capability()
    assert found["versions"]["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert {"python", "numpy", "kornia"} < set(found["versions"])
    assert found["commit"] is None or re.match(r"[0-9a-f]{7,}(-dirty)?$|.+-g[0-9a-f]+", found["commit"])


@pytest.mark.parametrize(
    ("teacher", "student", "distilled", "share"), [(0.6, 0.5, 0.55, 0.5), (0.6, 0.5, 0.4, -1), (0.5, 0.5, 0.6, None)]
)
def test_gap_closed(teacher, student, distilled, share):
    assert results.gap_closed(teacher, student, distilled) == (share if share is None else pytest.approx(share))


def grid(methods, seeds, epochs=50, **changes):
    """Students that learnt from teachers of 100 epochs."""
    recipe = {"recipe": {"teacher": {"epochs": 100}}}
    return [line(m, s, 0.5 + 0.01 * s, epochs=epochs, **recipe, **changes) for m in methods for s in seeds]


def test_one_schedule_is_that_of_the_most_methods_with_its_own_teachers():
    teachers = [line("teacher", s, 0.7, epochs=e) for e in (50, 100) for s in (0, 1)]
    wide, long = grid(("student", "kd", "lix"), (0, 1)), grid(("student", "lix"), (0, 1, 2, 3, 4), epochs=80)
    elsewhere = [line("teacher", epochs=100, split="test"), line("teacher", epochs=100, size=[64, 96])]
    runs = results.by_method([*long, *elsewhere, *wide, *teachers])
    assert list(runs) == ["teacher", "student", "kd", "lix"]
    assert {e["epochs"] for m in ("student", "kd", "lix") for e in runs[m].values()} == {50}
    assert [(e["epochs"], e["split"], e["size"]) for e in runs["teacher"].values()] == [(100, "val", [32, 48])] * 2
    named = results.by_method([*long, *wide, *teachers], epochs=80)
    assert {m: list(seeds) for m, seeds in named.items()} == {
        "teacher": [0, 1],
        "student": [0, 1, 2, 3, 4],
        "lix": [0, 1, 2, 3, 4],
    }
    assert results.by_method([]) == {} and results.by_method(long, epochs=3) == {}
    assert results.by_method(teachers) == {}, "a teacher without a student is in no table"


def test_of_several_options_the_newest():
    old, new = grid(("lix",), (0, 1, 2), hyper={"lambda_l": 1}), grid(("lix",), (1, 0), hyper={"lambda_l": 2})
    runs = results.by_method([*old, *new])
    assert [(seed, e["hyper"]) for seed, e in runs["lix"].items()] == [(0, {"lambda_l": 2}), (1, {"lambda_l": 2})]


def test_gains_and_shares_are_paired_by_seed():
    lines = [line("student", 0, 0.4), line("student", 1, 0.6), line("lix", 0, 0.5), line("lix", 1, 0.6)]
    runs = results.by_method([*lines, line("lix", 2, 0.7), line("teacher", 0, 0.6), line("teacher", 1, 0.5)])
    assert results.gains(runs, "lix") == pytest.approx({0: 10, 1: 0})
    assert results.gains(runs, "lix", metric="fwIoU") == {0: 0, 1: 0}
    assert results.gains(runs, "student", against="lix") == pytest.approx({0: -10, 1: 0})
    assert results.gains(runs, "kd") == {} and results.shares(runs, "kd") == {}
    assert results.shares(runs, "lix") == {0: pytest.approx(0.5), 1: None}


def test_class_gains_are_means_over_the_seeds_where_a_class_occurs():
    def scored(method, seed, car, sign):
        return line(method, seed, per_class={"car": [car, 0.5], "sign": [sign, 0.5], "truck": [None, None]})

    lines = [scored("student", 0, 0.5, 0.1), scored("student", 1, 0.6, None)]
    runs = results.by_method([*lines, scored("lix", 0, 0.6, 0.3), scored("lix", 1, 0.65, 0.2), scored("lix", 2, 1, 1)])
    found = results.class_gains(runs, "lix")
    assert found == pytest.approx({"car": 7.5, "sign": 20, "truck": math.nan}, nan_ok=True)
    assert results.class_gains(runs, "kd") == results.class_gains(runs, "lix", against="kd") == {}


def test_every_method_of_the_paper_has_its_family_and_its_name():
    assert set(results.NAMES) - {"teacher", "student"} <= set(METHODS)
    assert [len(family) for family in results.FAMILIES.values()] == [2, 6, 12, 1]  # the rows of Tables I-III


def rows(text):
    """The rows of a table by their second cell, the name."""
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in text.splitlines() if row.startswith("|")]
    return {row[1]: [row[0], *row[2:]] for row in cells}


LITERAL = {"weighting": "joint", "divergence": "kl", "beta_min": 1.0, "beta_max": 10.0}


@pytest.mark.parametrize(
    ("method", "hyper", "expected"),
    [
        ("kd", {"weight": 1.0}, "KD"),
        ("student", {}, "student"),
        ("something-new", {}, "something-new"),
        ("dwld", {**LITERAL, "weight": 0.5, "depth": 1}, "DWLD, as published"),
        ("dwld", {**LITERAL, "divergence": "bregman"}, "DWLD, former"),
        ("arfd", {"samples": "positions", "weight": 3.0}, "ARFD, as published"),
        ("arfd", {"samples": "channels"}, "ARFD, former"),
        ("lix", {"lambda_l": 1.0}, "LIX, as published"),
        ("lix", {"lambda_l": 1.0, "logit": None, "feature": {"max_positions": 64}}, "LIX, as published"),
        ("lix", {"logit": {"weighting": "closed-form"}}, "LIX, former"),
        ("lix", {"feature": {"samples": "channels"}}, "LIX, former"),
    ],
)
def test_the_papers_methods_say_whose_form_they_have(method, hyper, expected):
    assert results.title({"method": method, "hyper": hyper}) == expected


def test_the_published_form_is_what_the_methods_default_to():
    published = {name: method for name, method in METHODS.items() if method.published}
    assert published.keys() == {"dwld", "arfd"}
    for method in published.values():
        assert default_options(method.make).items() >= method.published.items()


def test_table_means_spreads_and_paired_gains():
    recipe = {"recipe": {"teacher": {"epochs": 9}}}
    lines = [line("teacher", 0, 0.7, epochs=9), line("teacher", 1, 0.7, epochs=9)]
    lines += [line("student", 0, 0.4), line("student", 1, 0.6)]
    lines += [line("lix", s, 0.5 + 0.2 * s, **recipe) for s in (0, 1)] + [line("kd", 0, 0.39, **recipe)]
    text = table([*lines, line("lix", 0, 0.99, size=[64, 96]), line("student", 0, 0.8, epochs=4)])
    found = rows(text.split("\n\n")[0])
    assert list(found) == ["", "---", "teacher (RGB + X)", "student (RGB)", "KD", "**LIX, as published**"]
    spreads = ["50.00 ± 14.14", *(f"{v}.00 ± 0.00" for v in (60, 70, 80))]
    assert found["student (RGB)"] == ["", *spreads, "2", "", ""]
    assert found["**LIX, as published**"] == ["both", "60.00 ± 14.14", *spreads[1:], "2", "+10.00 ± 0.00", "67 %"]
    assert found["KD"] == ["logits", "39.00", "60.00", "70.00", "80.00", "1", "-1.00", "-3 %"]
    assert "Split val, 32 x 48, 2 epochs, 8 updates of 4 images, a schedule shorter" in text
    assert "a processor. The teachers were trained for 8 updates." in text
    named = rows(table([*lines, line("student", 0, 0.8, epochs=4)], epochs=4).split("\n\n")[0])
    assert list(named) == ["", "---", "student (RGB)"]
    with pytest.raises(ValueError, match="no student of 5 epochs"):
        table(lines, epochs=5)


def test_a_table_without_a_gap_or_a_pair():
    found = rows(table([line("teacher", 0, 0.4), line("student", 0, 0.5), line("kd", 0, 0.6), line("lix", 1, 0.6)]))
    assert found["KD"][-2:] == ["+10.00", "no gap"]
    assert found["**LIX, as published**"][-2:] == ["", ""]


def test_update_writes_between_the_markers_and_nowhere_else(tmp_path):
    results.append(line(), tmp_path)
    readme = "before\n<!-- results: camvid -->\nold\n<!-- end -->\nafter\n<!-- end -->\n"
    new = update_history(readme, tmp_path)
    assert new.startswith("before\n<!-- results: camvid -->\n| distils |  | mIoU |") and new.endswith(
        "\n<!-- end -->\nafter\n<!-- end -->\n"
    )
    assert "old" not in new
    assert update_history(new, tmp_path) == new


def test_a_mark_may_name_the_schedule(tmp_path):
    for each in (line(miou=0.25), line("kd"), line(miou=0.75, epochs=9)):
        results.append(each, tmp_path)
    marks = "<!-- results: camvid --><!-- end -->\n<!-- results: camvid, 9 epochs --><!-- end -->"
    first, second = update_history(marks, tmp_path).split("9 epochs -->")
    assert "| 25.00 |" in first and "| 75.00 |" not in first
    assert "| 75.00 |" in second and "KD" not in second


@pytest.mark.parametrize(
    ("readme", "message"),
    [
        ("no markers", "of no data set, and there are results of camvid"),
        ("<!-- results: camvid -->", "has no `<!-- end -->`"),
        ("<!-- results: camvid --><!-- end --><!-- results: toydrive --><!-- end -->", "of camvid, toydrive"),
    ],
)
def test_markers_and_results_must_agree(tmp_path, readme, message):
    results.append(line(), tmp_path)
    with pytest.raises(ValueError, match=message):
        update_history(readme, tmp_path)


def test_readme_is_current():
    readme = readme_tables.ROOT / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.exists() else ""
    assert main_page.update(text, readme_tables.ROOT / "results") == text, "run `python tools/dev/readme_tables.py`"


def test_the_table_of_the_paper_sizes_says_what_does_not_fit():
    shared = {"size": [384, 1248], "precision": "32-true", "device": "a processor", "fits": True, "seconds": 2.04}
    lines = [
        {**shared, "network": "mfnet", "what": "lix", "options": {}, "batch": 8, "peak_rss_mib": 2048.0},
        {**shared, "network": "sne-roadseg", "what": "lix", "options": {"encoder": "resnet152", "checkpointing": True}},
        {**shared, "network": "mfnet", "what": "teacher", "options": {}, "batch": 1, "peak_rss_mib": 512.0},
    ]
    lines[1] |= {"batch": 3, "fits": False, "limit_gib": 14.0}
    first, second, third = paper_size_table(lines).splitlines()[2:5]
    assert first.startswith("| SNE-RoadSeg (resnet152, checkpointing) | update of LIX | 3 x 384 x 1248 | 32-true |")
    assert first.endswith("| more than 14 |  |")
    assert second == "| MFNet | forward pass of the teacher | 1 x 384 x 1248 | 32-true | 0.5 | 2.0 |"
    assert third == "| MFNet | update of LIX | 8 x 384 x 1248 | 32-true | 2.0 | 2.0 |"
    assert paper_size_table(lines).endswith("\n\na processor.")


def test_other_networks_have_tables_of_their_own(tmp_path):
    for network in ("mfnet", "off-net", "sne-roadseg"):
        for method, miou in (("teacher", 0.6), ("student", 0.5), ("lix", 0.55)):
            results.append({**line(method, miou=miou), "network": network}, tmp_path)
    text = network_tables(tmp_path, "camvid")
    assert [row for row in text.splitlines() if row.startswith("**")] == ["**SNE-RoadSeg**", "**OFF-Net**"]
    assert text.count("| both | **LIX, as published** | 55.00 |") == 2
    assert network_tables(tmp_path, "toydrive") == ""


@pytest.mark.parametrize(("folder", "rewrite"), [("results", update_measured), ("results/history", update_history)])
def test_the_tables_of_results_are_current(folder, rewrite):
    folder = readme_tables.ROOT / folder
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert rewrite(text, folder) == text, "run `python -m tools.dev.readme_tables`"
