"""Convert a messages request to a conversation of the domain."""

from collections.abc import Iterable, Iterator, Mapping

from runners.protocol.constraints import JSONSchema
from server.anthropic.schemas import (
    Block,
    CountTokensRequest,
    ImageContent,
    MessagesRequest,
    ToolDefinition,
    ToolResultContent,
    ToolSelection,
)
from server.anthropic.turns import TurnReader, text_of
from server.errors import BadRequest
from server.inference.conversation import Conversation, NamedTool, ToolChoice
from server.prompt.messages import Message, Think, Tool
from server.schemas.constraints import json_schema
from server.text.quoting import quoted

_EFFORTS = {"low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "max"}
_CHOICES = {
    "": ToolChoice.AUTO,
    "auto": ToolChoice.AUTO,
    "any": ToolChoice.REQUIRED,
    "required": ToolChoice.REQUIRED,
    "none": ToolChoice.NONE,
}
# Tools that only the hosted service can run.
_HOSTED = ("web_search", "web_fetch", "code_execution", "tool_search", "mcp_toolset")


def remote_images(request: CountTokensRequest) -> tuple[str, ...]:
    """Return the URLs of the images that have to be fetched first."""
    blocks = [block for message in request.messages for block in message.content or ()]
    inner = [b for block in blocks if isinstance(block, ToolResultContent) for b in block.content]
    sources = [b.source for b in (*blocks, *inner) if isinstance(b, ImageContent)]
    return tuple(dict.fromkeys(s.url for s in sources if s is not None and s.type == "url"))


def conversation_of(request: CountTokensRequest, fetched: Mapping[str, bytes]) -> Conversation:
    """Return the conversation of `request`; `fetched` maps URLs of remote images to their bytes.

    Raises:
        BadRequest: a required field is missing, or one is invalid.
    """
    _check(request)
    turns = tuple(TurnReader(fetched).read(request.messages))
    if not turns:
        raise BadRequest(
            "messages must have at least one text, image, tool_use or tool_result block"
        )
    return Conversation(
        model=request.model,
        messages=(*_system(request.system), *turns),
        tools=tuple(_tools(request.tools)),
        tool_choice=_choice(request.tool_choice),
        parallel_tool_calls=not request.tool_choice.disable_parallel_tool_use,
        options=_options(request),
        think=_think(request),
        think_if_supported=True,
        constraint=_constraint(request),
        keep_alive=request.keep_alive,
        truncate=request.truncate is not False,
        is_agent=request.truncate is None,
    )


def _check(request: CountTokensRequest) -> None:
    if not request.model.strip():
        raise BadRequest("model is required")
    if isinstance(request, MessagesRequest) and request.max_tokens <= 0:
        raise BadRequest("max_tokens is required and must be positive")
    if not request.messages:
        raise BadRequest("messages is required")


def _system(blocks: Iterable[Block]) -> Iterator[Message]:
    if text := text_of(blocks):
        yield Message("system", text)


def _tools(tools: Iterable[ToolDefinition]) -> Iterator[Tool]:
    for tool in tools:
        if tool.type.startswith(_HOSTED):
            continue
        if not tool.name:
            raise BadRequest("each tool must have a name")
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
    output_format = request.output_config.format or request.output_format
    if output_format is None:
        return None
    if output_format.type != "json_schema" or output_format.schema_ is None:
        raise BadRequest("the output format must have the type json_schema and a schema")
    return json_schema(output_format.schema_)


def _options(request: CountTokensRequest) -> dict[str, object]:
    fields: dict[str, object] = {"num_ctx": request.num_ctx}
    if isinstance(request, MessagesRequest):
        fields |= {
            "num_predict": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "top_k": request.top_k,
            "stop": request.stop_sequences or None,
        }
    options = {name: value for name, value in fields.items() if value is not None}
    return {**request.options, **options}
