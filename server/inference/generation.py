"""Options of a request as a command for the runner, and the counters of its answer."""

import json
from dataclasses import dataclass
from typing import TypedDict

from runners.protocol.constraints import JSONSchema
from runners.protocol.messages import (
    Done,
    Generate,
    Ready,
    Sampling,
    StopReason,
)
from server.errors import BadRequest
from server.schemas.options import Options

_ANY_OBJECT = '{"type":"object"}'


def command(
    prompt: str,
    options: Options,
    *,
    n_ctx: int,
    truncate: bool,
    shift: bool,
    logprobs: int | None,
    constraint: JSONSchema | None,
) -> Generate:
    """Return the runner's command for `prompt`; the client fills in the id."""
    return Generate(
        id=0,
        prompt=prompt,
        sampling=_sampling(options),
        n_ctx=n_ctx,
        n_predict=options.num_predict if (options.num_predict or 0) > 0 else None,
        n_keep=4 if options.num_keep is None else options.num_keep,
        stop=tuple(options.stop or ()),
        truncate=truncate,
        shift=shift,
        logprobs=logprobs,
        constraint=constraint,
    )


def _sampling(options: Options) -> Sampling:
    given = {
        name: value
        for name in Sampling.__struct_fields__
        if (value := getattr(options, name)) is not None
    }
    if given.get("seed", 0) == -1:
        del given["seed"]
    return Sampling(**given)


def constraint_of(format: object) -> JSONSchema | None:
    """Return the constraint that the request's `format` asks for.

    Raises:
        BadRequest: it is neither absent, "json" nor a JSON Schema object.
    """
    if format is None or format == "":
        return None
    if format == "json":
        return JSONSchema(_ANY_OBJECT)
    if isinstance(format, dict):
        return JSONSchema(json.dumps(format, ensure_ascii=False) if format else _ANY_OBJECT)
    raw = json.dumps(json.dumps(format, ensure_ascii=False), ensure_ascii=False)
    raise BadRequest(f'invalid format: {raw}; expected "json" or a valid JSON Schema object')


@dataclass(frozen=True, slots=True)
class Timings:
    """Clock readings of one request, in nanoseconds."""

    started: int
    leased: int


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


def metrics(done: Done, timings: Timings, now: int) -> Metrics:
    """Return the counters and durations of a generation that ended at `now`."""
    return Metrics(
        total_duration=now - timings.started,
        load_duration=timings.leased - timings.started,
        prompt_eval_count=done.n_prompt,
        prompt_eval_duration=done.prompt_ns,
        eval_count=done.n_eval,
        eval_duration=done.eval_ns,
        prompt_truncated=done.n_truncated > 0,
        prompt_tokens_dropped=done.n_truncated,
    )


def done_reason(done: Done) -> str:
    """Return the API's word for why the generation ended."""
    return "length" if done.reason is StopReason.LENGTH else "stop"


def logprobs_wanted(logprobs: bool, top_logprobs: int) -> int | None:
    """Return how many alternatives the runner reports for each token, None for no report."""
    return top_logprobs if logprobs else None


def context_of(options: Options, ready: Ready) -> int:
    """Return the tokens that a request may use: a runner may have been loaded with more."""
    wanted = ready.n_ctx if options.num_ctx is None else options.num_ctx
    return max(4, min(wanted, ready.n_ctx))
