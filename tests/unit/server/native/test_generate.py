"""Prompts are read with the defaults of the reference, and answers have its keys."""

import pytest

from server.http.json_encoding import encode
from server.native.schemas import GenerateRequest
from server.native.wire import GenerateResponse
from server.schemas.wire import DebugInfo


def test_a_request_without_fields_streams_and_fits_its_prompt() -> None:
    request = GenerateRequest.model_validate({})

    assert (request.model, request.prompt, request.suffix) == ("", "", "")
    assert (request.system, request.template, request.context) == ("", "", None)
    assert (request.stream, request.truncate, request.shift, request.raw) == (
        True,
        True,
        True,
        False,
    )
    assert (request.format, request.think, request.keep_alive) == (None, None, None)


def test_the_older_name_of_a_model_is_no_name_here() -> None:
    assert GenerateRequest.model_validate({"name": "a"}).model == ""


@pytest.mark.parametrize("format", ["", "json", "yaml", {}, {"type": "object"}, 5, []], ids=repr)
def test_a_format_of_any_kind_is_kept_until_it_is_needed(format: object) -> None:
    """A request that only loads the model must not fail over it."""
    assert GenerateRequest.model_validate({"format": format}).format == format


def test_a_piece_has_its_text_even_when_empty_and_no_other_key() -> None:
    piece = GenerateResponse(model="m", created_at="now", response="", done=False)

    assert encode(piece) == b'{"model":"m","created_at":"now","response":"","done":false}'


def test_the_end_has_its_context_before_its_counters() -> None:
    end = GenerateResponse(
        model="m",
        created_at="now",
        response="",
        thinking="hm",
        done=True,
        done_reason="length",
        context=(1, 2),
        total_duration=1,
        eval_count=3,
    )

    assert encode(end) == (
        b'{"model":"m","created_at":"now","response":"","thinking":"hm","done":true,'
        b'"done_reason":"length","context":[1,2],"total_duration":1,"eval_count":3}'
    )


def test_a_debug_reply_is_told_by_the_name_of_the_reference() -> None:
    reply = GenerateResponse(
        model="m", created_at="now", response="", done=False, debug_info=DebugInfo("p")
    )

    assert encode(reply).endswith(b'"done":false,"_debug_info":{"rendered_template":"p"}}')
