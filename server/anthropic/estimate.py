"""Estimate the prompt tokens of a request, for `message_start`, before they are counted."""

import json

from server.anthropic.schemas import (
    MessagesRequest,
    TextContent,
    ThinkingContent,
    ToolResultContent,
    ToolUseContent,
)

_BYTES_PER_TOKEN = 4


def estimated_tokens(request: MessagesRequest) -> int:
    """Return a quarter of the bytes of the texts in `request`, at least 1."""
    texts = [block.text for block in request.system if isinstance(block, TextContent)]
    for message in request.messages:
        texts += [message.role, *(_text(block) for block in message.content or ())]
    for tool in request.tools:
        texts += [tool.name, tool.description, _json(tool.input_schema)]
    return max(1, sum(len(text.encode()) for text in texts) // _BYTES_PER_TOKEN)


def _text(block: object) -> str:
    match block:
        case TextContent(text=text):
            return text
        case ThinkingContent(thinking=text):
            return text
        case ToolUseContent(input=value):
            return _json(value)
        case ToolResultContent(content=blocks):
            return "".join(_text(inner) for inner in blocks)
    return ""


def _json(value: object) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False)
