"""How many lines a new line makes a process check, and what others may do to the file meanwhile."""

import json
import math

import pytest
from test_results import line

from lixlib.lab import record, results


def test_a_line_that_was_checked_is_not_checked_again_and_those_of_others_are(tmp_path, monkeypatch):
    record.checked.cache_clear()
    seen, problem_of = [], record._problem_of
    monkeypatch.setattr(record, "_problem_of", lambda line: seen.append(line["seed"]) or problem_of(line))
    path = [results.append(line(seed=seed), tmp_path) for seed in range(5)][-1]
    assert seen == [0, 1, 2, 3], "each by the call after its own"
    others = json.dumps(line(seed=7, reduced=False)) + "\n"
    path.write_text(path.read_text() + others)  # another process
    results.append(line(seed=5), tmp_path)
    assert seen == [0, 1, 2, 3, 4, 7]
    text = path.read_text()
    assert text.splitlines() == [json.dumps(line(seed=seed)) for seed in (0, 1, 2, 3, 4, 7, 5)], "reduced, by the rule"
    path.write_text(text.replace('"seed": 3', '"seed": "3"'))
    with pytest.raises(ValueError, match="mfnet.jsonl, line 4 has seed = '3'"):
        results.append(line(seed=6), tmp_path)
    path.write_text(text.replace('"seed": 3', '"seed": 30'))
    results.append(line(seed=6), tmp_path)
    assert [each["seed"] for each in results.read(tmp_path, "camvid")] == [0, 1, 2, 30, 4, 7, 5, 6]


def test_a_line_that_json_cannot_hold_leaves_the_file_as_it_was(tmp_path):
    path = results.append(line(), tmp_path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"cannot write .*mfnet.jsonl: .* null in JSON"):
        results.append(line(seed=1, miou=math.nan), tmp_path)
    assert path.read_bytes() == before
