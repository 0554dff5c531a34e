"""What the making of a model uses besides the files of the store."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


class Quantize(Protocol):
    """Writes a model in another type of numbers, whose number in GGUF files is `file_type`.

    Yields the tensors that are done, and all of them, at least a few times a second; closing the
    iterator ends the work.
    """

    def __call__(self, source: Path, target: Path, file_type: int) -> Iterator[tuple[int, int]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """`quantize` None: there is no engine. `environment` is that of the processes that convert."""

    quantize: Quantize | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
