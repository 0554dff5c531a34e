"""A tool choice has its clear meaning, whichever server documented its form."""

from typing import Any

import pytest

from server.anthropic import request as anthropic
from server.anthropic.schemas import MessagesRequest
from server.inference.conversation import NamedTool, ToolChoice
from server.openai.chat import request as chat
from server.openai.chat.schemas import ChatCompletionRequest
from server.openai.responses import request as responses
from server.openai.responses.schemas import ResponsesRequest
from server.openai.responses.tools import declared_tools

AUTO, NONE, REQUIRED, NAMED = (
    ToolChoice.AUTO,
    ToolChoice.NONE,
    ToolChoice.REQUIRED,
    NamedTool("f"),
)
INSTRUCTOR, MLX, LITERT, QVAC = (
    "567-labs/instructor#2051",
    "Blaizzy/mlx-vlm#1045",
    "google-ai-edge/LiteRT-LM#2471",
    "tetherto/qvac#4524",
)
MESSAGES = [{"role": "user", "content": "Hi"}]
FUNCTION = {"name": "f", "parameters": {"type": "object"}}
ROWS = [
    (None, AUTO, MLX),
    ("auto", AUTO, MLX),
    ("none", NONE, MLX),
    ("required", REQUIRED, MLX),
    ("any", REQUIRED, LITERT),
    ("ANY", REQUIRED, LITERT),
    ("Auto", AUTO, LITERT),
    ("", AUTO, INSTRUCTOR),
    ({}, AUTO, INSTRUCTOR),
    ({"type": "auto"}, AUTO, INSTRUCTOR),
    ({"type": "any"}, REQUIRED, INSTRUCTOR),
    ({"type": "none"}, NONE, INSTRUCTOR),
    ({"type": "required"}, REQUIRED, INSTRUCTOR),
    ({"type": "tool", "name": "f"}, NAMED, QVAC),
    ({"type": "function", "function": {"name": "f"}}, NAMED, QVAC),
    ({"type": "function", "name": "f"}, NAMED, QVAC),
    ({"function": {"name": "f"}}, NAMED, QVAC),
]


def in_chat(choice: object) -> Any:
    tools = [{"type": "function", "function": FUNCTION}]
    body = {"model": "m", "messages": MESSAGES, "tools": tools, "tool_choice": choice}
    return chat.conversation_of(ChatCompletionRequest.model_validate(body), {}).tool_choice


def in_responses(choice: object) -> Any:
    tools = [{"type": "function", **FUNCTION}]
    request = ResponsesRequest.model_validate({"model": "m", "tools": tools, "tool_choice": choice})
    declared = declared_tools(request.tools)
    return responses.conversation_of(request, declared, [], [], {}).tool_choice


def in_messages(choice: object) -> Any:
    body = {"model": "m", "max_tokens": 1, "messages": MESSAGES, "tools": [{"name": "f"}]}
    request = MessagesRequest.model_validate({**body, "tool_choice": choice})
    return anthropic.conversation_of(request, {}).tool_choice


@pytest.mark.parametrize(("choice", "meaning", "source"), ROWS)
@pytest.mark.parametrize("convert", [in_chat, in_responses])
def test_openai_reads_every_form(
    convert: Any, choice: object, meaning: ToolChoice | NamedTool, source: str
) -> None:
    assert convert(choice) == meaning


@pytest.mark.parametrize(
    ("choice", "meaning", "source"),
    [
        (None, AUTO, MLX),
        ({}, AUTO, INSTRUCTOR),
        ("", AUTO, INSTRUCTOR),
        ("auto", AUTO, LITERT),
        ("any", REQUIRED, LITERT),
        ("required", REQUIRED, LITERT),
        ({"type": "required"}, REQUIRED, LITERT),
        ({"type": "any"}, REQUIRED, MLX),
        ({"type": "none"}, NONE, MLX),
        ({"type": "tool", "name": "f"}, NAMED, QVAC),
    ],
)
def test_anthropic_reads_every_form(
    choice: object, meaning: ToolChoice | NamedTool, source: str
) -> None:
    assert in_messages(choice) == meaning
