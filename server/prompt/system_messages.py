"""Merge system and developer messages that a template refuses into those that it shows."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Final

from server.prompt.messages import Message

SYSTEM: Final = "system"
DEVELOPER: Final = "developer"


def join_texts(*texts: str) -> str:
    """Return texts that are not empty, with a blank line between them."""
    return "\n\n".join(text for text in texts if text)


def split_leading(messages: Sequence[Message]) -> tuple[list[Message], list[Message]]:
    """Return the system messages at the beginning, and the messages after them."""
    n_leading = next((i for i, m in enumerate(messages) if m.role != SYSTEM), len(messages))
    return list(messages[:n_leading]), list(messages[n_leading:])


def join_system(messages: Sequence[Message]) -> list[Message]:
    """Return consecutive system messages as one, for templates that show only one."""
    joined: list[Message] = []
    for is_system, group in groupby(messages, lambda message: message.role == SYSTEM):
        members = list(group)
        if is_system:
            texts = (message.content for message in members)
            members = [replace(members[0], content=join_texts(*texts))]
        joined += members
    return joined


def merge_into_user(messages: Sequence[Message]) -> list[Message]:
    """Return the messages without system messages, whose text begins the next user message.

    Text that no user message follows becomes a user message at the end.
    """
    merged: list[Message] = []
    texts: list[str] = []
    for message in messages:
        if message.role == SYSTEM:
            texts.append(message.content)
        elif message.role == "user" and texts:
            merged.append(replace(message, content=join_texts(*texts, message.content)))
            texts = []
        else:
            merged.append(message)
    if text := join_texts(*texts):
        merged.append(Message("user", text))
    return merged


def with_developers_as_system(messages: Sequence[Message]) -> list[Message]:
    """Return developer messages as system messages, joined to a system message before them."""
    known: list[Message] = []
    for message in messages:
        if message.role != DEVELOPER:
            known.append(message)
        elif known and known[-1].role == SYSTEM:
            text = join_texts(known[-1].content, message.content)
            known[-1] = replace(known[-1], content=text)
        else:
            known.append(replace(message, role=SYSTEM))
    return known
