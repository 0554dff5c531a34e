"""Convert a response request and earlier items to a conversation of the domain."""

from collections.abc import Iterable, Mapping

from pydantic import TypeAdapter, ValidationError

from runners.protocol.constraints import Constraint
from server.errors import BadRequest
from server.inference.conversation import Conversation
from server.openai.responses.item_reader import ItemReader
from server.openai.responses.items import Item
from server.openai.responses.schemas import ResponsesRequest, TextFormat
from server.openai.responses.tools import DeclaredTools, toolbox
from server.openai.values import Effort
from server.prompt.messages import Message, Think
from server.schemas.constraints import any_json_object, json_schema
from server.text.quoting import quoted

# OpenAI's documented default, which overrides the parameter of the model.
_TEMPERATURE = 1.0
_WITH_LOGPROBS = "message.output_text.logprobs"
_effort: TypeAdapter[bool | str | None] = TypeAdapter(Effort)


def conversation_of(
    request: ResponsesRequest,
    tools: DeclaredTools,
    items: Iterable[Item],
    history: Iterable[Item],
    fetched: Mapping[str, bytes],
) -> Conversation:
    """Return the conversation of `request`.

    `tools` are those of the request and of its items. `items` are its input, `history` the items
    before them, and `fetched` maps the URLs of remote images to their bytes.

    Raises:
        BadRequest: a field is invalid or not supported.
    """
    _refuse_unsupported(request)
    box = toolbox(tools, request.tool_choice)
    return Conversation(
        model=request.model,
        messages=_messages(request, items, history, fetched),
        tools=box.tools,
        tool_choice=box.choice,
        parallel_tool_calls=request.parallel_tool_calls,
        options=_options(request),
        think=_think(request),
        # A client that cannot know the model sends an effort with every request.
        think_if_supported=request.reasoning is not None and request.reasoning.effort is not None,
        constraint=_constraint(request.text.format),
        keep_alive=request.keep_alive,
        is_agent=request.truncation != "auto",
        logprobs=_logprobs(request),
    )


def _refuse_unsupported(request: ResponsesRequest) -> None:
    if request.prompt is not None and not request.input:
        raise BadRequest(
            "prompt templates of OpenAI's service are not known here; send the text in input"
        )
    if request.conversation is not None and request.previous_response_id is not None:
        raise BadRequest("previous_response_id and conversation cannot be used together")


def _messages(
    request: ResponsesRequest,
    items: Iterable[Item],
    history: Iterable[Item],
    fetched: Mapping[str, bytes],
) -> tuple[Message, ...]:
    reader = ItemReader(fetched)
    reader.read(history)
    reader.read(items)
    messages = reader.messages()
    if not messages and reader.left_out:
        raise BadRequest(reader.left_out)
    if not request.instructions or not messages:
        return messages
    return Message("system", request.instructions), *messages


def _options(request: ResponsesRequest) -> dict[str, object]:
    fields = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "num_predict": request.max_output_tokens,
        "num_ctx": request.num_ctx,
    }
    options = {name: value for name, value in fields.items() if value is not None}
    return {"temperature": _TEMPERATURE, **request.options, **options}


def _think(request: ResponsesRequest) -> Think | None:
    if request.reasoning is None or request.reasoning.effort is None:
        return request.think
    try:
        return _effort.validate_python(request.reasoning.effort)
    except ValidationError as e:
        raise BadRequest(e.errors()[0]["msg"]) from None


def _constraint(text_format: TextFormat) -> Constraint | None:
    match text_format.type:
        case "text":
            return None
        case "json_object":
            return any_json_object()
        case "json_schema":
            if text_format.schema_ is None:
                raise BadRequest('text.format of type json_schema needs a field "schema"')
            return json_schema(text_format.schema_)
    raise BadRequest(
        f"text.format.type must be text, json_object or json_schema, not {quoted(text_format.type)}"
    )


def _logprobs(request: ResponsesRequest) -> int | None:
    requested = request.top_logprobs > 0 or _WITH_LOGPROBS in request.include
    return request.top_logprobs if requested else None
