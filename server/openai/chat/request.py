"""Convert a chat completion request to a conversation of the domain."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from server.inference.conversation import Conversation
from server.openai.chat.schemas import ChatCompletionRequest, MessageField
from server.openai.content import Content, Media, RemoteImage
from server.openai.request import generation_params
from server.openai.tools import ToolCallField, ToolField, calls_of, tool_of, toolbox_of
from server.prompt.messages import Message

# OpenAI's documented defaults, which override the parameters of the model.
_DEFAULTS = {"temperature": 1.0, "top_p": 1.0}


def remote_images(request: ChatCompletionRequest) -> tuple[str, ...]:
    """Return the URLs of the images that have to be fetched first."""
    media = [item for m in request.messages if m.content for item in m.content.media]
    return tuple(dict.fromkeys(item.url for item in media if isinstance(item, RemoteImage)))


def conversation_of(request: ChatCompletionRequest, fetched: Mapping[str, bytes]) -> Conversation:
    """Return the conversation of `request`; `fetched` maps URLs of remote images to their bytes.

    Raises:
        BadRequest: the response format, a tool or the tool choice is invalid.
    """
    toolbox = toolbox_of([tool_of(field) for field in _tools(request)], _choice(request))
    conversation = Conversation(
        **generation_params(request, _DEFAULTS),
        messages=tuple(_messages(request, fetched)),
        tools=toolbox.tools,
        tool_choice=toolbox.choice,
        # `function_call` holds a single call.
        parallel_tool_calls=request.parallel_tool_calls and not uses_legacy_functions(request),
        logprobs=request.top_logprobs if request.logprobs else None,
        prediction=_prediction(request),
        debug_render_only=request.debug_render_only,
    )
    if request.max_completion_tokens is None:
        return conversation
    limit = {"num_predict": request.max_completion_tokens}
    return replace(conversation, options={**conversation.options, **limit})


def uses_legacy_functions(request: ChatCompletionRequest) -> bool:
    """Return whether the request, and so its reply, has functions instead of tools."""
    return bool(request.functions) and not request.tools


def freeform_names(request: ChatCompletionRequest) -> frozenset[str]:
    """Return the names of the tools whose input is text."""
    return frozenset(tool.freeform.name for tool in request.tools if tool.freeform is not None)


def _prediction(request: ChatCompletionRequest) -> str:
    content = request.prediction.content if request.prediction is not None else None
    return content.text if content is not None else ""


def _tools(request: ChatCompletionRequest) -> list[ToolField]:
    if request.tools:
        return request.tools
    return [ToolField(type="function", function=function) for function in request.functions]


def _choice(request: ChatCompletionRequest) -> object:
    return request.function_call if uses_legacy_functions(request) else request.tool_choice


def _messages(request: ChatCompletionRequest, fetched: Mapping[str, bytes]) -> Iterator[Message]:
    names = {
        call.id: call.name for message in request.messages for call in message.tool_calls or ()
    }
    for message in request.messages:
        role = message.role.lower()
        content = message.content or Content(message.refusal)
        is_result = role in ("tool", "function")
        yield Message(
            role="tool" if is_result else role,
            content=content.text,
            thinking=message.reasoning or message.reasoning_content,
            images=tuple(_bytes(item, fetched) for item in content.media),
            tool_calls=calls_of(_calls(message)),
            tool_name=(message.name or names.get(message.tool_call_id, "")) if is_result else "",
            tool_call_id=message.tool_call_id,
        )


def _calls(message: MessageField) -> list[ToolCallField]:
    if message.tool_calls or message.function_call is None:
        return message.tool_calls or []
    return [ToolCallField(function=message.function_call)]


def _bytes(item: Media, fetched: Mapping[str, bytes]) -> bytes:
    return fetched[item.url] if isinstance(item, RemoteImage) else item
