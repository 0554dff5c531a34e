"""Positions of messages in a conversation: neighbours, last query, prefilled answer."""

from collections.abc import Iterator, Sequence

from server.prompt.messages import Message


def with_neighbour_roles(messages: Sequence[Message]) -> Iterator[tuple[str, Message, str]]:
    """Yield each message with the roles before and after it, "" for none."""
    roles = ["", *(message.role for message in messages), ""]
    yield from zip(roles, messages, roles[2:], strict=False)


def last_index(role: str, messages: Sequence[Message]) -> int:
    """Return the position of the last message of a role, -1 when there is none."""
    return max((i for i, message in enumerate(messages) if message.role == role), default=-1)


def is_query(message: Message) -> bool:
    """Tell whether a message is a query of the user and not a tool result in a user message."""
    content = message.content.strip()
    result = content.startswith("<tool_response>") and content.endswith("</tool_response>")
    return message.role == "user" and not result


def last_query(messages: Sequence[Message]) -> int:
    """Return the position of the last query, the last position when there is none."""
    queries = (i for i, message in enumerate(messages) if is_query(message))
    return max(queries, default=len(messages) - 1)


def ends_with_assistant(messages: Sequence[Message]) -> bool:
    """Tell whether the conversation ends with an answer to continue."""
    return bool(messages) and messages[-1].role == "assistant"
