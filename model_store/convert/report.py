"""Progress report of a conversion."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Report:
    """`progress` is told the bytes that are written and those that will be.

    `note` is told what people should know of the result, in one sentence.
    """

    progress: Callable[[int, int], None]
    note: Callable[[str], None]
