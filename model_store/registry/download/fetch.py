"""Fetching one stretch of a blob, for as long as it takes: retries, waits, and when to give up."""

from typing import Protocol

from model_store.registry.errors import (
    AccessDenied,
    AnswerInvalid,
    NotInRegistry,
    RangesRefused,
    RegistryBusy,
    RegistryError,
    RegistryRefused,
    RegistryUnreachable,
    TransferFailed,
)
from model_store.registry.http.blob_source import BlobSource
from model_store.registry.http.repository import Patience
from model_store.registry.parts import Span

_WORTH_ANOTHER_TRY = (RegistryUnreachable, RegistryRefused, AnswerInvalid)
_FINAL = (NotInRegistry, AccessDenied, RangesRefused)

_LEAST_PROGRESS = 1024
"""Bytes; a server that sends fewer each time would keep us busy for ever."""


class Target(Protocol):
    """Takes the bytes of one stretch in order; it may become shorter while they come."""

    @property
    def missing(self) -> Span:
        """What has not been stored yet."""

    def take(self, chunk: bytes) -> bool:
        """Take what comes next; tell whether it is time to store."""

    async def store(self) -> None:
        """Store what was taken; raises StorageFailed."""


async def fetch(source: BlobSource, target: Target, patience: Patience) -> None:
    """Bring all that `target` misses from `source`.

    What came before a connection broke is kept. A try that brought a
    kilobyte is no failure.

    Raises:
        TransferFailed: nothing came, many times in a row.
        NotInRegistry, AccessDenied: the registry does not give it.
        RangesRefused: it gives it only as a whole; see BlobSource.
        StorageFailed: the disk is full or broken.
    """
    failures = 0
    while target.missing.size > 0:
        before = target.missing
        trouble = await _try(source, target)
        if target.missing.size == 0:
            return
        if before.size - target.missing.size >= _LEAST_PROGRESS:
            failures = 0
            continue
        failures += 1
        if failures >= patience.tries:
            raise TransferFailed(str(trouble))
        asked = trouble.wait if isinstance(trouble, RegistryBusy) else None
        await patience.sleep(patience.wait(failures, asked))


async def _try(source: BlobSource, target: Target) -> RegistryError:
    """Bring what comes; return why that was not all of it."""
    asked = target.missing
    try:
        async with source.open(asked) as chunks:
            try:
                async for chunk in chunks:
                    if target.take(chunk):
                        await target.store()
                    if target.missing.size == 0 and target.missing.stop < asked.stop:
                        # Somebody else fetches the rest.
                        break
            finally:
                await target.store()
    except _FINAL:
        raise
    except _WORTH_ANOTHER_TRY as e:
        return e
    return RegistryUnreachable(source.host, "the connection broke")
