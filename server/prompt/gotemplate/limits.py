"""What a template may cost, so that a hostile one ends soon whatever it does."""

import time
from collections.abc import Callable
from typing import Final

from server.errors import TemplateError

_MOST_STEPS: Final = 1_000_000
_MOST_SECONDS: Final = 5.0
"""The last resort: steps are counted alike on every machine, but some take long."""
_LARGEST_OUTPUT: Final = 1 << 26
_CHARACTERS_PER_STEP: Final = 64


class Limits:
    """Counts what one prompt costs; all executions that make it share one of these."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._ends = clock, clock() + _MOST_SECONDS
        self._steps = self._size = 0

    def step(self, characters: int = 0) -> None:
        """Count a step that handles so many characters; raises TemplateError at the end."""
        self._steps += 1 + characters // _CHARACTERS_PER_STEP
        if self._steps > _MOST_STEPS or self._clock() > self._ends:
            raise TemplateError("template: it runs too long")

    def write(self, characters: int) -> None:
        """Count what is printed; raises TemplateError when it is too much."""
        self._size += characters
        if self._size > _LARGEST_OUTPUT:
            raise TemplateError("template: it prints too much")
