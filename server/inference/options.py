"""Model options: what a model sets, what a request sets; later ones win."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from server.errors import BadRequest

_LARGEST_INT = 2**31 - 1
_LARGEST_FLOAT = 3.4028234663852886e38
_SEEDS = 2**32


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Every option that has an effect; None means not given.

    Negative or zero has the meaning that clients know: `num_gpu` -1 automatic, `num_thread` 0
    automatic, `seed` -1 random, `top_k` 0 off, `repeat_last_n` -1 the whole context.
    """

    num_ctx: int | None = None
    num_batch: int | None = None
    num_gpu: int | None = None
    main_gpu: int | None = None
    use_mmap: bool | None = None
    num_thread: int | None = None
    num_keep: int | None = None
    seed: int | None = None
    num_predict: int | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    typical_p: float | None = None
    repeat_last_n: int | None = None
    temperature: float | None = None
    repeat_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stop: tuple[str, ...] | None = None


def merged_options(*sources: Mapping[str, object]) -> Options:
    """Merge options, later sources over earlier ones; null and unknown names are passed over.

    Raises:
        BadRequest: an option has the wrong type or a value that cannot be used.
    """
    values: dict[str, Any] = {}
    for source in sources:
        for name, value in source.items():
            if value is not None and name in _READERS:
                values[name] = _READERS[name].read(name, value)
    return Options(**values)


@dataclass(frozen=True, slots=True)
class _Integer:
    lowest: int = -_LARGEST_INT

    def read(self, name: str, value: object) -> int:
        # Clients in languages without integers send 2.0; the reference cuts 2.9 to 2 as well.
        number = int(_number(name, value, "integer"))
        whole = max(min(number, _LARGEST_INT), -_LARGEST_INT)
        if whole < self.lowest:
            raise BadRequest(f'option "{name}" must be at least {self.lowest}, not {whole}')
        return whole


@dataclass(frozen=True, slots=True)
class _Seed:
    def read(self, name: str, value: object) -> int:
        number = int(_number(name, value, "integer"))
        return number if number == -1 else number % _SEEDS


@dataclass(frozen=True, slots=True)
class _Float:
    lowest: float | None = None
    above: float | None = None

    def read(self, name: str, value: object) -> float:
        number = _number(name, value, "float32")
        if self.lowest is not None and number < self.lowest:
            raise BadRequest(f'option "{name}" must be at least {self.lowest:g}, not {number}')
        if self.above is not None and number <= self.above:
            raise BadRequest(f'option "{name}" must be greater than {self.above:g}, not {number}')
        return float(number)


@dataclass(frozen=True, slots=True)
class _Boolean:
    def read(self, name: str, value: object) -> bool:
        if not isinstance(value, bool):
            raise _wrong_type(name, "boolean")
        return value


@dataclass(frozen=True, slots=True)
class _Strings:
    def read(self, name: str, value: object) -> tuple[str, ...]:
        if isinstance(value, str):
            return (value,)
        if not isinstance(value, list | tuple):
            raise _wrong_type(name, "array")
        if not all(isinstance(item, str) for item in value):
            raise BadRequest(f'option "{name}" must be of an array of strings')
        return tuple(value)


def _number(name: str, value: object, wanted: str) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong_type(name, wanted)
    if not abs(value) <= _LARGEST_FLOAT:  # said this way round, because NaN is not either
        raise BadRequest(f'option "{name}" must be a finite number')
    return value


def _wrong_type(name: str, wanted: str) -> BadRequest:
    return BadRequest(f'option "{name}" must be of type {wanted}')


_Reader = _Integer | _Seed | _Float | _Boolean | _Strings
_READERS: dict[str, _Reader] = {
    "num_ctx": _Integer(),
    "num_batch": _Integer(lowest=1),
    "num_gpu": _Integer(),
    "main_gpu": _Integer(lowest=0),
    "use_mmap": _Boolean(),
    "num_thread": _Integer(lowest=0),
    "num_keep": _Integer(),
    "seed": _Seed(),
    "num_predict": _Integer(),
    "top_k": _Integer(),
    "top_p": _Float(lowest=0),
    "min_p": _Float(lowest=0),
    "typical_p": _Float(lowest=0),
    "repeat_last_n": _Integer(lowest=-1),
    "temperature": _Float(),
    "repeat_penalty": _Float(above=0),
    "presence_penalty": _Float(),
    "frequency_penalty": _Float(),
    "stop": _Strings(),
}
