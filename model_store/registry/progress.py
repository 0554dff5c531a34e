"""What is told while a model is on its way."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TransferProgress:
    """A step, or how far one layer is: `completed` of `total` bytes of the blob `digest`."""

    status: str
    digest: str = ""
    total: int = 0
    completed: int = 0


@dataclass(frozen=True, slots=True)
class PullEstimate:
    """What a pull would do: `completed` of `total` bytes are here; `free` are on the disk."""

    total: int
    completed: int
    free: int

    @property
    def missing(self) -> int:
        """Bytes that would be loaded."""
        return self.total - self.completed
