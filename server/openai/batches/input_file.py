"""Read the input of a batch: a JSON object per line, each a request with an id of its own."""

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from server.openai.batches.batch_store import InputLine
from server.openai.batches.wire import BatchError

ENDPOINTS: Final = (
    "/v1/responses",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
)
MAX_LINES: Final = 1_000_000
MAX_LINE_BYTES: Final = 64 << 20
_MAX_ID: Final = 512
_MAX_MODEL: Final = 1024
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class _Parameters(msgspec.Struct):
    model: str = ""
    stream: bool | None = None
    background: bool | None = None


class _Line(msgspec.Struct):
    custom_id: str = ""
    method: str = ""
    url: str = ""
    body: msgspec.Raw = msgspec.Raw(b"null")


class BatchRequest(NamedTuple):
    """A request of a batch; `body` is its JSON."""

    custom_id: str
    url: str
    body: bytes


class _Fault(Exception):
    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.param = code, message, param

    def at(self, line: int) -> BatchError:
        return BatchError(self.code, self.message, self.param, line)


_decode = msgspec.json.Decoder(_Line).decode
_parameters = msgspec.json.Decoder(_Parameters).decode


def request_of(line: bytes) -> BatchRequest:
    """Return the request of a line that `InputReader` has accepted."""
    fields = _decode(line.removeprefix(_BYTE_ORDER_MARK))
    return BatchRequest(fields.custom_id, fields.url, bytes(fields.body))


class InputReader:
    """Reads the lines of the file at `path`, all of which must be requests to `endpoint`."""

    def __init__(self, path: Path, endpoint: str) -> None:
        self._path, self._endpoint = path, endpoint
        self._ids: set[bytes] = set()
        self.models: set[str] = set()
        """The models of the requests so far, two of them at most."""

    def __iter__(self) -> Iterator[InputLine | BatchError]:
        """Yield where each request is, or what is wrong with it; raises OSError."""
        start = number = 0
        is_empty = True
        with self._path.open("rb") as file:
            while data := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if data.strip(b" \t\r\n"):
                    is_empty = False
                    yield self._read(data, number, start)
                start += len(data)
                if len(data) > MAX_LINE_BYTES or number > MAX_LINES:
                    return
        if is_empty:
            yield BatchError("empty_file", "The input file is empty.")

    def _read(self, data: bytes, number: int, start: int) -> InputLine | BatchError:
        try:
            _check_size(data, number)
            fields = self._fields(data if number > 1 else data.removeprefix(_BYTE_ORDER_MARK))
            self._check(fields)
            model = _model(fields.body)
        except _Fault as e:
            return e.at(number)
        if len(self.models) < 2:
            self.models.add(model)
        return InputLine(model, number, start, len(data))

    def _fields(self, data: bytes) -> _Line:
        try:
            return _decode(data)
        except msgspec.ValidationError as e:
            raise _Fault("invalid_line", f"This line is no request: {e}.") from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise _Fault("invalid_json_line", "This line is not parseable as valid JSON.") from None

    def _check(self, fields: _Line) -> None:
        if not fields.custom_id:
            raise _missing("custom_id")
        if len(fields.custom_id) > _MAX_ID:
            raise _Fault(
                "invalid_custom_id",
                f"The custom_id may have at most {_MAX_ID} characters.",
                "custom_id",
            )
        digest = blake2b(fields.custom_id.encode("utf-8", "replace"), digest_size=16).digest()
        if digest in self._ids:
            raise _Fault(
                "duplicate_custom_id",
                "The custom_id for this request is a duplicate of another request. The custom_id "
                "parameter must be unique for each request in a batch.",
                "custom_id",
            )
        self._ids.add(digest)
        if fields.method.upper() != "POST":
            raise _Fault("invalid_method", "The method of this request must be POST.", "method")
        if fields.url != self._endpoint:
            raise _Fault(
                "mismatched_url",
                f"The URL of this request must be that of the batch, {self._endpoint}.",
                "url",
            )


def _check_size(data: bytes, number: int) -> None:
    if len(data) > MAX_LINE_BYTES:
        raise _Fault("line_too_long", f"A line may have at most {MAX_LINE_BYTES >> 20} MiB.")
    if number > MAX_LINES:
        raise _Fault("too_many_lines", f"A file may have at most {MAX_LINES} lines.")


def _model(body: msgspec.Raw) -> str:
    if bytes(body).lstrip()[:1] != b"{":
        raise _missing("body")
    try:
        parameters = _parameters(body)
    except msgspec.ValidationError as e:
        raise _Fault("invalid_request", f"The body of this request is not valid: {e}.") from None
    for name in ("stream", "background"):
        if getattr(parameters, name):
            raise _Fault("invalid_request", f"{name} cannot be used in a batch.", f"body.{name}")
    model = parameters.model
    if not model:
        raise _missing("body.model")
    if len(model) > _MAX_MODEL:
        raise _Fault("invalid_request", "The name of the model is too long.", "body.model")
    return model


def _missing(name: str) -> _Fault:
    return _Fault("missing_required_parameter", f"Missing required parameter: '{name}'.", name)
