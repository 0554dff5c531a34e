"""What one rendering of a template may take, and how large a value is.

Templates come from strangers: whatever one does, it ends soon and leaves memory to others.
"""

import time
from collections.abc import Callable
from typing import Final

from jinja2.utils import Namespace

from server.errors import TemplateBudgetExceeded, TemplateError

LARGEST: Final = 1 << 22
"""The longest text that a template may make: four times the longest context in use."""
_LARGEST_WHOLE: Final = 1 << 24
_LARGEST_OUTPUT: Final = 1 << 26
_LARGEST_SUM: Final = 1 << 29
"""In bytes. A template that puts a prompt together piece by piece makes it anew with each one."""
MOST_SECONDS: Final = 5.0
"""The last resort: steps are counted alike on every machine, but some take long."""
_MOST_STEPS: Final = 1_000_000
_CHARACTERS_PER_STEP: Final = 64
_ITEM: Final = 128
_EMPTY: Final[dict[object, object]] = {}
_VIEWS: Final = (type(_EMPTY.keys()), type(_EMPTY.values()), type(_EMPTY.items()))
_HOLDERS: Final = (list, dict, tuple, set, frozenset, *_VIEWS)


class Allowance:
    """Time, and the memory of all values that are made on the way, kept or not.

    All executions that make one prompt share one of these. What is interpreted step by step also
    counts its steps; compiled templates have no such thing.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, seconds: float = MOST_SECONDS
    ) -> None:
        self._clock, self._ends = clock, clock() + seconds
        self._steps = self._taken = self._written = 0

    def tick(self) -> None:
        """Raise TemplateError when the time is up."""
        if self._clock() > self._ends:
            raise too_much()

    def step(self, characters: int = 0) -> None:
        """Count a step that handles so many characters; raises TemplateError at the end."""
        self._steps += 1 + characters // _CHARACTERS_PER_STEP
        limit(self._steps, _MOST_STEPS)
        self.tick()

    def take(self, n_bytes: int) -> None:
        """Count memory that was taken; raises TemplateError when it is too much."""
        self._taken += n_bytes
        limit(self._taken, _LARGEST_SUM)

    def write(self, characters: int) -> None:
        """Count what is printed or captured; raises TemplateError when it is too much."""
        self._written += characters
        limit(self._written, _LARGEST_OUTPUT)


def too_much() -> TemplateError:
    return TemplateBudgetExceeded("the model's chat template takes too much time or space")


def limit(size: int, most: int = LARGEST) -> None:
    """Raise TemplateError when something would be too large, by default a text."""
    if size > most:
        raise too_much()


def size(value: object) -> int:
    """Return the size of a value in characters, without what it holds."""
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, int):
        return _ITEM + value.bit_length() // 8
    return _ITEM * (1 + len(value)) if isinstance(value, _HOLDERS) else _ITEM


def whole_size(value: object) -> int:
    """Return the size of a value with all that it holds, a shared part as often as it would print.

    Raises TemplateError as soon as that is too much: values that share parts can be far larger
    than the memory that they take.
    """
    total, waiting = 0, [value]
    while waiting:
        item = waiting.pop()
        total += size(item)
        limit(total, _LARGEST_WHOLE)
        if isinstance(item, dict):
            waiting += item
            waiting += item.values()
        elif isinstance(item, _HOLDERS):
            waiting += item
        elif isinstance(item, Namespace):
            waiting.append(object.__getattribute__(item, "__dict__"))
    return total
