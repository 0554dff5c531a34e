"""Image files of every format that may be sent, made in memory."""

import struct
import zlib
from io import BytesIO

from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    """Return the file of an image."""
    buffer = BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def plain(
    width: int = 6, height: int = 4, colour: tuple[int, ...] = RED, format: str = "PNG"
) -> bytes:
    """Return the file of an image of one colour."""
    return encoded(Image.new("RGB", (width, height), colour), format)


def bomb(width: int, height: int) -> bytes:
    """Return a small PNG file that claims to be large."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1 << 16), 9)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    )
