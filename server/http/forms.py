"""Request bodies that are forms with files, read into memory and no further than allowed."""

import sys
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from server.errors import BadRequest, BodyTooLarge

_TYPE = "multipart/form-data"
_FAILED = "failed to parse multipart form"
_MOST_FIELDS = 100


@dataclass(frozen=True, slots=True)
class Form:
    """What a form holds, by name: its texts, and its files' bytes. The last of a name counts."""

    texts: Mapping[str, str]
    files: Mapping[str, bytes]


async def read_form(request: Request, most_bytes: int) -> Form:
    """Return the body of `request`, a form of at most `most_bytes`.

    Raises:
        BadRequest: it is no form.
        BodyTooLarge: it is larger.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _TYPE:
        raise BadRequest(f"{_FAILED}: the content type must be {_TYPE}")
    stream = _limited(request, most_bytes)
    parser = _InMemoryParser(request.headers, stream, max_files=1, max_fields=_MOST_FIELDS)
    try:
        form = await parser.parse()
    except MultiPartException as e:
        raise BadRequest(f"{_FAILED}: it is damaged, or has more than one file") from e
    texts: dict[str, str] = {}
    files: dict[str, bytes] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            files[name] = await value.read()
        else:
            texts[name] = value
    await form.close()
    return Form(texts, files)


class _InMemoryParser(MultiPartParser):
    """Never writes what a stranger sent to the disk; `_limited` bounds it."""

    spool_max_size = sys.maxsize


async def _limited(request: Request, most_bytes: int) -> AsyncGenerator[bytes, None]:
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > most_bytes:
            raise BodyTooLarge(most_bytes)
        yield part
