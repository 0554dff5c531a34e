"""What the making of a model uses besides the files of the store."""

import contextlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


class Engine(Protocol):
    """Works on model files, as the runners' engine does.

    What the methods return yields something at least a few times a second, so that the work can
    be given up; closing it ends the work.
    """

    def quantize(
        self, source: Path, target: Path, file_type: int, kept: Sequence[tuple[str, int]] = ()
    ) -> Iterator[tuple[int, int]]:
        """Write a model in the type of numbers that has the number `file_type` in GGUF files.

        `kept` are patterns of tensors' names, with the numbers of the types that those get.
        Yields the tensors that are done, and all of them.
        """

    def try_loading(
        self, weights: Path, adapters: tuple[Path, ...] = ()
    ) -> Iterator[tuple[int, int]]:
        """Load a model once; raises an error of the engine's own when that fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """`engine` None: there is none. `environment` is that of the processes that convert."""

    engine: Engine | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@contextlib.contextmanager
def ended(work: Iterator[object]) -> Iterator[None]:
    """Make sure that work of the engine ends with the block, whatever happens."""
    try:
        yield
    finally:
        if isinstance(work, Generator):
            work.close()
