"""What clients of this API ask, as the conversation that the service answers."""

import base64
import binascii
import json
from collections.abc import Iterable, Iterator, Sequence

from runners.protocol.constraints import JSONSchema
from server.anthropic.schemas import (
    Block,
    CountTokensRequest,
    ImageContent,
    InputMessage,
    MessagesRequest,
    TextContent,
    ThinkingContent,
    ToolDefinition,
    ToolResultContent,
    ToolSelection,
    ToolUseContent,
)
from server.errors import BadRequest
from server.inference.conversation import Conversation, NamedTool, ToolChoice
from server.prompt.messages import Message, Think, Tool, ToolCall
from server.quoting import quoted

_EFFORTS = {"low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "max"}
_CHOICES = {"auto": ToolChoice.AUTO, "any": ToolChoice.REQUIRED, "none": ToolChoice.NONE}
# The hosted service itself runs these; nobody else would.
_HOSTED_SEARCH = "web_search"


def conversation_of(request: CountTokensRequest) -> Conversation:
    """Return what `request` asks of its model.

    Raises:
        BadRequest: it lacks something, or holds what cannot be read.
    """
    _check(request)
    turns = tuple(_turns(request.messages))
    if not turns:
        raise BadRequest("messages must hold a text, an image, a call or a result")
    return Conversation(
        model=request.model,
        messages=(*_system(request.system), *turns),
        tools=tuple(_tools(request.tools)),
        tool_choice=_choice(request.tool_choice),
        parallel_tool_calls=not request.tool_choice.disable_parallel_tool_use,
        options=_options(request),
        think=_think(request),
        think_if_able=True,
        constraint=_constraint(request),
        keep_alive=request.keep_alive,
    )


def _check(request: CountTokensRequest) -> None:
    if not request.model.strip():
        raise BadRequest("model is required")
    if isinstance(request, MessagesRequest) and request.max_tokens <= 0:
        raise BadRequest("max_tokens is required and must be positive")
    if not request.messages:
        raise BadRequest("messages is required")


def _system(blocks: Iterable[Block]) -> Iterator[Message]:
    if text := _text(blocks):
        yield Message("system", text)


def _turns(messages: Iterable[InputMessage]) -> Iterator[Message]:
    names: dict[str, str] = {}
    for position, message in enumerate(messages):
        if message.content is None:
            raise BadRequest(f"messages[{position}] has no content")
        results = [_result(b, names) for b in message.content if isinstance(b, ToolResultContent)]
        turn = _turn(message.role.lower(), message.content)
        names |= {call.id: call.name for call in turn.tool_calls}
        spoken = [turn] if _says_something(turn) else []
        # What a user adds to the results of calls must not stand between a call and its result.
        yield from (*results, *spoken) if turn.role == "user" else (*spoken, *results)


def _turn(role: str, blocks: Sequence[Block]) -> Message:
    calls = [block for block in blocks if isinstance(block, ToolUseContent)]
    thoughts = [block.thinking for block in blocks if isinstance(block, ThinkingContent)]
    return Message(
        role=role,
        content=_text(blocks),
        thinking=thoughts[-1] if thoughts else "",
        images=_images(blocks, "invalid image source"),
        tool_calls=tuple(_call(index, call) for index, call in enumerate(calls)),
    )


def _says_something(turn: Message) -> bool:
    return bool(turn.content or turn.thinking or turn.images or turn.tool_calls)


def _call(index: int, block: ToolUseContent) -> ToolCall:
    for field, value in (("id", block.id), ("name", block.name)):
        if not value:
            raise BadRequest(f"tool_use block missing required '{field}' field")
    return ToolCall(block.id, index, block.name, block.input)


def _result(block: ToolResultContent, names: dict[str, str]) -> Message:
    return Message(
        role="tool",
        content=_text(block.content),
        images=_images(block.content, "invalid tool_result image source"),
        tool_name=names.get(block.tool_use_id, ""),
        tool_call_id=block.tool_use_id,
    )


def _text(blocks: Iterable[Block]) -> str:
    return "".join(block.text for block in blocks if isinstance(block, TextContent))


def _images(blocks: Iterable[Block], refusal: str) -> tuple[bytes, ...]:
    return tuple(_image(b, refusal) for b in blocks if isinstance(b, ImageContent))


def _image(block: ImageContent, refusal: str) -> bytes:
    source = block.source
    if source is None:
        raise BadRequest(refusal)
    if source.type != "base64":
        raise BadRequest(
            f"invalid image source type: {source.type}. Only base64 images are supported."
        )
    try:
        return base64.b64decode(source.data, validate=True)
    except (binascii.Error, ValueError):
        raise BadRequest(
            "invalid base64 image data: it holds something that is not base64"
        ) from None


def _tools(tools: Iterable[ToolDefinition]) -> Iterator[Tool]:
    for tool in tools:
        if tool.type.startswith(_HOSTED_SEARCH):
            continue
        schema = {} if tool.input_schema is None else tool.input_schema
        if not isinstance(schema, dict):
            raise BadRequest(
                f"invalid input_schema for tool {quoted(tool.name)}: it must be an object"
            )
        yield Tool("function", tool.name, tool.description, schema)


def _choice(selection: ToolSelection) -> ToolChoice | NamedTool:
    if selection.type == "tool":
        if not selection.name:
            raise BadRequest("tool_choice of type tool needs the name of a tool")
        return NamedTool(selection.name)
    if selection.type not in _CHOICES:
        raise BadRequest(
            f"invalid tool_choice type: {quoted(selection.type)} (must be auto, any, tool or none)"
        )
    return _CHOICES[selection.type]


def _think(request: CountTokensRequest) -> Think | None:
    if request.thinking.type in ("enabled", "disabled"):
        return request.thinking.type == "enabled"
    return _EFFORTS.get(request.output_config.effort.strip().lower(), request.think)


def _constraint(request: CountTokensRequest) -> JSONSchema | None:
    wanted = request.output_config.format or request.output_format
    if wanted is None:
        return None
    if wanted.type != "json_schema" or wanted.schema_ is None:
        raise BadRequest("the format of the output must have the type json_schema and a schema")
    return JSONSchema(json.dumps(wanted.schema_, ensure_ascii=False))


def _options(request: CountTokensRequest) -> dict[str, object]:
    given: dict[str, object] = {"num_ctx": request.num_ctx}
    if isinstance(request, MessagesRequest):
        given |= {
            "num_predict": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "top_k": request.top_k,
            "stop": request.stop_sequences or None,
        }
    asked = {name: value for name, value in given.items() if value is not None}
    return {**request.options, **asked}
