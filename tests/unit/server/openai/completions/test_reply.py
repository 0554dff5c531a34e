"""Text completions: several prompts and answers, echoes, log probabilities in the older form."""

from collections.abc import AsyncGenerator
from typing import Any

import msgspec
import pytest

from runners.protocol.logprobs import TokenAlternative, TokenLogprob
from server.inference.conversation import Delta, Ending, Event, Finish, LoadOutcome
from server.openai.completions.reply import CompletionReplies, answers_to
from server.openai.framing import FRAMING
from server.openai.reply import Heading
from tests.support.sse import sent

pytestmark = pytest.mark.anyio

HEADING = Heading("cmpl-1", "Model", created=1700000000)
COMMON = {
    "id": "cmpl-1",
    "object": "text_completion",
    "created": 1700000000,
    "model": "Model",
    "system_fingerprint": "fp_ollama",
}
NO_USAGE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
END = Finish(n_prompt=10, n_cached=4, n_generated=3)


def token(text: bytes, logprob: float, *others: bytes) -> TokenLogprob:
    top = tuple(TokenAlternative(other, -9.0) for other in others)
    return TokenLogprob(TokenAlternative(text, logprob), top)


def chunk(text: str, finish_reason: str | None = None, index: int = 0) -> Any:
    choice = {"text": text, "index": index, "finish_reason": finish_reason}
    return {**COMMON, "choices": [choice]}


async def script(*events: Event) -> AsyncGenerator[Event, None]:
    for event in events:
        yield event


async def streamed(*events: Event, **wanted: Any) -> list[Any]:
    replies = CompletionReplies(heading=HEADING, **wanted)
    return sent(FRAMING, [reply async for reply in replies.streamed(script(*events))])


def whole(*events: Event, **wanted: Any) -> Any:
    reply = CompletionReplies(heading=HEADING, **wanted).whole(list(events))
    return msgspec.json.decode(msgspec.json.encode(reply))


async def test_the_last_chunk_of_an_answer_says_why_it_ended() -> None:
    events = (Delta(thinking="Hm"), Delta("a"), Delta("b"), Finish(ending=Ending.LENGTH))

    assert await streamed(*events) == [chunk("a"), chunk("b"), chunk("", "length")]
    assert whole(*events)["choices"] == [{"text": "ab", "index": 0, "finish_reason": "length"}]


async def test_usage_counts_in_the_last_chunk_only() -> None:
    first, end, last = await streamed(Delta("a"), END, include_usage=True)

    assert first["usage"] == end["usage"] == NO_USAGE
    assert last["choices"] == []
    assert last["usage"] == {
        "prompt_tokens": 10,
        "completion_tokens": 3,
        "total_tokens": 13,
        "prompt_tokens_details": {"cached_tokens": 4},
    }


async def test_a_prompt_that_is_wanted_back_goes_before_each_of_its_answers() -> None:
    events = (Delta("a"), Delta("b", choice=1), END, Finish(choice=1), Finish(choice=2))
    wanted = {"n": 2, "echoes": ("One ", "Two ")}

    chunks = [told["choices"][0] for told in await streamed(*events, **wanted)]

    texts = ["".join(c["text"] for c in chunks if c["index"] == i) for i in range(3)]
    assert texts == ["One a", "One b", "Two "]
    assert [c["text"] for c in whole(*events, **wanted)["choices"]] == texts


async def test_log_probabilities_come_as_lists_with_the_places_of_the_tokens() -> None:
    """A character of two tokens counts from the second on."""
    events = (
        Delta("a", logprobs=(token(b"a", -1.0, b"a", b"b"),)),
        Delta("é", logprobs=(token(b"\xc3", -2.0), token(b"\xa9", -3.0))),
        Delta("c", logprobs=(token(b"c", -4.0),)),
        END,
    )

    [choice] = whole(*events, with_logprobs=True)["choices"]

    assert choice["text"] == "aéc"
    assert choice["logprobs"] == {
        "tokens": ["a", "\ufffd", "\ufffd", "c"],
        "token_logprobs": [-1.0, -2.0, -3.0, -4.0],
        "top_logprobs": [{"a": -9.0, "b": -9.0}, {}, {}, {}],
        "text_offset": [0, 1, 1, 2],
    }
    chunks = await streamed(*events, with_logprobs=True)
    told = [c["choices"][0].get("logprobs", {}).get("text_offset") for c in chunks]
    assert told == [[0], [1, 1], [2], None]


def test_an_empty_prompt_says_what_it_did() -> None:
    reply = whole(LoadOutcome.LOADED)

    assert reply["choices"] == [{"text": "", "index": 0, "finish_reason": "load"}]


async def test_answers_to_several_prompts_are_numbered_throughout() -> None:
    """Two to each; the tokens of each prompt count once."""
    streams = [
        script(Delta("a"), Delta("b", choice=1), END, Finish(choice=1, n_prompt=10))
        for _ in range(3)
    ]

    events = [event async for event in answers_to(streams, 2)]

    reply = whole(*events, n=2)
    assert [(c["index"], c["text"]) for c in reply["choices"]] == list(enumerate("ababab"))
    assert reply["usage"]["prompt_tokens"] == 30
    assert reply["usage"]["completion_tokens"] == 9
