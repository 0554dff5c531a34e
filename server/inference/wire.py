"""Runner events in the words of the API."""

from runners.protocol.messages import TokenAlternative, TokenLogprob
from server.schemas.logprobs import Alternative, Logprob


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
