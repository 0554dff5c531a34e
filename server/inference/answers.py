"""Convert the events of a runner to the events of one answer or several concurrent ones."""

import logging
import secrets
import string
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from itertools import count

import msgspec

from runners.host.client import RunnerClient
from runners.protocol.logprobs import TokenLogprob
from runners.protocol.messages import (
    Chunk,
    Done,
    Generate,
    StopReason,
)
from server.concurrency.merge import merged
from server.inference.conversation import CompletedCall, Delta, Ending, Events, Finish
from server.inference.generation import Timings
from server.parsing.parser import Call, OutputParser, ParsedOutput
from server.request_record import current

_log = logging.getLogger(__name__)

RunnerEvents = AsyncGenerator[Chunk | Done, None]
Answer = AsyncGenerator[Delta | Finish, None]

_ENDINGS = {StopReason.LENGTH: Ending.LENGTH, StopReason.REPEAT: Ending.REPEAT}
_ID_CHARACTERS = string.ascii_lowercase + string.digits
_ID_LENGTH = 8


async def answer(events: RunnerEvents, parser: OutputParser, timings: Timings) -> Answer:
    """Yield the events of one answer, parsed by `parser`; closes `events`."""
    numbers = count()
    called = False
    texts: list[str] = []
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Chunk):
                texts.append(event.text)
                output = parser.push(event.text)
                called = called or bool(output.calls)
                if event.prompt_logprobs:
                    yield Delta(prompt_logprobs=event.prompt_logprobs)
                if output.content or output.thinking or output.calls or event.logprobs:
                    yield _delta(output, numbers, event.logprobs)
                continue
            output = parser.finish()
            called = called or bool(output.calls)
            if output.content or output.thinking or output.calls:
                yield _delta(output, numbers)
            yield _finish(event, timings, "".join(texts), called=called)


def _delta(
    output: ParsedOutput, numbers: "count[int]", logprobs: tuple[TokenLogprob, ...] = ()
) -> Delta:
    calls = tuple(_completed_call(call, next(numbers)) for call in output.calls)
    return Delta(output.content, output.thinking, calls, logprobs)


def _completed_call(call: Call, index: int) -> CompletedCall:
    if call.lenient_syntax:
        current().add_lenient_call(f"{call.name} as {call.lenient_syntax}")
    suffix = "".join(secrets.choice(_ID_CHARACTERS) for _ in range(_ID_LENGTH))
    return CompletedCall(f"call_{suffix}", index, call.name, call.arguments)


def _finish(done: Done, timings: Timings, raw_text: str, *, called: bool) -> Finish:
    if done.n_truncated:
        _log.warning(
            "the prompt was cut by %d tokens to fit the context; num_ctx or "
            "OLLAMA_CONTEXT_LENGTH makes it larger",
            done.n_truncated,
        )
    if done.reason is StopReason.REPEAT:
        _log.warning(
            "an answer was ended after %d tokens, because it repeated itself without end; the "
            "option stop_repetition turns this off",
            done.n_eval,
        )
    if done.constraint_error:
        _log.warning("the constraint was dropped: %s", done.constraint_error)
    if done.n_preempted:
        _log.warning("the request lost its slot to older ones %d times", done.n_preempted)
    current().add_answer(
        queue_ns=done.queue_ns,
        n_prompt=done.n_prompt,
        n_cached=done.n_reused,
        n_generated=done.n_eval,
        prompt_ns=done.prompt_ns,
        decode_ns=done.eval_ns,
        n_drafted=done.n_drafted,
        n_accepted=done.n_accepted,
        end=done.reason.value,
    )
    return Finish(
        ending=_ENDINGS.get(done.reason, Ending.STOP),
        stop=done.stop,
        called=called,
        n_prompt=done.n_prompt,
        n_cached=done.n_reused,
        n_dropped=done.n_truncated,
        n_generated=done.n_eval,
        n_drafted=done.n_drafted,
        n_accepted=done.n_accepted,
        total_ns=time.perf_counter_ns() - timings.started,
        load_ns=timings.leased - timings.started,
        prompt_ns=done.prompt_ns,
        generation_ns=done.eval_ns,
        raw_text=raw_text,
        context=done.tokens or (),
    )


def answers(
    runner: RunnerClient, work: Generate, parsers: Sequence[OutputParser], timings: Timings
) -> Events:
    """Return the events of as many answers to `work` as there are parsers.

    The runner computes the prompt once and shares it between the sequences. With a seed, each
    answer adds its number to it.
    """
    if len(parsers) == 1:
        return answer(runner.generate(work, current()), parsers[0], timings)
    streams = [
        answer(runner.generate(_seeded(work, choice), current()), parser, timings)
        for choice, parser in enumerate(parsers)
    ]
    return merged(
        [numbered(stream, choice) for choice, stream in enumerate(streams)],
        concurrency=len(streams),
    )


def _seeded(work: Generate, choice: int) -> Generate:
    seed = work.sampling.seed
    if seed is None or not choice:
        return work
    sampling = msgspec.structs.replace(work.sampling, seed=seed + choice)
    return msgspec.structs.replace(work, sampling=sampling)


async def numbered(events: Events, first: int) -> Events:
    """Yield `events` with `first` added to their choice numbers."""
    async with aclosing(events):
        async for event in events:
            if first and isinstance(event, Delta | Finish):
                yield replace(event, choice=first + event.choice)
            else:
                yield event
