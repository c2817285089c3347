"""What others bring, by its shape: a class of theirs fits if it has these methods, and need inherit nothing."""

from typing import Protocol

from lixlib.core.sample import Sample


class Samples(Protocol):
    """Samples by their number: a data set, or a part of one."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sample: ...
