"""Read multipart/form-data request bodies into memory, up to a size limit."""

import sys
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from server.errors import BadRequest, BodyTooLarge

_TYPE = "multipart/form-data"
_FAILED = "failed to parse multipart form"
MAX_FIELDS = 100


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form by name: texts, and the contents of files. The last of a name counts."""

    texts: Mapping[str, str]
    files: Mapping[str, bytes]


async def read_form(request: Request, max_bytes: int) -> Form:
    """Return the form in the body of `request`, of at most `max_bytes`.

    Raises:
        BadRequest: the body is not a form.
        BodyTooLarge: the body is larger.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _TYPE:
        raise BadRequest(f"{_FAILED}: the content type must be {_TYPE}")
    stream = _limited(request, max_bytes)
    parser = _InMemoryParser(request.headers, stream, max_files=1, max_fields=MAX_FIELDS)
    try:
        form = await parser.parse()
    except MultiPartException as e:
        raise BadRequest(f"{_FAILED}: the form is damaged or has more than one file") from e
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
    """Never spools a file to the disk; `_limited` bounds the memory."""

    spool_max_size = sys.maxsize


async def _limited(request: Request, max_bytes: int) -> AsyncGenerator[bytes, None]:
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > max_bytes:
            raise BodyTooLarge(max_bytes)
        yield part
