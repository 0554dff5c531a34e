"""Objects of a text completion, whole and streamed, as they are sent."""

import msgspec
from msgspec import UNSET, UnsetType

from server.openai.logprobs import LegacyLogprobs
from server.openai.wire import FINGERPRINT, Usage
from server.schemas.wire import TruncationNotice


class Choice(msgspec.Struct):
    """One answer, or the next piece of it."""

    text: str
    index: int
    finish_reason: str | None = None
    logprobs: LegacyLogprobs | UnsetType = UNSET


class TextCompletion(TruncationNotice, kw_only=True):
    """All answers, or an event of their stream, where `usage` counts only in the last one."""

    id: str
    object: str = "text_completion"
    created: int
    model: str
    system_fingerprint: str = FINGERPRINT
    choices: list[Choice]
    usage: Usage | UnsetType = UNSET
