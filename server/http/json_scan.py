"""Scan a JSON body before it is parsed: count what parsing would make of it, and refuse excess.

Parsing makes a Python object of every value, in one call that nothing can interrupt. The scan
counts the values first, at the speed of numpy, which lets other threads run.
Import it where it is used: numpy takes a tenth of the server's start.
"""

import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from server.errors import BadRequest, BodyTooLarge, NestedTooDeeply
from server.schemas.limits import MAX_DEPTH, MAX_ESCAPES, MAX_WIDE_TEXT, BodyLimits

_PART = 1 << 18
_WIDE = re.compile(rb"[\xf0-\xf4]|\\u[dD][89abAB]")
# Where an escape that began in the part before may end.
_ESCAPE_LENGTH = 6
_QUOTE, _BACKSLASH, _COMMA = b'"\\,'
_OPENING, _CLOSING, _CASE = ord("{"), ord("}"), 0x20

Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]


def check_shape(data: bytes, limits: BodyLimits) -> int:
    """Return where the first value of `data`, an object or a list, ends; `len(data)` if nowhere.

    Raises:
        BadRequest: it has more values, strings, objects and lists, levels or escapes than allowed.
        BodyTooLarge: it is larger than allowed, or it has more of texts with wide characters.
    """
    if len(data) > limits.size:
        raise BodyTooLarge(limits.size)
    scan = _Scan(data)
    for _ in scan.parts():
        if scan.depth > MAX_DEPTH:
            raise NestedTooDeeply(MAX_DEPTH)
        if scan.n_containers > limits.containers:
            raise _too_many(limits.containers, "objects and lists")
        if scan.n_values > limits.values:
            raise _too_many(limits.values, "values")
        if scan.n_strings > limits.strings:
            raise _too_many(limits.strings, "strings and keys")
        if scan.n_escapes > MAX_ESCAPES:
            raise _too_many(MAX_ESCAPES, "escapes")
        if scan.n_wide > MAX_WIDE_TEXT:
            raise BodyTooLarge(MAX_WIDE_TEXT, "text of the request")
    return scan.end


def _too_many(limit: int, parts: str) -> BadRequest:
    return BadRequest(f"the request body has more than {limit} {parts}")


class _Scan:
    """A pass over `data`, in parts; the counters are those of what was passed.

    `depth` is the deepest level so far. `n_wide` are bytes of strings with wide characters.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._level = 0
        self._in_string = False
        self._n_backslashes = self._n_quotes = 0
        self._string_start = 0
        self._string_is_wide = False
        self.end = len(data)
        self.depth = self.n_containers = self.n_values = self.n_strings = 0
        self.n_escapes = self.n_wide = 0

    def parts(self) -> Iterator[None]:
        """Go on part by part, until the first value ends."""
        whole = np.frombuffer(self._data, np.uint8)
        for start in range(0, len(whole), _PART):
            part = whole[start : start + _PART]
            is_end = not self._is_inside_string(start, start + len(part)) and self._pass(
                part, start
            )
            yield
            if is_end:
                return

    def _is_inside_string(self, start: int, end: int) -> bool:
        """Tell whether a part lies within a string and has no escape: it is only measured then.

        Most of a long body is in such parts, and searching is ten times faster than counting.
        """
        if not self._in_string or self._n_backslashes:
            return False
        if self._data.find(b'"', start, end) >= 0 or self._data.find(b"\\", start, end) >= 0:
            return False
        self._string_is_wide |= self._is_wide(max(self._string_start, start - _ESCAPE_LENGTH), end)
        return True

    def _pass(self, part: Bytes, start: int) -> bool:
        """Count `part`, which begins at `start`; return whether the first value ends in it."""
        quotes = self._quotes(part)
        inside = (np.cumsum(quotes, dtype=np.uint8) & 1).astype(np.bool_) ^ self._in_string
        outside = ~inside & ~quotes
        folded = part | _CASE
        opening, closing = (folded == _OPENING) & outside, (folded == _CLOSING) & outside
        levels = self._level + np.cumsum(
            opening.view(np.int8) - closing.view(np.int8), dtype=np.int32
        )
        ends = np.flatnonzero(closing & (levels <= 0))
        is_end = len(ends) > 0
        if is_end:
            self.end = start + int(ends[0]) + 1
            size = int(ends[0]) + 1
            part, quotes, levels = part[:size], quotes[:size], levels[:size]
            opening, outside = opening[:size], outside[:size]
        self.depth = max(self.depth, int(levels.max()))
        self.n_containers += int(np.count_nonzero(opening))
        self.n_values += int(np.count_nonzero((part == _COMMA) & outside))
        self._n_quotes += int(np.count_nonzero(quotes))
        self.n_strings = self._n_quotes // 2
        self._measure_texts(quotes, start)
        self._level, self._in_string = int(levels[-1]), bool(inside[len(part) - 1])
        return is_end

    def _quotes(self, part: Bytes) -> Flags:
        """Return which bytes of `part` are quotes that begin or end a string."""
        quotes: Flags = part == _QUOTE
        backslashes = part == _BACKSLASH
        if not self._n_backslashes and not backslashes.any():
            return quotes
        # The length of the run of backslashes that ends before each byte.
        self.n_escapes += int(np.count_nonzero(backslashes))
        index = np.arange(len(part))
        last_other = np.maximum.accumulate(np.where(backslashes, -1, index))
        runs = index - last_other
        runs[last_other < 0] += self._n_backslashes
        before = np.empty_like(runs)
        before[0], before[1:] = self._n_backslashes, runs[:-1]
        self._n_backslashes = int(runs[-1])
        quotes &= before % 2 == 0
        return quotes

    def _measure_texts(self, quotes: Flags, start: int) -> None:
        """Add to `n_wide` what a part has of strings with wide characters.

        A string that goes on beyond the part is measured as a whole. Those that lie within the
        part are not told apart: if one of them has wide characters, all of them count.
        """
        end = start + len(quotes)
        places = np.flatnonzero(quotes)
        first = start + int(places[0]) if len(places) else end
        last = start + int(places[-1]) if len(places) else start
        if self._in_string:
            begin = max(self._string_start, start - _ESCAPE_LENGTH)
            self._string_is_wide |= self._is_wide(begin, first)
        if len(places) == 0:
            return
        if self._string_is_wide:
            self.n_wide += first - self._string_start
        if self._is_wide(first, last):
            self.n_wide += last - first
        ends_inside = self._in_string ^ (len(places) % 2 == 1)
        self._string_start = last
        self._string_is_wide = ends_inside and self._is_wide(last, end)

    def _is_wide(self, begin: int, end: int) -> bool:
        if self._data[begin:end].isascii() and self._data.find(b"\\u", begin, end) < 0:
            return False
        return _WIDE.search(self._data, begin, end) is not None
