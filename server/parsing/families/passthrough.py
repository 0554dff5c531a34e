"""Text that stays as the model writes it."""

from typing import Final

from server.parsing.family import Beginning, Family
from server.parsing.generic import Unsplit
from server.parsing.parser import OutputParser


def _start(beginning: Beginning) -> OutputParser:
    return Unsplit()


PASSTHROUGH: Final = Family(name="passthrough", start=_start)
