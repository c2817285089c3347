"""The profile of a step: its operations add up, and the page shows the first and the last line of each method."""

import pytest

from lixlib.core.files import read_json_lines
from tools.benchmarks.profile_step import MANY, OTHERS, Options, main
from tools.dev.readme_tables import profile_tables


def test_a_profile_is_added_and_shown(tmp_path):
    main(Options(quick=True, results=tmp_path))
    main(Options(quick=True, results=tmp_path))
    lines = read_json_lines(tmp_path / "profile.jsonl")
    assert [line["method"] for line in lines] == ["student", "lix"] * 2
    for line in lines:
        assert len(line["operations"]) == MANY + 1 and OTHERS in line["operations"]
        assert sum(each["ms"] for each in line["operations"].values()) == pytest.approx(line["ms"], abs=0.01)
    assert lines[1]["ms"] > lines[0]["ms"], "LIX has a teacher and twice the images"
    student, lix = profile_tables(lines).split("\n\n| ")
    assert student.startswith("| student | ms at ") and f"| {OTHERS} |" in student
    assert f"**{lines[1]['ms']:.4g}**" in lix and f"**{lines[3]['ms']:.4g}**" in lix
    assert "Nobody has measured" in profile_tables([])
