"""Text that stays as the model writes it."""

from typing import Final

from server.parsing.family import Beginning, Family
from server.parsing.parser import OutputParser
from server.parsing.plain import PlainText


def _start(beginning: Beginning) -> OutputParser:
    return PlainText()


PASSTHROUGH: Final = Family(name="passthrough", start=_start)
