"""No body, however large, deep or odd, does more to the server than be refused."""

import contextlib
import json
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Annotated, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BeforeValidator, ValidationError
from starlette.requests import Request

from server.errors import BadRequest, BodyTooLarge
from server.http.body import parse_body, read_body
from server.native.model_schemas import CopyRequest
from server.native.schemas import ChatRequest, GenerateRequest
from server.schemas.base import ApiModel
from server.schemas.limits import MAX_DEPTH, MAX_ELEMENTS, MAX_TEXT
from tests.support.asgi import Client, http_scope

T = TypeVar("T")


def refusal(body: str) -> str:
    """Return the sentence that `body` is refused with."""
    with pytest.raises(BadRequest) as caught:
        parse_body(body.encode(), ChatRequest)
    return str(caught.value)


@pytest.mark.parametrize(
    "number", ["1e400", "-1e400", "1" + "0" * 5000], ids=["large", "small", "many digits"]
)
def test_a_number_that_no_computer_holds_is_refused(number: str) -> None:
    assert refusal(f'{{"keep_alive":{number}}}') == (
        "the request body has a number that is out of range"
    )


TOOL_TEMPLATE = '{"tools":[{"function":{"parameters":{"properties":{"x":%s}}}}]}'
NESTED: dict[str, Callable[[int], str]] = {
    "ignored": lambda n: '{"unknown":' + "[" * n + "]" * n + "}",
    "objects": lambda n: '{"format":' + '{"a":' * n + "1" + "}" * n + "}",
    "tools": lambda n: TOOL_TEMPLATE % ('{"anyOf":[' * (n // 2) + "{}" + "]}" * (n // 2)),
    "open": lambda n: "[" * n,
    "behind bad Unicode": lambda n: '{"\\ud800":' + "[" * n + "]" * n + "}",
}


@pytest.mark.parametrize("shape", NESTED)
@pytest.mark.parametrize("rest", ["", " x"], ids=["clean", "with a rest"])
@pytest.mark.parametrize("levels", [MAX_DEPTH + 10, 400, 600, 999, 100_000])
def test_deep_nesting_is_refused_and_never_overflows(shape: str, rest: str, levels: int) -> None:
    said = refusal(NESTED[shape](levels) + rest)

    assert said in {
        f"the request body is nested too deeply: more than {MAX_DEPTH} levels",
        "unexpected EOF",
        f"the request body is not valid JSON: unexpected character 'x' at position {levels + 2}",
    }


@pytest.mark.parametrize("shape", ["ignored", "objects", "tools"])
@pytest.mark.parametrize("rest", ["", " x"], ids=["clean", "with a rest"])
def test_what_is_nested_as_deep_as_allowed_is_read_wherever_the_server_is(
    shape: str, rest: str
) -> None:
    """Middleware and routes have taken a part of the stack when a body is read."""

    def below(frames: int, call: Callable[[], T]) -> T:
        return below(frames - 1, call) if frames else call()

    body = (NESTED[shape](MAX_DEPTH - 7) + rest).encode()

    assert below(150, lambda: parse_body(body, ChatRequest)).messages == []


@given(
    st.binary(max_size=40)
    | st.text('{}[]":,0123456789.eE+-truefalsn\\u \ud800é', max_size=40).map(
        lambda text: text.encode("utf-8", "surrogatepass")
    )
)
def test_no_body_whatever_does_more_than_be_refused(body: bytes) -> None:
    with contextlib.suppress(BadRequest):
        assert parse_body(body, GenerateRequest).model_dump_json()


def request_of(*parts: bytes, max_body: int, content_type: str = "") -> Request:
    app = SimpleNamespace(state=SimpleNamespace(max_body=max_body))
    headers = [("content-type", content_type)] if content_type else []
    scope = http_scope("/api/chat", method="POST", headers=headers)
    return Request({**scope, "app": app}, Client(*parts).receive)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "content_type", ["", "application/json", "text/plain", "application/x-www-form-urlencoded"]
)
async def test_a_body_is_read_whatever_its_type_is_said_to_be(content_type: str) -> None:
    """`curl -d` says that every body is a form."""
    request = request_of(b'{"mod', b'el":"a"}', max_body=100, content_type=content_type)

    assert (await read_body(request, ChatRequest)).model == "a"


class Watched(ApiModel):
    """A request that tells by which thread it was read."""

    thread: Annotated[str, BeforeValidator(lambda _: threading.current_thread().name)]


@pytest.mark.anyio
async def test_a_large_body_is_read_where_it_stops_nobody_else() -> None:
    """A conversation of many thousand messages takes seconds."""
    own = threading.current_thread().name
    small, large = (b'{"thread":""}' + b" " * n for n in (0, 1 << 20))

    assert (await read_body(request_of(small, max_body=0), Watched)).thread == own
    assert (await read_body(request_of(large, max_body=0), Watched)).thread != own


@pytest.mark.anyio
@pytest.mark.parametrize("parts", [(b" " * 101,), (b" " * 60, b" " * 41)])
async def test_a_body_over_the_limit_is_refused_with_the_limit(parts: tuple[bytes, ...]) -> None:
    with pytest.raises(BodyTooLarge, match="larger than the 100 bytes"):
        await read_body(request_of(*parts, max_body=100), ChatRequest)


@pytest.mark.anyio
@pytest.mark.parametrize("limit", [13, 0], ids=["just enough", "no limit"])
async def test_a_body_within_the_limit_is_read(limit: int) -> None:
    body = b'{"model":"a"}'

    assert (await read_body(request_of(body, max_body=limit), ChatRequest)).model == "a"


LIST_FIELDS = {
    "messages": '{"messages":%s}',
    "tools": '{"tools":%s}',
    "images": '{"messages":[{"images":%s}]}',
    "calls": '{"messages":[{"tool_calls":%s}]}',
}


@pytest.mark.parametrize("field", LIST_FIELDS)
def test_a_list_has_a_bounded_number_of_elements(field: str) -> None:
    """Whatever they are: 20,000 `null` are within all other limits."""
    body = LIST_FIELDS[field] % ("[" + ",".join(["null"] * (MAX_ELEMENTS + 1)) + "]")

    assert f"must have at most {MAX_ELEMENTS} elements" in refusal(body)


def test_the_first_of_many_faults_is_reported_and_no_other_is_made() -> None:
    body = '{"messages":[' + ",".join(["1"] * 10_000) + "]}"
    with pytest.raises(ValidationError) as caught:
        ChatRequest.model_validate({"messages": [1] * 10_000})

    assert caught.value.error_count() == 1
    assert refusal(body) == 'each element of field "messages" must be an object, not a number'


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("[" + "{}," * 50_000 + "{}]", "objects and lists"),
        ("[" + "0," * 300_000 + "0]", "values"),
        ("{" + ",".join(f'"{n}":0' for n in range(200_000)) + "}", "values"),
        ('["a"' + ' "a"' * 200_000 + "]", "strings and keys"),
    ],
    ids=["objects", "numbers", "keys", "strings"],
)
def test_what_the_endpoint_does_not_know_is_counted_too(value: str, reason: str) -> None:
    assert refusal('{"unknown":' + value + "}").endswith(reason)


def test_a_context_may_have_a_million_tokens() -> None:
    body = '{"context":[' + ",".join(["7"] * 1_000_000) + "]}"

    assert len(parse_body(body.encode(), GenerateRequest).context or ()) == 1_000_000


@pytest.mark.anyio
async def test_a_request_of_names_is_small() -> None:
    body = b'{"model":"' + b"a" * (2 << 20) + b'"}'
    with pytest.raises(BodyTooLarge):
        await read_body(request_of(body, max_body=0), CopyRequest)


@pytest.mark.anyio
async def test_a_size_that_is_announced_is_refused_before_it_is_read() -> None:
    request = request_of(b"{", max_body=100)
    request.scope["headers"].append((b"content-length", b"1000"))

    with pytest.raises(BodyTooLarge):
        await read_body(request, ChatRequest)
    assert (await request.receive())["body"] == b"{"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b'{"x":"' + b"\xff" * (5 << 20) + b'"}', "the request body is not valid JSON"),
        (b'{"x":"' + b"a" * (5 << 20) + b'" 1}', "unexpected character at position 5242889"),
        (b'{"x":"' + b"a" * (5 << 20), "unexpected EOF"),
        (b'"' + b"a" * (5 << 20) + b'"', "the request body must be an object, not a string"),
        (b"[" + b"0," * 50_000 + b"0]", "the request body must be an object, not a list"),
        (b" " * (5 << 20), "missing request body"),
    ],
    ids=["Unicode", "syntax", "open", "string", "list", "blanks"],
)
def test_a_large_body_that_is_no_json_is_refused_at_little_cost(body: bytes, sentence: str) -> None:
    with pytest.raises(BadRequest, match=sentence):
        parse_body(body, ChatRequest)


def test_a_name_of_megabytes_is_refused_by_its_field() -> None:
    body = json.dumps({"messages": [{"role": "a" * (MAX_TEXT + 1)}]})

    assert refusal(body) == f'field "messages.role" must have at most {MAX_TEXT} characters'
