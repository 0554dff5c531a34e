"""A request and the items before it, as the conversation that the service answers."""

from collections.abc import Iterable, Mapping

from pydantic import TypeAdapter, ValidationError

from runners.protocol.constraints import Constraint
from server.errors import BadRequest
from server.inference.constraints import any_json_object, json_schema
from server.inference.conversation import Conversation
from server.openai.responses.items import Item, ItemReader
from server.openai.responses.schemas import ResponsesRequest, TextFormat
from server.openai.responses.tools import toolbox
from server.openai.values import Effort
from server.prompt.messages import Message, Think
from server.text.quoting import quoted

# What OpenAI's clients may rely on when they say nothing; it wins over the model's own.
_TEMPERATURE = 1.0
_WITH_LOGPROBS = "message.output_text.logprobs"
_effort: TypeAdapter[bool | str | None] = TypeAdapter(Effort)


def conversation_of(
    request: ResponsesRequest,
    items: Iterable[Item],
    history: Iterable[Item],
    fetched: Mapping[str, bytes],
) -> Conversation:
    """Return what `request` asks.

    `items` are its input, `history` is what went before, and `fetched` holds the remote images of
    both by their addresses.

    Raises:
        BadRequest: it asks for something that makes no sense or that nobody does here.
    """
    _refuse_unsupported(request)
    box = toolbox(request.tools, request.tool_choice)
    return Conversation(
        model=request.model,
        messages=_messages(request, items, history, fetched),
        tools=box.tools,
        tool_choice=box.choice,
        parallel_tool_calls=request.parallel_tool_calls,
        options=_options(request),
        think=_think(request),
        constraint=_constraint(request.text.format),
        keep_alive=request.keep_alive,
        logprobs=_logprobs(request),
    )


def _refuse_unsupported(request: ResponsesRequest) -> None:
    if request.background:
        raise BadRequest("responses cannot be made in the background here; leave out background")
    if request.conversation is not None:
        raise BadRequest("conversations are not kept here; use previous_response_id to go on")


def _messages(
    request: ResponsesRequest,
    items: Iterable[Item],
    history: Iterable[Item],
    fetched: Mapping[str, bytes],
) -> tuple[Message, ...]:
    reader = ItemReader(fetched)
    reader.read(history)
    reader.read(items)
    said = reader.messages()
    if not request.instructions or not said:
        return said
    return Message("system", request.instructions), *said


def _options(request: ResponsesRequest) -> dict[str, object]:
    given = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "num_predict": request.max_output_tokens,
        "num_ctx": request.num_ctx,
    }
    asked = {name: value for name, value in given.items() if value is not None}
    return {"temperature": _TEMPERATURE, **request.options, **asked}


def _think(request: ResponsesRequest) -> Think | None:
    if request.reasoning is None or request.reasoning.effort is None:
        return request.think
    try:
        return _effort.validate_python(request.reasoning.effort)
    except ValidationError as e:
        raise BadRequest(e.errors()[0]["msg"]) from None


def _constraint(wanted: TextFormat) -> Constraint | None:
    match wanted.type:
        case "text":
            return None
        case "json_object":
            return any_json_object()
        case "json_schema":
            if wanted.schema_ is None:
                raise BadRequest("text.format of type json_schema needs a schema")
            return json_schema(wanted.schema_)
    raise BadRequest(
        f"text.format.type must be text, json_object or json_schema, not {quoted(wanted.type)}"
    )


def _logprobs(request: ResponsesRequest) -> int | None:
    wanted = request.top_logprobs > 0 or _WITH_LOGPROBS in request.include
    return request.top_logprobs if wanted else None
