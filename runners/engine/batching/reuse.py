"""Reuse of a prefix in the KV cache: where it is, and how long."""

from dataclasses import dataclass

from runners.engine.batching.checkpoints import Checkpoint
from runners.engine.batching.sequence import NO_SLOT


@dataclass(frozen=True, slots=True)
class Reuse:
    """The first `length` tokens of a prompt, which need not be computed.

    They are in `slot`, or in a state of a recurrent model if that is `NO_SLOT`. With a checkpoint
    the slot has the cells of full attention alone, and the checkpoint the rest.
    """

    slot: int = NO_SLOT
    length: int = 0
    checkpoint: Checkpoint | None = None


NO_REUSE = Reuse()
