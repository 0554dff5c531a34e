"""Decisions of the scheduling policy about one request: reuse, load, evict, wait or refuse."""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Reuse:
    """Serve the request by this runner."""

    runner: int


@dataclass(frozen=True, slots=True)
class Load:
    """Load the model on this machine."""

    machine: str


@dataclass(frozen=True, slots=True)
class Evict:
    """Unload this runner as soon as it is idle, then decide again."""

    runner: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Keep the request in the queue and decide again after a change."""


@dataclass(frozen=True, slots=True)
class Reject:
    """The queue is full."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """There is no room beside the pinned models, and waiting makes none."""


Decision: TypeAlias = Reuse | Load | Evict | Wait | Reject | Refuse
