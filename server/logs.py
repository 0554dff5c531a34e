"""Logging set-up: lines of text or JSON objects, each with the id of its request."""

import json
import logging
import sys
from enum import StrEnum
from typing import TextIO

from server.request_record import current
from server.text.quoting import escaped

REQUESTS = logging.getLogger("server.requests")
"""Logger of the line that each request gets."""


class LogFormat(StrEnum):
    """How log lines are written."""

    TEXT = "text"
    JSON = "json"


def set_up_logging(*, format: LogFormat, debug: bool, stream: TextIO | None = None) -> None:
    """Write log lines to `stream` (standard error) as `format`; with `debug`, all of them.

    Request lines are debug messages, except in JSON, which is read by programs.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JSONFormatter() if format is LogFormat.JSON else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if debug else logging.INFO)
    REQUESTS.setLevel(logging.DEBUG if format is LogFormat.JSON else logging.NOTSET)
    # The greeting already says what uvicorn reports of its own start and end.
    logging.getLogger("uvicorn.error").setLevel(logging.DEBUG if debug else logging.WARNING)


class TextFormatter(logging.Formatter):
    """Lines of text; a message is one line, as its control characters are escaped."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """Return the line without a traceback."""
        record.message = escaped(record.message)
        fields = getattr(record, "fields", None)
        if fields is not None:
            record.message += "".join(f" {name}={_logfmt(value)}" for name, value in fields.items())
        elif request_id := current().id:
            record.message += f" [{request_id}]"
        return super().formatMessage(record)


class JSONFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, request_id, and further fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object."""
        line: dict[str, object] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id := current().id:
            line["request_id"] = request_id
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def _logfmt(value: object) -> str:
    text = escaped(str(value))
    return json.dumps(text, ensure_ascii=False) if set(text) & set(' "=') else text
