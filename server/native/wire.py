"""Pieces that the answers of generate and chat share."""

from typing import TypedDict

from runners.protocol.messages import TokenAlternative, TokenLogprob
from server.inference.conversation import CompletedCall, Finish
from server.schemas.logprobs import Alternative, Logprob
from server.schemas.tools import CalledFunction, ReplyCall


class Metrics(TypedDict):
    """The closing fields that generate and chat share."""

    total_duration: int
    load_duration: int
    prompt_eval_count: int
    prompt_eval_duration: int
    eval_count: int
    eval_duration: int
    prompt_truncated: bool
    prompt_tokens_dropped: int


def metrics(end: Finish) -> Metrics:
    """Return the counters and durations of an answer."""
    return Metrics(
        total_duration=end.total_ns,
        load_duration=end.load_ns,
        prompt_eval_count=end.n_prompt,
        prompt_eval_duration=end.prompt_ns,
        eval_count=end.n_generated,
        eval_duration=end.generation_ns,
        prompt_truncated=end.n_dropped > 0,
        prompt_tokens_dropped=end.n_dropped,
    )


def logprobs_of(entries: tuple[TokenLogprob, ...]) -> tuple[Logprob, ...]:
    """Turn the runner's log probabilities into those of the API."""
    return tuple(
        Logprob(
            token=_text(entry.chosen),
            logprob=entry.chosen.logprob,
            bytes=tuple(entry.chosen.text),
            top_logprobs=tuple(_alternative(a) for a in entry.top),
        )
        for entry in entries
    )


def _alternative(entry: TokenAlternative) -> Alternative:
    return Alternative(token=_text(entry), logprob=entry.logprob, bytes=tuple(entry.text))


def _text(entry: TokenAlternative) -> str:
    return entry.text.decode("utf-8", "replace")


def calls_of(calls: tuple[CompletedCall, ...]) -> tuple[ReplyCall, ...]:
    """Turn calls into those of the API."""
    return tuple(
        ReplyCall(call.id, CalledFunction(call.index, call.name, call.arguments)) for call in calls
    )
