"""Build the runner's generate command from a request and its options."""

from collections.abc import Mapping
from dataclasses import dataclass

from model_store.options import Options
from runners.protocol.adapters import Adapters
from runners.protocol.constraints import Constraint
from runners.protocol.media import Medium
from runners.protocol.messages import Generate, Ready, Sampling
from runners.protocol.tokens import AnyText
from server.inference.conversation import GenerationParams
from server.inference.text_length import usual_characters
from server.request_record import current

MIN_CONTEXT_FOR_MEDIA = 2048
"""An image takes a thousand tokens and more, a minute of speech hundreds."""
MAX_DRAFT = 15
"""Drafted tokens of an answer in a step: 16 rows with its own, as kernels compute groups of 4."""
# `logit_bias` comes from the request itself.
_SAMPLING = frozenset(Sampling.__struct_fields__) - {"logit_bias"}


@dataclass(frozen=True, slots=True)
class Timings:
    """When a request started and when its model was loaded, as clock readings in nanoseconds."""

    started: int
    leased: int


def command(
    prompt: AnyText | tuple[int, ...],
    options: Options,
    params: GenerationParams,
    *,
    media: tuple[Medium, ...] = (),
    adapters: Adapters = (),
    n_ctx: int,
    constraint: Constraint | None,
    must_hold: bool = True,
    visible: tuple[str, ...] = (),
    stop_repetition: bool = False,
    return_tokens: bool = False,
    system_bytes: int = 0,
) -> Generate:
    """Return the runner's command for `prompt`; the client fills in the id."""
    record = current()
    return Generate(
        id=0,
        prompt=prompt,
        media=media,
        sampling=_sampling(options, params.logit_bias),
        n_ctx=n_ctx,
        n_predict=_n_predict(options, params),
        n_draft=_n_draft(options, params),
        # No more is tokenized than an answer can have.
        prediction=params.prediction[: usual_characters(n_ctx)],
        n_keep=4 if options.num_keep is None else options.num_keep,
        stop=tuple(options.stop or ()),
        truncate=params.truncate,
        shift=params.shift,
        stop_repetition=stop_repetition,
        logprobs=params.logprobs,
        prompt_logprobs=params.prompt_logprobs,
        constraint=constraint,
        must_hold=must_hold,
        visible=visible,
        adapters=adapters,
        return_tokens=return_tokens,
        system_bytes=system_bytes,
        is_background=record.is_background,
        owner=record.caller.id,
        is_deterministic=bool(options.deterministic),
    )


def _n_predict(options: Options, params: GenerationParams) -> int | None:
    if params.prefill_only:
        return 0
    return options.num_predict if (options.num_predict or 0) > 0 else None


def _n_draft(options: Options, params: GenerationParams) -> int:
    """Return the most tokens to draft in a step.

    None with a seed, unless the answer was predicted: who sets one wants the same answer again, and
    rows that are computed together round otherwise than single ones, which decides near ties.
    """
    if options.deterministic:
        return 0
    if options.draft_num_predict is not None and options.draft_num_predict >= 0:
        return min(options.draft_num_predict, MAX_DRAFT)
    has_seed = options.seed is not None and options.seed != -1
    return 0 if has_seed and not params.prediction else MAX_DRAFT


def _sampling(options: Options, logit_bias: Mapping[int, float]) -> Sampling:
    values = {name: value for name in _SAMPLING if (value := getattr(options, name)) is not None}
    if values.get("seed", 0) == -1:
        del values["seed"]
    return Sampling(**values, logit_bias=dict(logit_bias))


def requested_context(options: Options) -> int | None:
    """Return the context that request or model set; None where the default is to be used."""
    return options.num_ctx if (options.num_ctx or 0) > 0 else None


def context_of(options: Options, ready: Ready) -> int:
    """Return the context of a request in tokens; the runner may have been loaded with more."""
    n_ctx = requested_context(options) or ready.n_ctx
    minimum = MIN_CONTEXT_FOR_MEDIA if ready.has_media else 0
    return min(max(minimum, n_ctx), ready.n_ctx)


def stops_repetition(options: Options, params: GenerationParams) -> bool:
    """Return whether an answer that repeats itself without end is to be ended.

    A form, and a client that ignores the model's own end, may want such a text.
    """
    return bool(options.stop_repetition and not options.ignore_eos and params.constraint is None)
