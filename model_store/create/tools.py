"""The engine and environment that `create` uses to convert, quantize and test models."""

import contextlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


class Engine(Protocol):
    """Offline jobs on model files.

    The iterators that the methods return yield at least a few times a second, so that the caller
    can cancel; closing one ends the job.
    """

    def quantize(
        self,
        source: Path,
        target: Path,
        file_type: int,
        tensor_types: Sequence[tuple[str, int]] = (),
        imatrix: Path | None = None,
    ) -> Iterator[tuple[int, int]]:
        """Quantize a model to `file_type`, a number of llama_ftype.

        `tensor_types` overrides it for some tensors: patterns of names, and ggml types. `imatrix`
        is an importance matrix. Yields the numbers of tensors done and of all.
        """

    def try_loading(
        self,
        weights: Path,
        adapters: tuple[Path, ...] = (),
        projector: Path | None = None,
        draft: Path | None = None,
    ) -> Iterator[tuple[int, int]]:
        """Load the files in a trial; raises an error of the engine when that fails."""


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
