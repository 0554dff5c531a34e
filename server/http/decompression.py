"""Decompress request bodies (gzip, deflate, zstd) up to a size limit."""

import zlib
from collections.abc import Callable

import zstandard

from server.errors import BadRequest, BodyTooLarge
from server.text.quoting import quoted

MAX_BYTES = 20 << 20
"""Largest decompressed body, as in the reference server."""

# A header can name thousands of encodings, each of which costs as much as a whole body.
_MAX_ENCODINGS = 2
# Tells zlib to accept a gzip or a zlib header.
_GZIP_OR_ZLIB = 32
# RFC 8878 recommends that decoders support windows of at least this size, and encoders no more.
_ZSTD_WINDOW = 8 << 20
# At most 30 MiB come out of so many bytes: the decoder exceeds the limit by no more than that.
_ZSTD_STEP = 1024
_FAILED = "failed to decompress request body"


def decompressed(data: bytes, encodings: str, limit: int) -> bytes:
    """Return `data` without the `encodings` of a Content-Encoding header.

    `limit` is the setting for bodies, in bytes, 0 for none; `MAX_BYTES` holds too.

    Raises:
        BadRequest: the data are damaged, or an encoding is unknown, or there are too many.
        BodyTooLarge: the decompressed data are larger than allowed.
    """
    max_bytes = min(limit, MAX_BYTES) if limit else MAX_BYTES
    names = [name for part in encodings.lower().split(",") if (name := part.strip())]
    names = [name for name in names if name != "identity"]
    if len(names) > _MAX_ENCODINGS:
        raise BadRequest(f"{_FAILED}: the request has more than {_MAX_ENCODINGS} encodings")
    for name in reversed(names):
        if name not in _DECODERS:
            raise BadRequest(f"{_FAILED}: {quoted(name)} is not zstd, gzip or deflate")
        data = _DECODERS[name](data, max_bytes + 1)
        if len(data) > max_bytes:
            raise BodyTooLarge(max_bytes)
    return data


def _zstd(data: bytes, max_bytes: int) -> bytes:
    decoder = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()
    parts, size, position = [], 0, 0
    try:
        while not decoder.eof and size < max_bytes and position < len(data):
            parts.append(decoder.decompress(data[position : position + _ZSTD_STEP]))
            size, position = size + len(parts[-1]), position + _ZSTD_STEP
    except zstandard.ZstdError:
        raise BadRequest(f"{_FAILED}: the data are not valid zstd") from None
    if not decoder.eof and size < max_bytes:
        raise BadRequest(f"{_FAILED}: the data end too early")
    return b"".join(parts)


def _zlib(wbits: int) -> Callable[[bytes, int], bytes]:
    def decode(data: bytes, max_bytes: int) -> bytes:
        decoder = zlib.decompressobj(wbits)
        try:
            result = decoder.decompress(data, max_bytes)
        except zlib.error:
            raise BadRequest(f"{_FAILED}: the data are not valid gzip or deflate") from None
        if not decoder.eof and len(result) < max_bytes:
            raise BadRequest(f"{_FAILED}: the data end too early")
        return result

    return decode


_inflated = _zlib(zlib.MAX_WBITS | _GZIP_OR_ZLIB)
_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "zstd": _zstd,
    "gzip": _inflated,
    "x-gzip": _inflated,
    "deflate": _inflated,
}
