"""Compressed request bodies, unpacked no further than the server allows."""

import zlib
from collections.abc import Callable

import zstandard

from server.errors import BadRequest, BodyTooLarge
from server.text.quoting import quoted

MOST_BYTES = 20 << 20
"""How large a body may become; no client compresses more."""

# A header has room for thousands of them, each of which would cost as much as a whole body.
_MOST_ENCODINGS = 2
_ANY_HEADER = 32
_LARGEST_WINDOW = zlib.MAX_WBITS
# A window of this size is what every decoder must have, by the format's own rules.
_ZSTD_WINDOW = 8 << 20
# What so many bytes can at most become, some 30 MiB, is all that is unpacked in vain.
_ZSTD_STEP = 1024
_FAILED = "failed to decompress request body"


def decompressed(data: bytes, encodings: str, limit: int) -> bytes:
    """Return `data` without the `encodings` of a Content-Encoding header.

    `limit` is the setting for bodies, in bytes, 0 for none; the smaller one of the two holds.

    Raises:
        BadRequest: the data are damaged, or nobody knows the encoding, or there are too many.
        BodyTooLarge: they become larger than allowed.
    """
    most = min(limit, MOST_BYTES) if limit else MOST_BYTES
    names = [name for part in encodings.lower().split(",") if (name := part.strip())]
    names = [name for name in names if name != "identity"]
    if len(names) > _MOST_ENCODINGS:
        raise BadRequest(f"{_FAILED}: it has more than {_MOST_ENCODINGS} encodings")
    for name in reversed(names):
        if name not in _DECODERS:
            raise BadRequest(f"{_FAILED}: {quoted(name)} is none of zstd, gzip and deflate")
        data = _DECODERS[name](data, most + 1)
        if len(data) > most:
            raise BodyTooLarge(most)
    return data


def _zstd(data: bytes, most: int) -> bytes:
    decoder = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()
    parts, size, position = [], 0, 0
    try:
        while not decoder.eof and size < most and position < len(data):
            parts.append(decoder.decompress(data[position : position + _ZSTD_STEP]))
            size, position = size + len(parts[-1]), position + _ZSTD_STEP
    except zstandard.ZstdError:
        raise BadRequest(f"{_FAILED}: it is not valid zstd") from None
    if not decoder.eof and size < most:
        raise BadRequest(f"{_FAILED}: it ends too early")
    return b"".join(parts)


def _zlib(wbits: int) -> Callable[[bytes, int], bytes]:
    def decode(data: bytes, most: int) -> bytes:
        decoder = zlib.decompressobj(wbits)
        try:
            found = decoder.decompress(data, most)
        except zlib.error:
            raise BadRequest(f"{_FAILED}: it is not valid gzip or deflate") from None
        if not decoder.eof and len(found) < most:
            raise BadRequest(f"{_FAILED}: it ends too early")
        return found

    return decode


_inflated = _zlib(_LARGEST_WINDOW | _ANY_HEADER)
_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "zstd": _zstd,
    "gzip": _inflated,
    "x-gzip": _inflated,
    "deflate": _inflated,
}
