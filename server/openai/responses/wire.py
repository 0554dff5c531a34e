"""Responses and their items, as they are sent."""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from server.openai.logprobs import Entry
from server.schemas.wire import TruncationNotice

Status = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
ItemStatus = Literal["in_progress", "completed", "incomplete"]
Echo = object
"""A value of the request, returned unchanged."""


class OutputText(msgspec.Struct, tag="output_text", kw_only=True):
    """The text of a message."""

    text: str = ""
    annotations: tuple[()] = ()
    logprobs: tuple[Entry, ...] = ()


class MessageItem(msgspec.Struct, tag="message", kw_only=True):
    """A message of the assistant."""

    id: str
    status: ItemStatus
    role: str = "assistant"
    content: tuple[OutputText, ...] = ()


class SummaryText(msgspec.Struct, tag="summary_text"):
    """A part of the reasoning."""

    text: str = ""


class ReasoningItem(msgspec.Struct, tag="reasoning", kw_only=True):
    """Reasoning; `encrypted_content`, which clients send back, is the plain text."""

    id: str
    summary: tuple[SummaryText, ...] = ()
    encrypted_content: str | UnsetType = UNSET


class FunctionCallItem(msgspec.Struct, tag="function_call", kw_only=True):
    """A tool call; `arguments` is JSON text, `namespace` the one that declared the tool."""

    id: str
    status: ItemStatus
    call_id: str
    name: str
    arguments: str
    namespace: str | UnsetType = UNSET


class CustomToolCallItem(msgspec.Struct, tag="custom_tool_call", kw_only=True):
    """A call of a freeform tool; `input` is text."""

    id: str
    status: ItemStatus
    call_id: str
    name: str
    input: str
    namespace: str | UnsetType = UNSET


OutputItem = MessageItem | ReasoningItem | FunctionCallItem | CustomToolCallItem


class InputTokensDetails(msgspec.Struct):
    """The tokens of the prompt that were taken from the KV cache."""

    cached_tokens: int
    cache_write_tokens: int = 0


class OutputTokensDetails(msgspec.Struct):
    """Reasoning is not counted separately."""

    reasoning_tokens: int = 0


class Usage(msgspec.Struct):
    """Tokens of the prompt and of the answer."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens_details: OutputTokensDetails


class IncompleteDetails(msgspec.Struct):
    """Why an answer is incomplete."""

    reason: str


class ResponseError(msgspec.Struct):
    """Why an answer failed."""

    code: str
    message: str


class ConversationReference(msgspec.Struct):
    """The conversation that a response belongs to."""

    id: str


class Response(TruncationNotice, kw_only=True):
    """A response, with fields of the request; times in seconds since 1970."""

    id: str
    object: str = "response"
    created_at: int
    completed_at: int | None = None
    status: Status = "in_progress"
    incomplete_details: IncompleteDetails | None = None
    model: str
    previous_response_id: str | None
    instructions: str | None
    output: tuple[OutputItem, ...] = ()
    error: ResponseError | None = None
    tools: list[dict[str, Echo]]
    tool_choice: Echo
    truncation: str
    parallel_tool_calls: bool
    text: Echo
    top_p: float
    presence_penalty: int = 0
    frequency_penalty: int = 0
    top_logprobs: int
    temperature: float
    reasoning: Echo
    usage: Usage | None = None
    max_output_tokens: int | None
    max_tool_calls: int | None
    store: bool = False
    background: bool = False
    service_tier: str = "default"
    metadata: dict[str, Echo]
    safety_identifier: str | None
    prompt_cache_key: str | None
    conversation: ConversationReference | UnsetType = UNSET


class InputTokens(msgspec.Struct):
    """The number of tokens that the prompt of a request has."""

    input_tokens: int
    object: str = "response.input_tokens"


class Conversation(msgspec.Struct, kw_only=True):
    """A conversation; `created_at` in seconds since 1970."""

    id: str
    object: str = "conversation"
    created_at: int
    metadata: dict[str, Echo]


class ConversationDeleted(msgspec.Struct):
    """The reply of DELETE for a conversation."""

    id: str
    object: str = "conversation.deleted"
    deleted: bool = True


class Deleted(msgspec.Struct, kw_only=True):
    """The reply of DELETE."""

    id: str
    object: str = "response"
    deleted: bool = True


class ItemList(msgspec.Struct, kw_only=True):
    """The items of a request, or a page of them."""

    object: str = "list"
    data: list[dict[str, Echo]]
    first_id: str | None
    last_id: str | None
    has_more: bool
