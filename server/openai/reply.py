"""Build the parts that several replies share: ids, headings, usage."""

import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from server.http.streaming import BARE_JSON_TYPE
from server.inference.conversation import Finish
from server.openai.wire import CompletionTokensDetails, PromptTokensDetails, Usage

OBJECT_TYPE = BARE_JSON_TYPE


def new_id(prefix: str) -> str:
    """Return a new random id."""
    return f"{prefix}-{secrets.token_hex(12)}"


@dataclass(frozen=True, slots=True)
class Heading:
    """Fields that all objects of one reply share; `model` is the name as the client sent it."""

    id: str
    model: str
    created: int = field(default_factory=lambda: int(time.time()))


def usage_of(finishes: Iterable[Finish], n: int, *, predicted: bool = False) -> Usage:
    """Sum the counters of all answers; `n` answers share one prompt, and perhaps a prediction."""
    ends = list(finishes)
    prompts = [end for end in ends if end.choice % n == 0]
    n_prompt = sum(end.n_prompt for end in prompts)
    n_generated = sum(end.n_generated for end in ends)
    cached = sum(end.n_cached for end in prompts)
    usage = Usage(n_prompt, n_generated, n_prompt + n_generated, PromptTokensDetails(cached))
    if predicted:
        accepted, drafted = sum(e.n_accepted for e in ends), sum(e.n_drafted for e in ends)
        usage.completion_tokens_details = CompletionTokensDetails(accepted, drafted - accepted)
    return usage
