"""Pieces of answers as clients read them, who look at one field of an object at a time."""

from collections.abc import AsyncGenerator

import pytest

from runners.protocol.logprobs import TokenAlternative, TokenLogprob
from server.http.streaming import Single
from server.inference.conversation import CompletedCall, Delta, Event, Finish
from server.native.reply import chat_replies, fold_chat, fold_generate, generate_replies
from server.native.wire import ChatResponse, GenerateResponse

pytestmark = pytest.mark.anyio

BOTH = Delta("Yes", "Hm", logprobs=(TokenLogprob(TokenAlternative(b"Hm", -0.5), ()),))
CALL = CompletedCall("call_1", 0, "f", {})
END = Finish(n_generated=3)


async def script(*events: Event) -> AsyncGenerator[Event, None]:
    for event in events:
        yield event


async def chatted(*events: Event) -> list[ChatResponse]:
    replies = [reply async for reply in chat_replies(script(*events), "m")]
    return [reply for reply in replies if not isinstance(reply, Single)]


async def generated(*events: Event) -> list[GenerateResponse]:
    replies = [reply async for reply in generate_replies(script(*events), "m")]
    return [reply for reply in replies if not isinstance(reply, Single)]


async def test_thinking_and_text_that_come_together_are_separate_objects_of_a_chat() -> None:
    *pieces, _ = await chatted(BOTH, END)

    assert [(p.message.thinking, p.message.content) for p in pieces] == [("Hm", ""), ("", "Yes")]
    assert [len(piece.logprobs) for piece in pieces] == [1, 0]


async def test_thinking_and_a_call_that_come_together_are_separate_objects_of_a_chat() -> None:
    *pieces, _ = await chatted(Delta(thinking="Hm", calls=(CALL,)), END)

    assert [(p.message.thinking, len(p.message.tool_calls)) for p in pieces] == [("Hm", 0), ("", 1)]


async def test_a_token_without_text_has_an_object_for_its_log_probability() -> None:
    empty = Delta(logprobs=BOTH.logprobs)

    assert [len(piece.logprobs) for piece in await chatted(empty, END)] == [1, 0]
    assert [len(piece.logprobs) for piece in await generated(empty, END)] == [1, 0]


async def test_thinking_and_text_that_come_together_are_separate_objects_of_a_completion() -> None:
    *pieces, _ = await generated(BOTH, END)

    assert [(piece.thinking, piece.response) for piece in pieces] == [("Hm", ""), ("", "Yes")]
    assert [len(piece.logprobs) for piece in pieces] == [1, 0]


async def test_the_whole_answer_has_both() -> None:
    chat, completion = (
        fold_chat(await chatted(BOTH, END)),
        fold_generate(await generated(BOTH, END)),
    )

    assert (chat.message.thinking, chat.message.content) == ("Hm", "Yes")
    assert (completion.thinking, completion.response) == ("Hm", "Yes")
    assert len(chat.logprobs) == len(completion.logprobs) == 1
