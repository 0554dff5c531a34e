"""Leases on blobs that no manifest names yet, so that nobody deletes what somebody relies on."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from model_store.digests import Digest

LEASE_SECONDS = 3600.0
"""How long an uploaded blob belongs to its uploader, who makes a model of it next."""


@dataclass(slots=True)
class _Lease:
    """`count` uploads that no model was made of yet, and when the last of them expires."""

    count: int
    expires_at: float


class BlobLeases:
    """Which blobs must stay although no manifest names them; safe for several threads.

    There are two kinds: an upload is granted a lease that ends when a model with the blob is
    installed, or after an hour; work such as a pull holds its blobs until it is done. There are
    at most as many leases as blobs.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._granted: dict[Digest, _Lease] = {}
        self._held: dict[Digest, int] = {}
        self._lock = threading.Lock()

    def grant(self, digest: Digest) -> None:
        """Give somebody who has uploaded a blob, or was told that it is there, a lease on it."""
        with self._lock:
            now = self._clock()
            self._drop_expired(now)
            lease = self._granted.setdefault(digest, _Lease(0, now))
            lease.count, lease.expires_at = lease.count + 1, now + LEASE_SECONDS

    def redeem(self, digests: Iterable[Digest]) -> None:
        """End one upload's lease on each blob: a model was installed that names them."""
        with self._lock:
            for digest in digests:
                lease = self._granted.get(digest)
                if lease is not None:
                    lease.count -= 1
                    if not lease.count:
                        del self._granted[digest]

    @contextlib.contextmanager
    def hold(self, digests: Iterable[Digest] = ()) -> Iterator[Callable[[Digest], None]]:
        """Hold `digests` until the block ends; gives a function that holds one more."""
        held: set[Digest] = set()

        def add(digest: Digest) -> None:
            with self._lock:
                if digest not in held:
                    held.add(digest)
                    self._held[digest] = self._held.get(digest, 0) + 1

        try:
            for digest in digests:
                add(digest)
            yield add
        finally:
            with self._lock:
                for digest in held:
                    self._held[digest] -= 1
                    if not self._held[digest]:
                        del self._held[digest]

    def leased(self) -> frozenset[Digest]:
        """Return the blobs that must stay now."""
        with self._lock:
            self._drop_expired(self._clock())
            return frozenset((*self._granted, *self._held))

    def _drop_expired(self, now: float) -> None:
        for digest in [d for d, lease in self._granted.items() if lease.expires_at <= now]:
            del self._granted[digest]
