"""Table of model options: type, bounds, default, and where each applies.

The Modelfile parser, the check of requests and their description in the OpenAPI document derive
from this table.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Final


class OptionType(StrEnum):
    """The type of a value; a seed is an integer of which the lowest 32 bits count."""

    INTEGER = "integer"
    SEED = "seed"
    FLOAT = "float"
    BOOLEAN = "boolean"
    STRINGS = "strings"


class Scope(StrEnum):
    """Where an option applies: to the loaded model, the drawing of tokens, or the whole answer."""

    LOAD = "load"
    SAMPLING = "sampling"
    ANSWER = "answer"


@dataclass(frozen=True, slots=True)
class Option:
    """A row of the table; `default` None means that the server or the model decides.

    `minimum` is the smallest value, `maximum` the largest, `above` is smaller than every value.
    Values up to `unset` are allowed below the minimum and mean that the option is not set.
    """

    type: OptionType
    scope: Scope
    default: float | None = None
    minimum: float | None = None
    above: float | None = None
    maximum: float | None = None
    unset: float | None = None


def _option(
    option_type: OptionType,
    scope: Scope,
    default: float | None = None,
    *,
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
    unset: float | None = None,
) -> Any:
    option = Option(option_type, scope, default, minimum, above, maximum, unset)
    return field(default=None, metadata={"option": option})


LARGEST_BATCH: Final = 2**20
"""No context is longer, and the buffers of a load grow with the batch."""
LARGEST_SCALE: Final = 100
"""Of the effect of a LoRA adapter, which is 1 unless said otherwise."""
_INTEGER, _FLOAT = OptionType.INTEGER, OptionType.FLOAT
_LOAD, _SAMPLING, _ANSWER = Scope.LOAD, Scope.SAMPLING, Scope.ANSWER


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The values of all options that have an effect; None where neither model nor request set one.

    Special values: `num_ctx` 0 or less the default, `num_gpu` -1 and `num_thread` 0 automatic,
    `seed` -1 random, `top_k` 0 off, `repeat_last_n` -1 the whole context, `num_predict` 0 or less
    until the context is used up. With `ignore_eos`, and before `min_tokens`, no token that ends the
    generation is drawn. With `stop_repetition` an answer ends that repeats itself without end.
    `draft_num_predict` is 0 without speculative decoding, negative automatic. With `deterministic`
    neither other requests nor the cache can change an answer. `adapter_scale` is the factor of the
    effect of the model's LoRA adapters.
    """

    num_ctx: int | None = _option(_INTEGER, _LOAD, minimum=4, unset=0)
    num_batch: int | None = _option(_INTEGER, _LOAD, minimum=1, maximum=LARGEST_BATCH)
    num_gpu: int | None = _option(_INTEGER, _LOAD, -1)
    main_gpu: int | None = _option(_INTEGER, _LOAD, minimum=0)
    use_mmap: bool | None = _option(OptionType.BOOLEAN, _LOAD)
    num_thread: int | None = _option(_INTEGER, _LOAD, 0, minimum=0)
    num_keep: int | None = _option(_INTEGER, _ANSWER, 4)
    num_predict: int | None = _option(_INTEGER, _ANSWER, -1)
    draft_num_predict: int | None = _option(_INTEGER, _ANSWER)
    stop: tuple[str, ...] | None = _option(OptionType.STRINGS, _ANSWER)
    seed: int | None = _option(OptionType.SEED, _SAMPLING)
    top_k: int | None = _option(_INTEGER, _SAMPLING, 40)
    top_p: float | None = _option(_FLOAT, _SAMPLING, 0.9, minimum=0)
    min_p: float | None = _option(_FLOAT, _SAMPLING, 0.0, minimum=0)
    typical_p: float | None = _option(_FLOAT, _SAMPLING, 1.0, minimum=0)
    repeat_last_n: int | None = _option(_INTEGER, _SAMPLING, 64, minimum=-1)
    temperature: float | None = _option(_FLOAT, _SAMPLING, 0.8)
    repeat_penalty: float | None = _option(_FLOAT, _SAMPLING, 1.0, above=0)
    presence_penalty: float | None = _option(_FLOAT, _SAMPLING, 0.0)
    frequency_penalty: float | None = _option(_FLOAT, _SAMPLING, 0.0)
    ignore_eos: bool | None = _option(OptionType.BOOLEAN, _SAMPLING, default=False)
    min_tokens: int | None = _option(_INTEGER, _SAMPLING, 0, minimum=0)
    stop_repetition: bool | None = _option(OptionType.BOOLEAN, _ANSWER)
    deterministic: bool | None = _option(OptionType.BOOLEAN, _ANSWER)
    adapter_scale: float | None = _option(
        _FLOAT, _ANSWER, 1.0, minimum=-LARGEST_SCALE, maximum=LARGEST_SCALE
    )


OPTIONS: Final[Mapping[str, Option]] = {f.name: f.metadata["option"] for f in fields(Options)}

REMOVED_PARAMETERS: Final = frozenset(
    "penalize_newline low_vram f16_kv logits_all vocab_only use_mlock mirostat mirostat_tau "
    "mirostat_eta".split()
)
