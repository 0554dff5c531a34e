"""Log lines: text or JSON, one line each, with the id of their request."""

import contextvars
import io
import json
import logging
from collections.abc import Callable

import pytest

from server.logs import REQUESTS, LogFormat, set_up_logging
from server.request_record import RequestRecord, begin

LOG = logging.getLogger("server.test")


def written(write: Callable[[], None], format: LogFormat, *, debug: bool = False) -> str:
    """Return what `write` logs, in the context of the request `req_1`."""
    stream = io.StringIO()
    set_up_logging(format=format, debug=debug, stream=stream)

    def in_request() -> None:
        begin(RequestRecord(id="req_1"))
        write()

    contextvars.copy_context().run(in_request)
    return stream.getvalue()


def request_line() -> None:
    REQUESTS.debug("request", extra={"fields": {"request_id": "req_1", "status": 200, "e": 'a "b'}})


def test_a_text_line_has_the_id_of_its_request() -> None:
    text = written(lambda: LOG.warning("cut by %d tokens", 7), LogFormat.TEXT)

    assert text.endswith(" WARNING server.test: cut by 7 tokens [req_1]\n")


def test_a_line_of_no_request_has_no_id() -> None:
    stream = io.StringIO()
    set_up_logging(format=LogFormat.TEXT, debug=False, stream=stream)

    LOG.info("started")

    assert stream.getvalue().endswith(": started\n")


@pytest.mark.parametrize("format", list(LogFormat))
def test_a_name_with_control_characters_stays_on_its_line(format: LogFormat) -> None:
    """A model's architecture could forge log lines, and colour the operator's terminal."""
    text = written(lambda: LOG.info("loading %s", "x\n2026 ERROR: \x1b[31mforged\u2028"), format)

    assert text.count("\n") == 1
    assert "\x1b" not in text


def test_a_traceback_follows_its_text_line() -> None:
    def fail() -> None:
        LOG.error("failed", exc_info=ValueError("reason"))

    text = written(fail, LogFormat.TEXT)
    assert "failed [req_1]\nValueError" in text
    assert text.endswith("ValueError: reason\n")

    line = json.loads(written(fail, LogFormat.JSON))
    assert line["traceback"].endswith("ValueError: reason")


def test_a_json_line_is_an_object_with_the_id() -> None:
    line = json.loads(written(lambda: LOG.warning("cut"), LogFormat.JSON))

    assert line.pop("time")
    assert line == {
        "level": "warning",
        "logger": "server.test",
        "message": "cut",
        "request_id": "req_1",
    }


def test_a_request_line_has_its_fields() -> None:
    text = written(request_line, LogFormat.TEXT, debug=True)
    assert text.endswith('server.requests: request request_id=req_1 status=200 e="a \\"b"\n')

    line = json.loads(written(request_line, LogFormat.JSON))
    assert (line["status"], line["e"]) == (200, 'a "b')


def test_request_lines_are_debug_messages_except_in_json() -> None:
    assert written(request_line, LogFormat.TEXT) == ""
    assert written(request_line, LogFormat.JSON) != ""
