"""Fetch one stretch of a blob: requests are repeated until all of it has arrived."""

from typing import Protocol

from model_store.registry.errors import (
    InvalidResponse,
    RangesUnsupported,
    RegistryError,
    RegistryUnreachable,
)
from model_store.registry.http.blob_source import BlobSource
from model_store.registry.parts import Span
from model_store.registry.retries import Retries, Turn

_LEAST_PROGRESS = 1024
"""Bytes; a try that brings fewer is a failure, lest a registry keep us busy for ever."""


class Target(Protocol):
    """Takes the bytes of one stretch in order; it may become shorter meanwhile."""

    failures: int
    """Tries in a row that brought nothing."""

    @property
    def missing(self) -> Span:
        """What has not been stored yet."""

    def connect(self) -> None:
        """Note that a request is sent now."""

    def wait(self) -> None:
        """Note that there is no connection until the next `connect`."""

    def take(self, chunk: bytes) -> bool:
        """Take what comes next; return whether it is time to store."""

    async def store(self) -> None:
        """Store what was taken; raises StorageFailed."""


async def fetch(source: BlobSource, target: Target, retries: Retries) -> None:
    """Fetch all that `target` misses from `source`.

    What arrived before a connection broke is kept, and the next request follows at once.

    Raises:
        TransferFailed: nothing arrives, also after several tries.
        RegistryRefused: the registry does not give it.
        RangesUnsupported: it sends whole files only; see BlobSource.
        StorageFailed: the disk is full or broken.
    """
    while target.missing.size > 0:
        async with retries.turn() as turn:
            target.connect()
            error = await _try(source, target, retries, turn)
            if target.missing.size == 0:
                retries.progress(turn)
                return
            target.wait()
            if turn.has_progress:
                target.failures = 0
            else:
                target.failures += 1
                await retries.failed(turn, error, failures=target.failures)


async def _try(source: BlobSource, target: Target, retries: Retries, turn: Turn) -> RegistryError:
    """Fetch what arrives; return why that was not all of it."""
    span, n_bytes = target.missing, 0
    try:
        async with source.open(span) as chunks:
            try:
                async for chunk in chunks:
                    n_bytes += len(chunk)
                    if n_bytes >= _LEAST_PROGRESS:
                        retries.progress(turn)
                    if target.take(chunk):
                        await target.store()
                    if target.missing.size == 0 and target.missing.stop < span.stop:
                        # Another connection has taken over the rest.
                        break
            finally:
                await target.store()
    except RangesUnsupported:
        raise
    except RegistryError as e:
        if not (e.is_transient or isinstance(e, InvalidResponse)):
            raise
        return e
    return RegistryUnreachable(source.host, "the connection broke")
