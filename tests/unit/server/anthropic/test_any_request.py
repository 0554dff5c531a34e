"""Whatever a client sends is understood or refused; it never makes the server fail."""

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from server.anthropic.estimate import estimated_tokens
from server.anthropic.request import conversation_of, remote_images
from server.anthropic.schemas import MessagesRequest
from server.errors import BadRequest
from server.http.body import parse_body
from server.http.json_encoding import encode
from tests.support.any_json import ANY, records

KINDS = st.sampled_from("text image tool_use tool_result thinking document server_tool_use".split())
SOURCE = records(type=st.sampled_from(["base64", "url"]), data=st.sampled_from(["aGk=", "?"]))
BLOCK = st.deferred(
    lambda: records(
        type=KINDS,
        text=st.text(max_size=3),
        source=SOURCE,
        id=st.just("c1"),
        name=st.just("f"),
        input=st.just({"a": 1}),
        tool_use_id=st.just("c1"),
        thinking=st.text(max_size=3),
        content=st.lists(BLOCK, max_size=2),
    )
)
MESSAGE = records(
    role=st.sampled_from(["user", "assistant"]), content=st.lists(BLOCK, max_size=3) | st.text()
)
REQUEST = records(
    model=st.just("m"),
    max_tokens=st.just(5),
    system=st.lists(BLOCK, max_size=2),
    messages=st.lists(MESSAGE, min_size=1, max_size=3),
    tools=st.lists(records(type=st.just("custom"), name=st.just("f"), input_schema=ANY)),
    tool_choice=records(type=st.sampled_from(["auto", "any", "tool", "none"]), name=st.just("f")),
    thinking=records(type=st.sampled_from(["enabled", "disabled"])),
    output_config=records(effort=st.just("high"), format=records(type=st.just("json_schema"))),
    stop_sequences=st.lists(st.text(max_size=3)),
)


@given(body=REQUEST)
def test_a_request_of_any_shape_is_understood_or_refused(body: dict[str, object]) -> None:
    with suppress(BadRequest):
        request = parse_body(encode(body), MessagesRequest)
        assert estimated_tokens(request) >= 1
        assert conversation_of(request, dict.fromkeys(remote_images(request), b"")).messages
