"""Static files of the web page, read and compressed once, when a browser first asks for one.

Every file is sent with a strong ETag and `no-cache`: a browser keeps it and asks each time whether
it is still the same, so that it never runs the files of two versions together.
"""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from pathlib import Path

FOLDER = Path(__file__).with_name("static")
INDEX = "index.html"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Representation:
    """The bytes of a file as they are sent, in one content coding ("" for none), and their ETag."""

    content: bytes
    coding: str
    etag: str


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file, plain and compressed."""

    content_type: str
    plain: Representation
    compressed: Representation


@cache
def static_files() -> Mapping[str, StaticFile]:
    """Return all files of the page by their path below /ui."""
    return {
        path.relative_to(FOLDER).as_posix(): _static_file(path)
        for path in sorted(FOLDER.rglob("*"))
        if path.suffix in _TYPES
    }


def _static_file(path: Path) -> StaticFile:
    content = path.read_bytes()
    digest = blake2b(content, digest_size=16).hexdigest()
    return StaticFile(
        _TYPES[path.suffix],
        Representation(content, "", f'"{digest}"'),
        Representation(gzip.compress(content, mtime=0), "gzip", f'"{digest}-gzip"'),
    )
