"""Chat completions as clients read them: the order of chunks, reasons that are true, counters."""

from collections.abc import AsyncGenerator
from typing import Any

import msgspec
import pytest

from runners.protocol.logprobs import TokenAlternative, TokenLogprob
from server.http.streaming import Single
from server.inference.conversation import CompletedCall, Delta, Ending, Event, Finish, Rendered
from server.openai.chat.reply import ChatReplies
from server.openai.framing import FRAMING
from server.openai.reply import Heading
from tests.support.sse import sent

pytestmark = pytest.mark.anyio

HEADING = Heading("chatcmpl-1", "Model", created=1700000000)
COMMON = {
    "id": "chatcmpl-1",
    "created": 1700000000,
    "model": "Model",
    "system_fingerprint": "fp_ollama",
}
CALL = CompletedCall("call_1", 0, "f", {"b": "x", "a": 1})
TOLD_CALL = {
    "id": "call_1",
    "index": 0,
    "type": "function",
    "function": {"name": "f", "arguments": '{"b":"x","a":1}'},
}
LOGPROB = TokenLogprob(TokenAlternative(b"\xc3", -0.5), (TokenAlternative(b"a", -1.5),))
TOLD_LOGPROBS = {
    "content": [
        {
            "token": "\ufffd",
            "logprob": -0.5,
            "bytes": [0xC3],
            "top_logprobs": [{"token": "a", "logprob": -1.5, "bytes": [97]}],
        }
    ]
}
END = Finish(n_prompt=10, n_cached=4, n_generated=3)


def chunk(delta: dict[str, Any], finish_reason: str | None = None, index: int = 0) -> Any:
    choice = {"index": index, "delta": delta, "finish_reason": finish_reason}
    return {**COMMON, "object": "chat.completion.chunk", "choices": [choice]}


async def streamed(*events: Event, **wanted: Any) -> list[Any]:
    async def script() -> AsyncGenerator[Event, None]:
        for event in events:
            yield event

    replies = ChatReplies(heading=HEADING, **wanted)
    return sent(FRAMING, [reply async for reply in replies.streamed(script())])


def whole(*events: Event, **wanted: Any) -> Any:
    reply = ChatReplies(heading=HEADING, **wanted).whole(list(events))
    return msgspec.json.decode(msgspec.json.encode(reply))


async def test_only_the_first_chunk_says_who_speaks_and_only_the_last_why_it_ended() -> None:
    assert await streamed(Delta("Hel"), Delta("lo"), END) == [
        chunk({"role": "assistant", "content": "Hel"}),
        chunk({"content": "lo"}),
        chunk({}, "stop"),
    ]


async def test_an_empty_answer_still_begins() -> None:
    assert await streamed(Delta(), END) == [
        chunk({"role": "assistant", "content": ""}),
        chunk({}, "stop"),
    ]


async def test_thoughts_come_before_what_is_said_in_chunks_of_their_own() -> None:
    events = (Delta(thinking="h"), Delta("Hi", thinking="m", logprobs=(LOGPROB,)), END)
    thought = chunk({"reasoning": "m"})
    thought["choices"][0]["logprobs"] = TOLD_LOGPROBS

    assert await streamed(*events) == [
        chunk({"role": "assistant", "content": "", "reasoning": "h"}),
        thought,
        chunk({"content": "Hi"}),
        chunk({}, "stop"),
    ]


async def test_a_call_is_told_whole() -> None:
    assert await streamed(Delta(calls=(CALL,)), Finish(called=True)) == [
        chunk({"role": "assistant", "content": "", "tool_calls": [TOLD_CALL]}),
        chunk({}, "tool_calls"),
    ]


async def test_a_client_that_uses_legacy_functions_is_told_of_one() -> None:
    events = (Delta(calls=(CALL,)), Finish(called=True))
    function = TOLD_CALL["function"]

    assert await streamed(*events, legacy_functions=True) == [
        chunk({"role": "assistant", "content": "", "function_call": function}),
        chunk({}, "function_call"),
    ]
    [choice] = whole(*events, legacy_functions=True)["choices"]
    assert choice["message"] == {"role": "assistant", "content": "", "function_call": function}
    assert choice["finish_reason"] == "function_call"


async def test_several_answers_are_told_apart_and_begin_in_their_order() -> None:
    """OpenAI's own library stumbles over an answer that begins before the one ahead of it."""
    events = (
        Delta("a", choice=1), Delta("b"), Finish(choice=1, ending=Ending.LENGTH), Delta("c"), END,
    )  # fmt: skip

    assert await streamed(*events, n=2) == [
        chunk({"role": "assistant", "content": ""}),
        chunk({"role": "assistant", "content": "a"}, index=1),
        chunk({"content": "b"}),
        chunk({}, "length", index=1),
        chunk({"content": "c"}),
        chunk({}, "stop"),
    ]
    assert [choice["message"]["content"] for choice in whole(*events, n=2)["choices"]] == [
        "bc",
        "a",
    ]


async def test_usage_comes_alone_and_last_if_it_was_asked_for() -> None:
    """Tokens of the prompt count once, whatever the number of answers."""
    second = Finish(choice=1, n_prompt=10, n_cached=10, n_generated=5)

    *_, last = await streamed(END, second, n=2, include_usage=True)

    assert last == {
        **COMMON,
        "object": "chat.completion.chunk",
        "choices": [],
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 8,
            "total_tokens": 18,
            "prompt_tokens_details": {"cached_tokens": 4},
        },
    }
    assert whole(END, second, n=2)["usage"] == last["usage"]


def test_an_answer_in_one_piece_holds_all_that_was_said() -> None:
    reply = whole(
        Delta(thinking="h"), Delta(thinking="m"), Delta("Hi", logprobs=(LOGPROB,)), Delta("!"), END
    )

    assert reply == {
        **COMMON,
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hi!", "reasoning": "hm"},
                "finish_reason": "stop",
                "logprobs": TOLD_LOGPROBS,
            }
        ],
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 3,
            "total_tokens": 13,
            "prompt_tokens_details": {"cached_tokens": 4},
        },
    }


def test_calls_stand_beside_a_content_that_is_never_null() -> None:
    [choice] = whole(Delta(calls=(CALL,)), Finish(called=True))["choices"]

    assert choice["message"] == {"role": "assistant", "content": "", "tool_calls": [TOLD_CALL]}
    assert choice["finish_reason"] == "tool_calls"


def test_a_call_that_the_limit_cut_off_is_told_as_such() -> None:
    [choice] = whole(Delta(calls=(CALL,)), Finish(called=True, ending=Ending.LENGTH))["choices"]

    assert choice["finish_reason"] == "length"


async def test_a_prompt_that_was_cut_is_told_with_the_end() -> None:
    cut = Finish(n_dropped=7)
    told = {"prompt_truncated": True, "prompt_tokens_dropped": 7}

    *_, last = await streamed(Delta("a"), cut)

    assert last == {**chunk({}, "stop"), **told}
    assert whole(cut).items() >= told.items()
    assert "prompt_truncated" not in whole(END)


async def test_a_prompt_that_was_only_rendered_is_one_object_even_in_a_stream() -> None:
    rendered = Rendered("<user>Hi", 2)
    told = {"rendered_template": "<user>Hi", "image_count": 2}

    async def script() -> AsyncGenerator[Event, None]:
        yield rendered

    [single] = [reply async for reply in ChatReplies(heading=HEADING).streamed(script())]

    assert isinstance(single, Single)
    assert whole(rendered)["_debug_info"] == told


async def test_closing_the_stream_closes_the_answer() -> None:
    closed = False

    async def script() -> AsyncGenerator[Event, None]:
        nonlocal closed
        try:
            yield Delta("a")
            yield Delta("b")
        finally:
            closed = True

    stream = ChatReplies(heading=HEADING).streamed(script())
    await anext(stream)
    await stream.aclose()

    assert closed
