"""Splits that are drawn with a seed and stored as lists, so that everybody trains on the same images.

A list has one line per image with its split and its name, e.g. `train Scene01/clone/00012`.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from lixlib.core.checks import check_choice
from lixlib.core.files import write_atomically
from lixlib.data.text import read_text

SHIPPED = Path(__file__).parent / "splits"
LIST = "lix_split.txt"  # in a data set's folder; it has priority over the list that ships with the library


def draw(names: Iterable[str], counts: dict[str, int], *, seed: int = 0) -> dict[str, list[str]]:
    """Draw the number of names that `counts` gives for each split, without overlap.

    The draw uses SHA-256 and depends only on the names and the seed, not on the random numbers of a library.

    Raises:
        ValueError: the splits need more names than there are.
    """
    names = set(names)
    if len(names) < sum(counts.values()):
        wanted = " + ".join(f"{count} {split}" for split, count in counts.items())
        raise ValueError(f"{len(names)} images cannot be divided into {wanted}: ask for fewer")
    drawn = iter(sorted(names, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest()))
    return {split: sorted(next(drawn) for _ in range(count)) for split, count in counts.items()}


def write_list(path: Path, splits: dict[str, list[str]]) -> None:
    """Write the list of all splits."""
    text = "".join(f"{split} {name}\n" for split, names in splits.items() for name in names)
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def read_list(dataset: str, root: Path, split: str) -> list[str]:
    """Read the names of a split from the list in the data set's folder, or else from the one in the library.

    Raises:
        FileNotFoundError: there is no list.
        ValueError: the list lacks the split, has a line without a split and a name, or names an image twice.
    """
    path = root / LIST
    if not path.is_file():
        path = SHIPPED / f"{dataset}.txt"
    if not path.is_file():
        raise FileNotFoundError(f"no list {root / LIST}: `python data_scripts/{dataset}.py --root {root}` makes it")
    splits: dict[str, list[str]] = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        of, *name = line.split(maxsplit=1)
        if not name:
            raise ValueError(f"{path}, line {number} is {line!r}: write a split, a space and an image's name")
        splits.setdefault(of, []).append(name[0].rstrip())
    if not splits:
        raise ValueError(f"{path} lists no image: write a split, a space and an image's name in every line")
    check_choice(f"split of {dataset}", split, splits)
    twice = [name for name, count in Counter(splits[split]).items() if count > 1]
    if twice:
        raise ValueError(f"{path} lists {twice[0]} twice in the split {split}: delete one of the lines")
    return splits[split]
