"""Counters of a runner: the request for them and its answer."""

import msgspec


class Stats(msgspec.Struct, frozen=True, tag="stats"):
    """Ask for the counters; answered by `StatsReport`."""

    id: int


class SequenceStats(msgspec.Struct, frozen=True, kw_only=True):
    """How far one generation is; `id` is that of its request.

    `n_computed` of the `n_prompt` tokens of its prompt are in the KV cache, `n_reused` of them from
    an earlier request. A sequence that `is_waiting` has no slot.
    """

    id: int
    n_prompt: int
    n_computed: int
    n_reused: int
    n_generated: int
    is_waiting: bool


class StatsReport(msgspec.Struct, frozen=True, kw_only=True, tag="stats_report"):
    """Counters since the model was loaded.

    `decode_ns` is time inside llama_decode, `step_ns` the whole of all steps that decoded;
    their difference is what Python and sampling cost. `n_accepted` of the `n_drafted` tokens of
    speculative decoding were sampled.
    """

    id: int
    steps: int
    step_ns: int
    decode_ns: int
    sample_ns: int
    n_prompt_computed: int
    n_prompt_reused: int
    n_generated: int
    n_drafted: int = 0
    n_accepted: int = 0
    n_preempted: int
    n_threads: int
    n_running: int
    n_waiting: int
    n_cells_used: int
    n_media_encoded: int = 0
    encode_ns: int = 0
    sequences: tuple[SequenceStats, ...] = ()
    """The generations that have not ended, those with a slot first."""
