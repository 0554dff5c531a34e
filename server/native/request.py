"""Convert requests of the native API to conversations and completions of the domain."""

import json

from runners.protocol.constraints import Constraint
from server.errors import BadRequest
from server.inference.constraints import GRAMMARS, any_json_object, json_schema
from server.inference.conversation import Completion, Conversation
from server.native.schemas import ChatMessage, ChatRequest, GenerateRequest
from server.native.schemas import Tool as ToolField
from server.prompt.messages import Message, Tool, ToolCall

_MAX_SHOWN = 1000
"""Characters of a wrong format in the error."""


def conversation_of(request: ChatRequest) -> Conversation:
    """Return the conversation that `request` continues; raises BadRequest for a bad `format`."""
    is_answered = request.messages and not request.debug_render_only
    return Conversation(
        model=request.model,
        messages=tuple(map(_message, request.messages)),
        tools=tuple(map(_tool, request.tools)),
        options=request.options,
        think=request.think,
        constraint=constraint_of(request.format) if is_answered else None,
        keep_alive=request.keep_alive,
        truncate=request.truncate,
        shift=request.shift,
        logprobs=request.top_logprobs if request.logprobs else None,
        debug_render_only=request.debug_render_only,
    )


def _message(message: ChatMessage) -> Message:
    return Message(
        role=message.role.lower(),
        content=message.content,
        thinking=message.thinking,
        images=tuple(message.images),
        tool_calls=tuple(
            ToolCall(c.id, c.function.index, c.function.name, c.function.arguments)
            for c in message.tool_calls
        ),
        tool_name=message.tool_name,
        tool_call_id=message.tool_call_id,
    )


def _tool(tool: ToolField) -> Tool:
    function = tool.function
    return Tool(
        type=tool.type,
        name=function.name,
        description=function.description,
        parameters=function.parameters.model_dump(by_alias=True, exclude_defaults=True),
    )


def completion_of(request: GenerateRequest) -> Completion:
    """Return the completion that `request` asks for; raises BadRequest for a bad `format`."""
    is_answered = request.prompt and not request.debug_render_only
    return Completion(
        model=request.model,
        prompt=request.prompt,
        suffix=request.suffix,
        system=request.system,
        template=request.template,
        context=None if request.context is None else tuple(request.context),
        raw=request.raw,
        images=tuple(request.images),
        options=request.options,
        think=request.think,
        constraint=constraint_of(request.format) if is_answered else None,
        keep_alive=request.keep_alive,
        truncate=request.truncate,
        shift=request.shift,
        logprobs=request.top_logprobs if request.logprobs else None,
        debug_render_only=request.debug_render_only,
    )


def constraint_of(format: object) -> Constraint | None:
    """Return the constraint of a `format` field; None when it is absent or empty.

    Beyond "json" and JSON Schemas it may be an object with a single key `regex`, `lark` or `gbnf`.

    Raises:
        BadRequest: it is none of these.
    """
    if format is None or format == "":
        return None
    if format in ("json", {}):
        return any_json_object()
    if isinstance(format, dict):
        kind, value = next(iter(format.items()))
        if len(format) == 1 and kind in GRAMMARS and isinstance(value, str):
            return GRAMMARS[kind](value)
        return json_schema(format)
    if isinstance(format, str):
        format = format[:_MAX_SHOWN]
    raw = json.dumps(json.dumps(format, ensure_ascii=False), ensure_ascii=False)
    raise BadRequest(
        f'invalid format: {raw[:_MAX_SHOWN]}; expected "json" or a valid JSON Schema object'
    )
