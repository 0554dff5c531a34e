"""Keywords of tool schemas that go beyond types are enforced on /api/chat, as they are on /v1.

The engine itself says whether a model could write a call.
"""

import json
from typing import Any

import pytest

from server.inference.tool_choice import constraint_on
from server.native.request import conversation_of
from server.native.schemas import ChatRequest
from server.openai.chat import request as chat
from server.openai.chat.schemas import ChatCompletionRequest
from server.parsing.families.table import OUTPUT_FORMATS
from server.parsing.output_format import GenerationStart
from tests.clients_send.sending import CHAT, COMPLETIONS, Sender
from tests.support.constraint_texts import refused

OLLAMA, NETCLAW, LARK = (
    "ollama/ollama#11444",
    "netclaw-dev/netclaw#51",
    "ardeyouxipianyi/workbuddy2api-intl#12",
)
COLOR = {"$defs": {"Color": {"enum": ["red", "blue"]}}}
ROWS: list[tuple[dict[str, Any], object, object, str]] = [
    ({"const": "a"}, "a", "b", OLLAMA),
    ({"const": 5}, 5, 6, OLLAMA),
    ({"enum": ["a", "b"]}, "b", "c", OLLAMA),
    ({"enum": [1, None]}, None, 2, OLLAMA),
    ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, 1, True, OLLAMA),
    ({"oneOf": [{"const": "x"}, {"const": "y"}]}, "y", "z", OLLAMA),
    ({"anyOf": [{"type": "string"}, {"type": "null"}]}, None, 1, OLLAMA),
    ({"allOf": [{"type": "integer"}, {"minimum": 3}]}, 3, 2, OLLAMA),
    ({"$ref": "#/$defs/Color"}, "red", "green", OLLAMA),
    ({"type": "array", "items": {"$ref": "#/$defs/Color"}}, ["blue"], ["x"], OLLAMA),
    ({"type": "integer", "minimum": 1, "maximum": 9}, 9, 10, OLLAMA),
    ({"type": "number", "exclusiveMinimum": 0}, 0.5, 0, OLLAMA),
    ({"type": "string", "minLength": 2, "maxLength": 3}, "abc", "abcd", OLLAMA),
    ({"type": "string", "pattern": "^a+$"}, "aa", "ab", OLLAMA),
    ({"type": "string", "format": "date"}, "2026-01-31", "soon", OLLAMA),
    ({"type": "array", "minItems": 1, "maxItems": 2}, [1], [], OLLAMA),
    (
        {"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]},
        {"a": 1},
        {"a": 2},
        OLLAMA,
    ),
    ({"type": ["string", "null"]}, None, 1, NETCLAW),
    ({"type": "integer", "required": True}, 1, "a", NETCLAW),
]


def function(schema: dict[str, Any]) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"x": schema}, "required": ["x"], **COLOR}
    return {"type": "function", "function": {"name": "f", "parameters": parameters}}


def body(schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "tools": [function(schema)],
    }


def in_native(schema: dict[str, Any]) -> Any:
    return conversation_of(ChatRequest.model_validate(body(schema)))


def in_chat(schema: dict[str, Any]) -> Any:
    return chat.conversation_of(ChatCompletionRequest.model_validate(body(schema)), {})


def refusal_of(conversation: Any, argument: object) -> str | None:
    """Return where a model could not go on with a call, None where it can write it."""
    start = GenerationStart(tools=conversation.tools)
    constraint, _ = constraint_on(conversation, OUTPUT_FORMATS["qwen3"].create_parser(start))
    assert constraint is not None
    call = json.dumps({"name": "f", "arguments": {"x": argument}})
    return refused(constraint, f"<tool_call>\n{call}\n</tool_call>")


@pytest.mark.parametrize(("schema", "valid", "invalid", "source"), ROWS)
@pytest.mark.parametrize("convert", [in_native, in_chat])
def test_a_call_that_breaks_the_schema_cannot_be_written(
    convert: Any, schema: dict[str, Any], valid: object, invalid: object, source: str
) -> None:
    conversation = convert(schema)

    assert refusal_of(conversation, valid) is None
    assert refusal_of(conversation, invalid) is not None


GO = (
    "{{ range .Tools }}{{ json .Function.Parameters }}{{ end }}"
    "{{ range .Messages }} {{ .Content }}{{ end }}"
)
SHOWN = [row[0] for row in ROWS if "required" not in row[0]]


@pytest.mark.anyio
@pytest.mark.parametrize("schema", SHOWN)
@pytest.mark.parametrize("api", [CHAT, COMPLETIONS])
async def test_a_go_template_shows_the_whole_schema(
    sender: Sender, api: str, schema: dict[str, Any]
) -> None:
    base = await sender.model("{{ messages }}")
    if "go:latest" not in await sender.server.installed():
        await sender.server.create("go", base, template=GO)

    request = {**body(schema), "model": "go", "stream": False, "_debug_render_only": True}
    reply = (await sender.server.post(api, **request)).json()

    prompt = reply["_debug_info"]["rendered_template"]
    shown = json.loads(prompt.rpartition(" ")[0])
    assert shown["properties"]["x"] == schema
    assert shown["$defs"] == COLOR["$defs"]
