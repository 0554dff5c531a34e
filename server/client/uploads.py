"""Upload files as blobs, with progress; an upload that broke off is resumed within the file."""

import time
from collections.abc import Callable

import httpx

from server.client.api import ApiClient
from server.client.library import ollama
from server.client.progress import LayerProgress
from server.client.sources import SourceFile

_TRIES = 8
"""Tries in a row of which nothing arrives, before an upload is given up after about a minute."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 16.0
"""Seconds before further tries, doubled from one to the next."""

_TRANSIENT = (409, 429, 502, 503, 504)


def upload(
    client: ApiClient,
    file: SourceFile,
    progress: LayerProgress,
    *,
    sleep: Callable[[float], object] = time.sleep,
) -> str:
    """Send a file unless the server has it; return its digest.

    After a break, also of the whole command, only the bytes that have not arrived are sent if the
    server can resume uploads, as paddock can; else the file is sent again from the beginning.
    """
    size = file.path.stat().st_size

    def show(step: str) -> Callable[[int], None]:
        return lambda completed: progress.show_file(f"{step} {file.name}", completed, size)

    digest = file.digest(show("hashing"))
    failures, arrived, offset = 0, 0, None
    while True:
        try:
            is_there, offset = client.blob_state(digest)
            if is_there:
                return digest
            if offset is not None and offset > arrived:
                failures, arrived = 0, offset
            client.upload(file.path, digest, offset, show("uploading"))
        except (httpx.TransportError, ollama.ResponseError) as e:
            failures += 1
            if failures == _TRIES or not _is_transient(e, offset):
                raise
            progress.start(f"the upload of {file.name} broke off; trying again")
            sleep(min(_FIRST_PAUSE * 2 ** (failures - 1), _LONGEST_PAUSE))
        else:
            return digest


def _is_transient(error: Exception, offset: int | None) -> bool:
    """Whether another try may help.

    A server has dropped what does not match the digest, so the next try sends all of the file.
    """
    if not isinstance(error, ollama.ResponseError):
        return True
    return error.status_code in _TRANSIENT or (error.status_code == 400 and bool(offset))
