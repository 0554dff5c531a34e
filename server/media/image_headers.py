"""Read the declared size of an image file, and the scans of a JPEG file, before decoding it.

A few bytes can declare an image that takes gigabytes, and a JPEG file can repeat a scan of all its
pixels thousands of times. pillow allocates a WebP image when it opens the file, which is too late.
"""

import re
from typing import Final

MAX_SCANS: Final = 32
"""Of a progressive JPEG file; encoders write about ten."""
_MARKER: Final = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
_PROGRESSIVE: Final = frozenset(b"\xc2\xc6\xca\xce")
_START_OF_SCAN: Final = 0xDA
_STANDALONE: Final = frozenset((0x01, 0xD8))
_END_OF_IMAGE: Final = 0xD9
_14_BITS: Final = 0x3FFF


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height of the canvas of a WebP file, None for a damaged one."""
    kind, body = data[12:16], data[20:30].ljust(10, b"\0")
    match kind:
        case b"VP8X":
            return _integer(body[4:7]) + 1, _integer(body[7:10]) + 1
        case b"VP8L":
            bits = _integer(body[1:5])
            return (bits & _14_BITS) + 1, (bits >> 14 & _14_BITS) + 1
        case b"VP8 ":
            return _integer(body[6:8]) & _14_BITS, _integer(body[8:10]) & _14_BITS
    return None


def is_webp(data: bytes) -> bool:
    """Tell whether a file claims to be WebP."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


class JPEGScans:
    """The scans of a JPEG file: `count` of them, and whether they are `progressive`.

    Counting stops behind `MAX_SCANS`.
    """

    def __init__(self, data: bytes) -> None:
        self.count = 0
        self.progressive = False
        at = 0
        while self.count <= MAX_SCANS and (match := _MARKER.search(data, at)):
            marker, at = match[1][0], match.end()
            if marker == _END_OF_IMAGE:
                return
            self.progressive |= marker in _PROGRESSIVE
            self.count += marker == _START_OF_SCAN
            if marker not in _STANDALONE:
                at += int.from_bytes(data[at : at + 2], "big")


def _integer(data: bytes) -> int:
    return int.from_bytes(data, "little")
