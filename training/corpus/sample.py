"""One piece of training text: what the model is given, and what it shall write."""

from collections.abc import Sequence
from dataclasses import dataclass

from training import chat
from training.chat import Tool, Turn


@dataclass(frozen=True, slots=True)
class Sample:
    """`kind` says which part of the corpus it is from; conversations tell what they are made of."""

    kind: str
    prompt: str
    answer: str
    turns: Sequence[Turn] = ()
    tools: Sequence[Tool] = ()
    think: bool = False


def conversation(
    kind: str,
    turns: Sequence[Turn],
    *,
    system: str = "",
    tools: Sequence[Tool] = (),
    think: bool = False,
) -> Sample:
    """Return a sample in which the assistant's last turn is to be written."""
    *earlier, last = turns
    return Sample(
        kind,
        chat.prompt(earlier, system=system, tools=tools, think=think),
        chat.answer(last, think=think),
        turns,
        tools,
        think,
    )
