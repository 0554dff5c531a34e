"""Where in a conversation something stands."""

from collections.abc import Iterator, Sequence

from server.prompt.messages import Message


def neighbours(messages: Sequence[Message]) -> Iterator[tuple[str, Message, str]]:
    """Yield each message between the roles of the one before and the one after, "" for none."""
    roles = ["", *(message.role for message in messages), ""]
    yield from zip(roles, messages, roles[2:], strict=False)


def last_of(role: str, messages: Sequence[Message]) -> int:
    """Return the position of the last message of a role, -1 when there is none."""
    return max((i for i, message in enumerate(messages) if message.role == role), default=-1)


def is_query(message: Message) -> bool:
    """Tell whether the user asks something, rather than hands in the result of a tool."""
    content = message.content.strip()
    result = content.startswith("<tool_response>") and content.endswith("</tool_response>")
    return message.role == "user" and not result


def last_query(messages: Sequence[Message]) -> int:
    """Return the position of the user's last question, the last position when there is none."""
    asked = (i for i, message in enumerate(messages) if is_query(message))
    return max(asked, default=len(messages) - 1)


def is_begun(messages: Sequence[Message]) -> bool:
    """Tell whether the conversation ends with an answer for the model to go on with."""
    return bool(messages) and messages[-1].role == "assistant"
