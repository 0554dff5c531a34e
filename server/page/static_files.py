"""Static files of the web page: read, minified and compressed once, when a browser asks for one.

The addresses of all but the index have the digest of all files in them, so browsers keep them for
good, never run the files of two versions together, and reload the page with a single request.
"""

import gzip
from collections.abc import Mapping
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).with_name("static")
INDEX = "index.html"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


class Representation(NamedTuple):
    """The bytes of a file as they are sent, in one content coding ("" for none), and their ETag."""

    content: bytes
    coding: str
    etag: str


class StaticFile(NamedTuple):
    """A file, plain and compressed."""

    content_type: str
    plain: Representation
    compressed: Representation


class Page(NamedTuple):
    """The files of the page by their path below /ui/`version`, and the `document` at /ui."""

    version: str
    document: StaticFile
    files: Mapping[str, StaticFile]


@cache
def page() -> Page:
    """Return the page as it is sent."""
    paths = [path for path in sorted(FOLDER.rglob("*")) if path.suffix in _TYPES]
    contents = {path.relative_to(FOLDER).as_posix(): _content(path) for path in paths}
    version = _digest(b"".join(_digest(content).encode() for content in contents.values()))
    document = contents.pop(INDEX).replace(b'"ui/', f'"ui/{version}/'.encode())
    files = {path: _static_file(path, content) for path, content in contents.items()}
    return Page(version, _static_file(INDEX, document), files)


def _content(path: Path) -> bytes:
    # A server that nobody opens in a browser starts without it.
    from server.page.minify import minify_script, minify_style  # noqa: PLC0415

    minify = {".js": minify_script, ".css": minify_style}.get(path.suffix)
    return minify(path.read_text("utf-8")).encode() if minify else path.read_bytes()


def _static_file(path: str, content: bytes) -> StaticFile:
    digest = _digest(content)
    return StaticFile(
        _TYPES[Path(path).suffix],
        Representation(content, "", f'"{digest}"'),
        Representation(gzip.compress(content, mtime=0), "gzip", f'"{digest}-gzip"'),
    )


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=8).hexdigest()
