"""Read an uploaded file from a multipart/form-data body piece by piece."""

from collections import deque
from collections.abc import AsyncIterator
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from server.errors import BadRequest

_TYPE: Final = b"multipart/form-data"
_FAILED: Final = "failed to parse multipart form"
_MAX_FIELD: Final = 4096
_MAX_PARTS: Final = 20
_FILE: Final = "file"


class Upload:
    """The form in `stream`: `pieces` yields the content of its file, then `fields` are complete.

    Raises BadRequest where `content_type` is not that of a form.
    """

    def __init__(self, content_type: str, stream: AsyncIterator[bytes]) -> None:
        kind, options = parse_options_header(content_type)
        if kind != _TYPE or b"boundary" not in options:
            raise BadRequest(f"{_FAILED}: the content type must be multipart/form-data")
        self._stream = stream
        self._parser = MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": self._begin,
                "on_header_field": self._add_name,
                "on_header_value": self._add_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._add_data,
                "on_part_end": self._end,
                "on_end": self._finish,
            },
        )
        self._header, self._value = bytearray(), bytearray()
        self._disposition = b""
        self._n_parts = 0
        self._field, self._text = "", bytearray()
        self._is_file = self._is_complete = False
        self._pieces: deque[bytes] = deque()
        self.fields: dict[str, str] = {}
        self.filename: str | None = None
        """The name of the file, None as long as there is none."""

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the content of the file; raises BadRequest for a damaged form."""
        async for data in self._stream:
            try:
                self._parser.write(data)
            except FormParserError:
                raise BadRequest(f"{_FAILED}: the form is damaged") from None
            while self._pieces:
                yield self._pieces.popleft()
        if not self._is_complete:
            raise BadRequest(f"{_FAILED}: the form is damaged")
        if self.filename is None:
            raise BadRequest("file is required: send it as a form file of that name")

    def _begin(self) -> None:
        self._disposition, self._is_file = b"", False
        self._n_parts += 1
        if self._n_parts > _MAX_PARTS:
            raise BadRequest(f"{_FAILED}: it has too many fields")
        self._field, self._text = "", bytearray()

    def _add_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._field = options.get(b"name", b"").decode("utf-8", "replace")
        self._is_file = b"filename" in options
        if self._is_file:
            if self.filename is not None or self._field != _FILE:
                raise BadRequest(f"{_FAILED}: it must have one file, named file")
            self.filename = options[b"filename"].decode("utf-8", "replace")[:_MAX_FIELD]

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._pieces.append(data[start:end])
        elif len(self._text) + end - start > _MAX_FIELD:
            raise BadRequest(f"{_FAILED}: a field is too long")
        else:
            self._text += data[start:end]

    def _end(self) -> None:
        if not self._is_file:
            self.fields[self._field] = self._text.decode("utf-8", "replace")

    def _finish(self) -> None:
        self._is_complete = True
