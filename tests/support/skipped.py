"""A word at the end of the tests on what was skipped, for conftest.py."""

from collections import Counter


def pytest_terminal_summary(terminalreporter) -> None:
    """Say what was skipped and why, one line a reason."""
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.stats.get("skipped", [])
    )
    if reasons:
        terminalreporter.section("skipped")
    for reason, count in reasons.most_common():
        terminalreporter.line(f"{count} {'test' if count == 1 else 'tests'}: {reason}")
