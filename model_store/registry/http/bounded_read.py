"""How much is read from strangers: answers are small unless they are blobs."""

import zlib
from collections.abc import AsyncIterator

from model_store.registry.errors import AnswerInvalid

LARGEST_TOKEN = 64 << 10
LARGEST_REFUSAL = 16 << 10
LARGEST_LIST = 16 << 20
"""Bytes; the list of files of a repository."""

_GZIP = 16 + zlib.MAX_WBITS


async def read_within(chunks: AsyncIterator[bytes], encoding: str, limit: int) -> bytes:
    """Return a whole body, unpacked if `encoding` is gzip.

    Raises:
        AnswerInvalid: it has more than `limit` bytes, packed or unpacked, or cannot be unpacked.
    """
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise AnswerInvalid("the registry's answer is packed in a way that was not asked for")
    unpack = zlib.decompressobj(_GZIP) if "gzip" in encoding else None
    body = bytearray()
    received = 0
    async for chunk in chunks:
        received += len(chunk)
        try:
            body += unpack.decompress(chunk, limit + 1 - len(body)) if unpack else chunk
        except zlib.error:
            raise AnswerInvalid("the registry's answer cannot be unpacked") from None
        if max(len(body), received) > limit:
            raise AnswerInvalid(f"the registry's answer is larger than {limit} bytes")
    return bytes(body)
