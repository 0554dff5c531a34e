"""Convert requests of the native API to conversations and completions of the domain."""

from server.inference.adapters import adapter_choices
from server.inference.conversation import Completion, Conversation
from server.native.schemas import ChatMessage, ChatRequest, GenerateRequest
from server.native.schemas import Tool as ToolField
from server.prompt.messages import Message, Tool, ToolCall
from server.schemas.constraints import constraint_of


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
        adapters=adapter_choices(request.adapters),
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
        parameters=function.parameters,
        items=tool.items,
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
        adapters=adapter_choices(request.adapters),
        truncate=request.truncate,
        shift=request.shift,
        logprobs=request.top_logprobs if request.logprobs else None,
        debug_render_only=request.debug_render_only,
    )
