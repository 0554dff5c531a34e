"""The last conversation, kept in a file so that `paddock chat --continue` can go on with it."""

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from server.client.environment import state_folder
from server.client.exit import fail
from server.client.session import Message, Session

_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Conversation:
    """What is kept of a conversation: no images and no audio."""

    model: str
    system: str
    messages: list[Message]


def load() -> Conversation | None:
    """Return the last conversation; None where there is none that can be read.

    Ends the command where a newer version wrote it.
    """
    try:
        kept = json.loads((state_folder() / "conversation.json").read_text(encoding="utf-8"))
        if kept.get("version", _VERSION) > _VERSION:
            fail("the last conversation was kept by a newer version of paddock")
        return Conversation(kept["model"], kept["system"], kept["messages"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def save(session: Session) -> None:
    """Keep a conversation in the place of the last one; only the user can read it."""
    if not session.messages:
        return
    messages = [{k: v for k, v in m.items() if k != "images"} for m in session.messages]
    kept = {
        "version": _VERSION,
        "model": session.model,
        "system": session.system,
        "messages": messages,
    }
    file = state_folder() / "conversation.json"
    part = file.with_suffix(f".{os.getpid()}")
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        part.touch(mode=0o600)
        part.write_text(json.dumps(kept, ensure_ascii=False), encoding="utf-8")
        part.replace(file)
