"""Kill -9 at every file that is written: the same command again ends as if nothing had happened, with nothing left."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

DRIVER = Path(__file__).parents[1] / "support" / "killed.py"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize(
    ("work", "writes"),
    [
        ("cache", 1),
        ("average", 4 + 1),  # two epochs, the student
        (
            "run",
            5 + 2 + 2 + 7,
        ),  # the teacher, the pretraining, the stage, the student: epochs, weights, images and line
        ("grid", 5 + 7 + 4),  # a teacher, a student, and their images and lines in the results
    ],
)
def test_a_kill_at_any_write_changes_nothing(work, writes, tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    command = [sys.executable, str(DRIVER), work, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    reports = json.loads(done.stdout.splitlines()[-1])
    assert [report["at"] for report in reports] == [*range(1, writes + 1), writes]
    for report in reports:
        assert report["killed"] == -signal.SIGKILL and report["again"] == 0, (report, done.stderr)
        assert report["different"] == [], report
