"""The line of the log that each request gets, and the ids that tie lines together."""

import logging
import secrets
from collections.abc import Mapping

from server.logs import REQUESTS
from server.request_record import RequestRecord


def new_id() -> str:
    """Return an id for a request."""
    return f"req_{secrets.token_hex(12)}"


def log_request(record: RequestRecord, extra: Mapping[str, str] | None = None) -> None:
    """Write the line of a request; `extra` fields make it one that is always written."""
    level = logging.INFO if extra else logging.DEBUG
    if REQUESTS.isEnabledFor(level):
        REQUESTS.log(level, "request", extra={"fields": record.fields() | dict(extra or {})})
