"""Merge model options, of the model and of the request, and check their types and bounds."""

import logging
from collections.abc import Mapping
from typing import Any, Final

from model_store.model import Model
from model_store.options import OPTIONS, Option, Options, OptionType
from server.errors import BadRequest

_log = logging.getLogger(__name__)

_RECOMMENDED: Final[Mapping[str, str]] = {
    "temp": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "penalty_repeat": "repeat_penalty",
    "penalty_last_n": "repeat_last_n",
}
"""The keys `general.sampling.*` of GGUF files and their options."""
_MAX_INT: Final = 2**31 - 1
_MAX_FLOAT: Final = 3.4028234663852886e38
_N_SEEDS: Final = 2**32
MAX_STRINGS: Final = 256
MAX_CHARACTERS: Final = 16_384
"""Of all stop strings together: a runner keeps a state for each of their characters."""


def recommended_options(model: Model) -> Mapping[str, object]:
    """Return the options that the GGUF file of a model recommends; raises as `Model.header`.

    Values that no request could set are ignored.
    """
    header = model.header()
    recommended: dict[str, object] = {}
    for key, name in _RECOMMENDED.items():
        value = header.metadata.get(f"general.sampling.{key}")
        if value is None:
            continue
        try:
            recommended[name] = _checked(name, OPTIONS[name], value)
        except BadRequest:
            _log.debug("%s: its file recommends %s for %s", model.name.short, value, name)
    return recommended


def merged_options(*sources: Mapping[str, object]) -> Options:
    """Merge options, later sources over earlier ones; null and unknown names are ignored.

    Raises:
        BadRequest: an option has the wrong type or is out of bounds.
    """
    values: dict[str, Any] = {}
    for source in sources:
        for name, value in source.items():
            if value is not None and name in OPTIONS:
                values[name] = _checked(name, OPTIONS[name], value)
    return Options(**values)


def _checked(name: str, option: Option, value: object) -> object:
    match option.type:
        case OptionType.BOOLEAN:
            if not isinstance(value, bool):
                raise _wrong_type(name, "boolean")
            return value
        case OptionType.STRINGS:
            return _strings(name, value)
        case OptionType.SEED:
            seed = int(_number(name, value, "integer"))
            return seed if seed == -1 else seed % _N_SEEDS
        case OptionType.INTEGER:
            # Clients in languages without integers send 2.0; the reference truncates 2.9 to 2.
            number = int(_in_bounds(name, option, int(_number(name, value, "integer"))))
            return max(min(number, _MAX_INT), -_MAX_INT)
        case OptionType.FLOAT:
            return float(_in_bounds(name, option, _number(name, value, "float32")))


def _in_bounds(name: str, option: Option, number: float) -> float:
    if option.unset is not None and number <= option.unset:
        return number
    if option.minimum is not None and number < option.minimum:
        unset = "" if option.unset is None else f", or {option.unset:g} for the default"
        raise BadRequest(
            f'option "{name}" must be at least {option.minimum:g}{unset}, not {number}'
        )
    if option.maximum is not None and number > option.maximum:
        raise BadRequest(f'option "{name}" must be at most {option.maximum}, not {number}')
    if option.above is not None and number <= option.above:
        raise BadRequest(f'option "{name}" must be greater than {option.above:g}, not {number}')
    return number


def _strings(name: str, value: object) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple):
        raise _wrong_type(name, "array")
    if not all(isinstance(text, str) for text in texts):
        raise BadRequest(f'option "{name}" must be of an array of strings')
    if len(texts) > MAX_STRINGS or sum(map(len, texts)) > MAX_CHARACTERS:
        raise BadRequest(
            f'option "{name}" may have at most {MAX_STRINGS} strings with {MAX_CHARACTERS} '
            "characters in all"
        )
    return tuple(texts)


def _number(name: str, value: object, expected: str) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong_type(name, expected)
    if not abs(value) <= _MAX_FLOAT:  # written this way round because NaN fails it
        raise BadRequest(f'option "{name}" must be a finite number')
    return value


def _wrong_type(name: str, expected: str) -> BadRequest:
    return BadRequest(f'option "{name}" must be of type {expected}')
