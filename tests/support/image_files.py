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


def webp_claim(width: int, height: int, chunk: str = "extended") -> bytes:
    """Return a WebP file of a few bytes that claims to be large."""
    match chunk:
        case "extended":
            kind = b"VP8X"
            body = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        case "lossless":
            kind, body = b"VP8L", struct.pack("<BI", 0x2F, width - 1 | height - 1 << 14)
        case _:
            kind, body = b"VP8 ", b"\x10\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height)
    chunks = kind + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def repeated_scans(count: int) -> bytes:
    """Return a progressive JPEG file, 64 pixels wide and high, with so many scans."""
    file = encoded(Image.new("RGB", (64, 64), RED), "JPEG", progressive=True)
    scans = file.split(b"\xff\xda")
    last = b"\xff\xda" + scans[-1].removesuffix(b"\xff\xd9")
    return file.removesuffix(b"\xff\xd9") + last * (count - len(scans) + 1) + b"\xff\xd9"
