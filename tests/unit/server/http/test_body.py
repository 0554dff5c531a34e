"""JSON request bodies: lenient where the reference server is, otherwise refused with a reason."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import BadRequest
from server.http.body import parse_body
from server.native.model_schemas import CreateRequest
from server.native.schemas import ChatRequest, GenerateRequest

ELEMENT = 'each element of field "context"'


def refusal(body: str | bytes, model: type[GenerateRequest | ChatRequest] = ChatRequest) -> str:
    """Return the sentence that `body` is refused with."""
    with pytest.raises(BadRequest) as caught:
        parse_body(body if isinstance(body, bytes) else body.encode(), model)
    return str(caught.value)


@pytest.mark.parametrize("body", [b"", b" ", b"\r\n\t "])
def test_an_empty_body_is_reported_as_missing(body: bytes) -> None:
    assert refusal(body) == "missing request body"


@pytest.mark.parametrize(
    "body",
    [
        "{", "[", "nul", '{"', '{"model', '{"model"', '{"model":', '{"model":"a', '{"model":"a\\',
        '{"model":"\\u', '{"model":"\\u12', '{"model":"a"', '{"model":"a",', '{"stream":tru',
        '{"stream":f', '{"think":nul', '{"keep_alive":-', '{"keep_alive":1.', '{"keep_alive":1e',
        '{"keep_alive":1E+', '{"keep_alive":5 \n', '{"context":[1,2', '{"context":[1,',
    ],
)  # fmt: skip
def test_a_truncated_body_is_reported_as_such(body: str) -> None:
    assert refusal(body) == "unexpected EOF"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("{'model':1}", """unexpected character "'" at position 2"""),
        ('{"model":"a",}', "unexpected character '}' at position 14"),
        ("// a comment\n{}", "unexpected character '/' at position 1"),
        ("\ufeff{}", "unexpected character '\\ufeff' at position 1"),
        ('{"model" "a"}', "unexpected character '\"' at position 10"),
        ('{"context":[1 2]}', "unexpected character '2' at position 15"),
        ('{"model":"a\x01"}', "unexpected character '\\x01' at position 12"),
        ('{"model":"\\x"}', "unexpected character '\\\\' at position 11"),
        ('{"keep_alive":01}', "unexpected character '1' at position 16"),
        ('{"keep_alive":NaN}', "NaN is not a JSON number"),
        ('{"keep_alive":-Infinity}', "-Infinity is not a JSON number"),
    ],
)
def test_a_syntax_error_has_its_position(body: str, reason: str) -> None:
    assert refusal(body) == f"the request body is not valid JSON: {reason}"


@pytest.mark.parametrize("rest", [" xyz", "{}", "}", ' {"model":"b"}', " [[[", "\x00", " \udcff"])
def test_only_the_first_value_of_a_body_counts(rest: str) -> None:
    body = b'\n {"model":"a"}' + rest.encode("utf-8", "surrogateescape")

    assert parse_body(body, ChatRequest).model == "a"


def test_null_is_an_empty_request() -> None:
    assert parse_body(b"null", ChatRequest) == ChatRequest()


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("5", "a number"), ("1.5", "a number"), ('"a"', "a string"), ("true", "a boolean"),
        ("[]", "a list"), ("5 " + "[" * 1000, "a number"), ("[1]" + "[" * 1000, "a list"),
    ],
)  # fmt: skip
def test_a_body_that_is_not_an_object_is_refused_with_its_type(body: str, found: str) -> None:
    assert refusal(body) == f"the request body must be an object, not {found}"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ('{"model":5}', 'field "model" must be a string, not a number'),
        ('{"MODEL":5}', 'field "model" must be a string, not a number'),
        ('{"prompt":["a"]}', 'field "prompt" must be a string, not a list'),
        ('{"raw":"true"}', 'field "raw" must be a boolean, not a string'),
        ('{"stream":1}', 'field "stream" must be a boolean, not a number'),
        ('{"context":"a"}', 'field "context" must be a list, not a string'),
        ('{"context":[1.5]}', f"{ELEMENT} must be a whole number, not 1.5"),
        ('{"context":[{}]}', f"{ELEMENT} must be a whole number, not an object"),
        ('{"context":[2147483648]}', f"{ELEMENT} must be at most 2147483647"),
        ('{"context":[-2147483649]}', f"{ELEMENT} must be at least -2147483648"),
        ('{"options":[]}', 'field "options" must be an object, not a list'),
        ('{"images":"a"}', 'field "images" must be a list, not a string'),
        ('{"top_logprobs":"5"}', 'field "top_logprobs" must be a whole number, not a string'),
        ('{"top_logprobs":5.0}', 'field "top_logprobs" must be a whole number, not 5.0'),
    ],
)  # fmt: skip
def test_a_wrong_type_is_refused_with_the_field_and_its_type(body: str, sentence: str) -> None:
    assert refusal(body, GenerateRequest) == sentence


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"messages": "hi"}, 'field "messages" must be a list, not a string'),
        ({"messages": ["hi"]}, 'each element of field "messages" must be an object, not a string'),
        ({"messages": [{"content": 5}]}, 'field "messages.content" must be a string, not a number'),
        (
            {"messages": [{"tool_calls": [{"function": {"name": {}}}]}]},
            'field "messages.tool_calls.function.name" must be a string, not an object',
        ),
        (
            {"messages": [{"tool_calls": [{"function": {"index": 2**63}}]}]},
            f'field "messages.tool_calls.function.index" must be at most {2**63 - 1}',
        ),
        ({"tools": {}}, 'field "tools" must be a list, not an object'),
        ({"tools": [{"function": 1}]}, 'field "tools.function" must be an object, not a number'),
        (
            {"tools": [{"function": {"description": ["a"]}}]},
            'field "tools.function.description" must be a string, not a list',
        ),
    ],
)  # fmt: skip
def test_a_wrong_type_inside_is_refused_with_its_path(body: object, sentence: str) -> None:
    assert refusal(json.dumps(body)) == sentence


def test_a_long_path_is_shortened_in_the_error() -> None:
    with pytest.raises(BadRequest) as caught:
        parse_body(json.dumps({"files": {"x" * 100_000: 5}}).encode(), CreateRequest)

    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (rb"\ud800", "�"), (rb"a\udc00b", "a�b"), (rb"\udc00\ud800", "��"),
        (rb"\ud83d\ude00", "😀"), (b"\xff\xfe", "��"), ("é\u2028".encode(), "é\u2028"),
    ],
)  # fmt: skip
def test_invalid_unicode_is_replaced_and_the_rest_is_unchanged(text: bytes, read: str) -> None:
    body = b'{"prompt":"%b","options":{"%b":["%b"]}}' % (text, text, text)
    request = parse_body(body, GenerateRequest)

    assert request.prompt == read
    assert request.options == {read: [read]}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(JSON)
def test_free_values_are_unchanged(value: object) -> None:
    """Whichever of the two decoders reads them."""
    body = json.dumps({"options": {"v": value}})

    for text in (body, body + " trailing"):
        assert parse_body(text.encode(), GenerateRequest).options == {"v": value}
