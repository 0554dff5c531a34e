"""The wishes of a request as a command for the runner."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from runners.protocol.constraints import GBNF, Constraint, JSONSchema, Lark, Regex
from runners.protocol.media import Medium
from runners.protocol.messages import Generate, Ready, Sampling
from server.errors import BadRequest
from server.inference.conversation import AnswerRequest
from server.schemas.options import Options

LEAST_CONTEXT = 4
LEAST_CONTEXT_FOR_MEDIA = 2048
"""A picture takes a thousand tokens and more, a minute of speech hundreds."""
_ANY_OBJECT = '{"type":"object"}'
_GRAMMARS: dict[str, Callable[[str], Constraint]] = {"regex": Regex, "lark": Lark, "gbnf": GBNF}
# What Sampling takes from the options; the bias of tokens is no option.
_SAMPLING = frozenset(Sampling.__struct_fields__) - {"logit_bias"}


@dataclass(frozen=True, slots=True)
class Timings:
    """Clock readings of one request, in nanoseconds."""

    started: int
    leased: int


def command(
    prompt: str | tuple[int, ...],
    options: Options,
    wishes: AnswerRequest,
    *,
    media: tuple[Medium, ...] = (),
    n_ctx: int,
    constraint: Constraint | None,
    must_hold: bool = True,
    visible: tuple[str, ...] = (),
) -> Generate:
    """Return the runner's command for `prompt`; the client fills in the id."""
    return Generate(
        id=0,
        prompt=prompt,
        media=media,
        sampling=_sampling(options, wishes.logit_bias),
        n_ctx=n_ctx,
        n_predict=options.num_predict if (options.num_predict or 0) > 0 else None,
        n_keep=4 if options.num_keep is None else options.num_keep,
        stop=tuple(options.stop or ()),
        truncate=wishes.truncate,
        shift=wishes.shift,
        logprobs=wishes.logprobs,
        constraint=constraint,
        must_hold=must_hold,
        visible=visible,
    )


def _sampling(options: Options, logit_bias: Mapping[int, float]) -> Sampling:
    given = {name: value for name in _SAMPLING if (value := getattr(options, name)) is not None}
    if given.get("seed", 0) == -1:
        del given["seed"]
    return Sampling(**given, logit_bias=dict(logit_bias))


def constraint_of(format: object) -> Constraint | None:
    """Return the constraint that the native API's `format` asks for.

    Beyond "json" and JSON Schemas it may be an object with a single key `regex`, `lark` or `gbnf`.

    Raises:
        BadRequest: it is neither absent nor one of these.
    """
    if format is None or format == "":
        return None
    if format in ("json", {}):
        return JSONSchema(_ANY_OBJECT)
    if isinstance(format, dict):
        kind, value = next(iter(format.items()))
        if len(format) == 1 and kind in _GRAMMARS and isinstance(value, str):
            return _GRAMMARS[kind](value)
        return JSONSchema(json.dumps(format, ensure_ascii=False))
    raw = json.dumps(json.dumps(format, ensure_ascii=False), ensure_ascii=False)
    raise BadRequest(f'invalid format: {raw}; expected "json" or a valid JSON Schema object')


def logprobs_wanted(logprobs: bool, top_logprobs: int) -> int | None:
    """Return how many alternatives the runner reports for each token, None for no report."""
    return top_logprobs if logprobs else None


def context_of(options: Options, ready: Ready) -> int:
    """Return the tokens that a request may use: a runner may have been loaded with more."""
    wanted = ready.n_ctx if options.num_ctx is None else options.num_ctx
    least = LEAST_CONTEXT_FOR_MEDIA if ready.has_media else LEAST_CONTEXT
    return min(max(least, wanted), ready.n_ctx)
