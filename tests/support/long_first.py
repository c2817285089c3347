"""The order of the tests, for conftest.py: long ones first, so that two workers end together."""

from collections import defaultdict

SECONDS = {"notebook": 20, "slow": 5}  # about what a test with this marker takes


def pytest_collection_modifyitems(items: list) -> None:
    """Put long tests at the start of both halves of the list, where pytest-xdist lets two workers begin.

    The long tests of a file stay together, since they share what is made once for them. Workers that are through with
    their half take short tests from the end of the other's.
    """
    files, short = defaultdict(list), []
    for item in items:
        (files[item.path] if seconds(item) else short).append(item)
    halves: tuple[list, list] = ([], [])
    for long in sorted(files.values(), key=lambda long: -sum(map(seconds, long))):
        min(halves, key=lambda half: sum(map(seconds, half))).extend(long)
    room = max(0, len(items) // 2 - len(halves[0]))
    items[:] = [*halves[0], *short[:room], *halves[1], *short[room:]]


def seconds(item) -> int:
    return max((SECONDS.get(mark.name, 0) for mark in item.iter_markers()), default=0)
