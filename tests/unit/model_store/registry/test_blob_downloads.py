"""Blobs that are in the store already: hashed once, and not longer than somebody waits."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from model_store.blobs import put_blob
from model_store.digests import Digest
from model_store.integrity import BlobIntegrity, Damage
from model_store.layout import Layout
from model_store.registry.disk_threads import DiskThreads
from model_store.registry.download.blob_downloads import BlobDownloads
from model_store.registry.download.download import DownloadConfig
from model_store.registry.http.blob_source import BlobSource
from model_store.registry.remote_model import BlobDescriptor

pytestmark = pytest.mark.anyio


class _EndlessHash(BlobIntegrity):
    """Hashes a blob that has no end."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        self.is_started = threading.Event()

    def check(
        self,
        digest: Digest,
        progress: Callable[[int], None] = lambda _: None,
        *,
        again: bool = False,
    ) -> Damage | None:
        self.is_started.set()
        while True:
            progress(1)


class _NoModel:
    """A model whose blobs need no download."""

    blobs = texts = ()

    def source(self, blob: BlobDescriptor) -> BlobSource:
        raise AssertionError

    def check_texts(self) -> None:
        raise AssertionError

    def install(self, *_: object) -> None:
        raise AssertionError


async def test_a_pull_that_is_cancelled_does_not_wait_for_the_digest_of_a_large_blob(
    tmp_path: Path,
) -> None:
    layout, threads = Layout(tmp_path), DiskThreads()
    layout.manifests.mkdir(parents=True)
    put_blob(layout, b"weights")
    integrity = _EndlessHash(layout)
    downloads = BlobDownloads(layout, integrity, threads, DownloadConfig())
    blob = BlobDescriptor(Digest.of(b"weights"), 7)

    waiting = asyncio.ensure_future(anext(downloads.download(_NoModel(), blob)))
    await asyncio.to_thread(integrity.is_started.wait)
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(waiting, 30)
    threads.close()
