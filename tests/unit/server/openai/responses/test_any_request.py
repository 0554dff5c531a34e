"""Whatever a client sends is understood or refused; it never makes the server fail."""

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from server.errors import BadRequest
from server.http.body import parse_body
from server.http.json_encoding import encode
from server.inference.conversation import Finish
from server.openai.responses.item_reader import ItemReader
from server.openai.responses.items import input_items, remote_images, tools_in
from server.openai.responses.reply import ResponseStream
from server.openai.responses.request import conversation_of
from server.openai.responses.schemas import ResponsesRequest
from server.openai.responses.tools import declared_tools
from tests.support.any_json import ANY, records

PART = records(
    type=st.sampled_from("input_text output_text input_image input_file refusal".split()),
    text=st.text(max_size=3),
    image_url=st.sampled_from(["data:image/png;base64,aGk=", "http://x", "data:,"]),
)
CONTENT = st.lists(PART, max_size=2) | st.text(max_size=3)
ITEM = records(
    type=st.sampled_from(
        "message reasoning function_call function_call_output web_search_call custom_tool_call "
        "custom_tool_call_output local_shell_call shell_call_output apply_patch_call mcp_call "
        "tool_search_output file_search_call code_interpreter_call compaction other".split()
    ),
    role=st.sampled_from(["user", "assistant", "developer"]),
    content=CONTENT,
    output=CONTENT,
    encrypted_content=st.text(max_size=3),
    call_id=st.just("c1"),
    name=st.just("f"),
    arguments=st.sampled_from(["{}", "", "[", "[]", {}]),
    namespace=st.just("n"),
    input=st.text(max_size=3),
    action=ANY,
    operation=ANY,
    results=ANY,
    outputs=ANY,
    error=ANY,
    tools=ANY,
)
GRAMMAR = records(
    type=st.sampled_from(["text", "grammar"]),
    syntax=st.sampled_from(["lark", "regex"]),
    definition=st.sampled_from(["a+", 'start: "a"', "start: a"]),
)
TOOL = records(
    type=st.sampled_from(["function", "custom"]),
    name=st.just("f"),
    parameters=ANY,
    format=GRAMMAR,
)
REQUEST = records(
    model=st.just("m"),
    input=st.lists(ITEM, max_size=4) | st.text(max_size=3),
    instructions=st.text(max_size=3),
    tools=st.lists(TOOL | records(type=st.just("namespace"), tools=st.lists(TOOL))),
    tool_choice=st.sampled_from(["auto", "none", "required"])
    | records(type=st.sampled_from(["function", "allowed_tools"]), name=st.just("f")),
    text=records(format=records(type=st.sampled_from(["text", "json_object", "json_schema"]))),
    reasoning=records(effort=st.sampled_from(["low", "high"])),
    include=st.lists(st.text(max_size=3)),
    metadata=ANY,
    temperature=st.just(0.5),
)


@given(body=REQUEST)
def test_a_request_of_any_shape_is_understood_or_refused(body: dict[str, object]) -> None:
    """What is understood can be told again, and gone on from."""
    with suppress(BadRequest):
        request = parse_body(encode(body), ResponsesRequest)
        items = input_items(request.input)
        fetched = dict.fromkeys(remote_images(items), b"")
        tools = declared_tools([*request.tools, *tools_in(items)])
        conversation = conversation_of(request, tools, items, (), fetched)
        stream = ResponseStream(request)
        assert [*stream.begin(store=False), *stream.finish(Finish())]
        assert encode(stream.last(store=False))
        reader = ItemReader(fetched)
        reader.read(items)
        assert len(reader.messages()) <= len(conversation.messages)
