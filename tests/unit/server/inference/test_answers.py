"""The events of answers: what a parser found, counters that are true, several answers at once."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import msgspec
import pytest

from runners.protocol.constraints import Constraint
from runners.protocol.logprobs import TokenAlternative, TokenLogprob
from runners.protocol.messages import (
    Chunk,
    Done,
    Generate,
    Sampling,
    StopReason,
)
from server.inference.answers import Answer, answer, answers
from server.inference.conversation import Delta, Ending, Finish
from server.inference.generation import Timings
from server.parsing.families.passthrough import PassthroughParser
from server.parsing.parser import NO_OUTPUT, Call, OutputParser, ParsedOutput
from server.prompt.messages import Tool
from server.request_record import RequestRecord, begin

pytestmark = pytest.mark.anyio

LOGPROB = TokenLogprob(TokenAlternative(b"x", -1.0), ())


class Shouting(OutputParser):
    """Holds small letters back until the end, takes digits for calls."""

    def __init__(self) -> None:
        self.held = ""

    def push(self, text: str) -> ParsedOutput:
        if text.isdigit():
            return ParsedOutput(calls=(Call(text, {}),))
        if text.isupper():
            return ParsedOutput(thinking=text)
        self.held += text
        return NO_OUTPUT

    def finish(self) -> ParsedOutput:
        return ParsedOutput(self.held)

    def constrain_answer(self, body: Constraint, *, may_end_early: bool = False) -> Constraint:
        return body

    def constrain_calls(self, tools: Sequence[Tool], *, least: int, most: int | None) -> None:
        return None


class Scripted:
    """A runner whose every answer is one text, in pieces of one character."""

    def __init__(self, *texts: str | Exception) -> None:
        self.texts, self.asked, self.closed = iter(texts), [], 0
        self.asked: list[Generate] = []

    async def generate(
        self, work: Generate, owner: object = None
    ) -> AsyncGenerator[Chunk | Done, None]:
        self.asked.append(work)
        text = next(self.texts)
        try:
            if isinstance(text, Exception):
                raise text
            for char in text:
                await asyncio.sleep(0)
                yield Chunk(1, char)
            yield done()
        finally:
            self.closed += 1


def done(reason: StopReason = StopReason.STOP, stop: str = "") -> Done:
    return Done(
        id=1, reason=reason, stop=stop, n_prompt=7, n_reused=5, n_truncated=9, n_eval=3,
        prompt_ns=40, eval_ns=50,
    )  # fmt: skip


async def spoken(*events: Chunk | Done) -> AsyncGenerator[Chunk | Done, None]:
    for event in events:
        yield event


async def heard(events: Answer) -> list[Delta | Finish]:
    return [event async for event in events]


def begun() -> Timings:
    return Timings(started=1000, leased=1300)


async def test_what_the_parser_finds_is_told_and_the_rest_at_the_end() -> None:
    events = spoken(Chunk(1, "a"), Chunk(1, "HM"), Chunk(1, "1"), Chunk(1, "2"), done())
    *deltas, end = await heard(answer(events, Shouting(), begun()))

    calls = [call for delta in deltas if isinstance(delta, Delta) for call in delta.calls]
    assert [(call.index, call.name) for call in calls] == [(0, "1"), (1, "2")]
    assert all(call.id.startswith("call_") and len(call.id) == 13 for call in calls)
    assert len({call.id for call in calls}) == 2
    assert deltas[0] == Delta(thinking="HM")
    assert deltas[-1] == Delta("a")
    assert isinstance(end, Finish)
    assert (end.called, end.raw_text) == (True, "aHM12")


async def test_log_probabilities_are_told_even_where_no_text_is() -> None:
    events = await heard(answer(spoken(Chunk(1, "a", (LOGPROB,)), done()), Shouting(), begun()))

    assert events[0] == Delta(logprobs=(LOGPROB,))


@pytest.mark.parametrize(
    ("reason", "ending"),
    [
        (StopReason.STOP, Ending.STOP),
        (StopReason.LENGTH, Ending.LENGTH),
        (StopReason.CANCELLED, Ending.STOP),
    ],
)
async def test_an_answer_ends_with_a_word_that_clients_know(
    reason: StopReason, ending: Ending
) -> None:
    (end,) = await heard(answer(spoken(done(reason)), PassthroughParser(), begun()))

    assert isinstance(end, Finish)
    assert end.ending is ending


async def test_the_counters_of_the_runner_are_told_and_the_wait_for_the_model() -> None:
    (end,) = await heard(answer(spoken(done(stop="END")), PassthroughParser(), begun()))

    assert isinstance(end, Finish)
    assert (end.n_prompt, end.n_cached, end.n_dropped, end.n_generated) == (7, 5, 9, 3)
    assert (end.load_ns, end.prompt_ns, end.generation_ns) == (300, 40, 50)
    assert end.total_ns > 300
    assert end.stop == "END"


async def test_several_answers_are_told_apart_and_drawn_with_seeds_of_their_own() -> None:
    runner = Scripted("ab", "cd", "ef")
    work = Generate(id=0, prompt="p", sampling=Sampling(seed=5))
    parsers = [PassthroughParser() for _ in range(3)]
    events = await heard(answers(runner, work, parsers, begun()))  # type: ignore[arg-type]

    texts = ["", "", ""]
    for event in events:
        if isinstance(event, Delta):
            texts[event.choice] += event.content
    assert texts == ["ab", "cd", "ef"]
    assert sorted(e.choice for e in events if isinstance(e, Finish)) == [0, 1, 2]
    assert [work.sampling.seed for work in runner.asked] == [5, 6, 7]


async def test_the_first_of_several_answers_that_fails_ends_them_all() -> None:
    runner = Scripted("a" * 100, ValueError("broken"), "b" * 100)
    work = Generate(id=0, prompt="p")
    parsers = [PassthroughParser() for _ in range(3)]
    with pytest.raises(ValueError, match="broken"):
        await heard(answers(runner, work, parsers, begun()))  # type: ignore[arg-type]
    assert runner.closed == len(runner.asked)


async def test_a_client_that_leaves_ends_all_of_several_answers() -> None:
    runner = Scripted("a" * 100, "b" * 100)
    work = Generate(id=0, prompt="p")
    events = answers(runner, work, [PassthroughParser(), PassthroughParser()], begun())  # type: ignore[arg-type]
    await anext(events)
    await events.aclose()
    assert runner.closed == 2


async def test_what_befell_an_answer_is_a_warning_and_in_the_record(
    caplog: pytest.LogCaptureFixture,
) -> None:
    record = RequestRecord(id="req_1")
    begin(record)
    event = msgspec.structs.replace(
        done(),
        queue_ns=5,
        n_preempted=2,
        constraint_error="it is ambiguous",
        n_drafted=4,
        n_accepted=1,
    )
    await heard(answer(spoken(event), Shouting(), begun()))

    assert caplog.messages == [
        (
            "the prompt was cut by 9 tokens to fit the context; num_ctx or OLLAMA_CONTEXT_LENGTH "
            "makes it larger"
        ),
        "the constraint was dropped: it is ambiguous",
        "the request lost its slot to older ones 2 times",
    ]
    assert (record.n_computed, record.n_cached, record.n_generated) == (2, 5, 3)
    assert (record.queue_ns, record.prompt_ns, record.decode_ns) == (5, 40, 50)
    assert (record.n_drafted, record.n_accepted) == (4, 1)
    assert record.end == "stop"
