"""Upload files as blobs, with progress, and again after the connection broke."""

import time

import httpx

from server.client.api import ApiClient
from server.client.progress import LayerProgress
from server.client.sources import SourceFile

_PAUSES = (0.5, 2.0, 8.0)
"""Seconds before each further try."""


def upload(client: ApiClient, file: SourceFile, progress: LayerProgress) -> str:
    """Send a file unless the server has it; return its digest.

    A broken connection is tried again. Files that arrived before are not sent twice, also when
    the whole command is repeated.
    """
    progress.start(f"hashing {file.name}")
    digest = file.digest()
    progress.finish_step()
    for pause in (*_PAUSES, None):
        if client.has_blob(digest):
            return digest
        try:
            with progress.upload(file.name, file.path.stat().st_size) as advance:
                client.upload(file.path, digest, advance)
        except httpx.TransportError:
            if pause is None:
                raise
            progress.start(f"the connection broke; uploading {file.name} again")
            time.sleep(pause)
        else:
            return digest
    raise AssertionError
