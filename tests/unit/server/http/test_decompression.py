"""Compressed bodies: the encodings of coding agents are decoded, bombs are refused."""

import gzip
import tracemalloc
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from server.errors import BadRequest, BodyTooLarge
from server.http.decompression import MAX_BYTES, decompressed


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def zstd_in_pieces(data: bytes) -> bytes:
    """Compress as a client that streams: the size is not told."""
    packer = zstandard.ZstdCompressor().compressobj()
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encodings", "pack"),
    [
        ("zstd", zstd),
        ("ZSTD", zstd_in_pieces),
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("identity", bytes),
        ("gzip, identity, zstd", lambda data: zstd(gzip.compress(data, mtime=0))),
        (" ,", bytes),
    ],
)
@given(data=st.binary(max_size=5000))
def test_compressed_data_is_decompressed(encodings: str, pack, data: bytes) -> None:
    assert decompressed(pack(data), encodings, 0) == data


@pytest.mark.parametrize(
    ("data", "encodings", "reason"),
    [
        (b"{}", "br", '"br" is not zstd, gzip or deflate'),
        (b"{}", "zstd", "the data are not valid zstd"),
        (b"{}", "gzip", "the data are not valid gzip or deflate"),
        (zstd(b"{}" * 99)[:-3], "zstd", "the data end too early"),
        (gzip.compress(b"{}" * 99, mtime=0)[:-9], "gzip", "the data end too early"),
        (b"", "zstd", "the data end too early"),
        (b"", "gzip", "the data end too early"),
        (b"", "gzip," * 9999, "the request has more than 2 encodings"),
    ],
)
def test_damage_and_unknown_encodings_are_refused(data: bytes, encodings: str, reason: str) -> None:
    with pytest.raises(BadRequest) as raised:
        decompressed(data, encodings, 0)

    assert str(raised.value) == f"failed to decompress request body: {reason}"


@pytest.mark.parametrize(("encodings", "pack"), [("zstd", zstd), ("gzip", gzip.compress)])
@pytest.mark.parametrize("limit", [0, 1000])
def test_the_limit_holds_for_the_decompressed_size(encodings: str, pack, limit: int) -> None:
    most = limit or MAX_BYTES
    assert len(decompressed(pack(bytes(most)), encodings, limit)) == most
    with pytest.raises(BodyTooLarge):
        decompressed(pack(bytes(most + 1)), encodings, limit)


@pytest.mark.parametrize(("encodings", "pack"), [("zstd", zstd), ("gzip", gzip.compress)])
def test_a_bomb_does_not_fill_the_memory(encodings: str, pack) -> None:
    bomb = pack(bytes(128 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLarge):
            decompressed(bomb, encodings, 0)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


def test_a_window_that_is_larger_than_the_limit_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    data = packer.compress(bytes(20)) + packer.flush()

    with pytest.raises(BadRequest, match="not valid zstd"):
        decompressed(data, "zstd", 0)
