"""What is known of one format of model output, whichever source tells it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from server.parsing.parser import OutputParser
from server.prompt.messages import Message, Think, Tool


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """Where a generation begins: the request's tools, and what stands before the first token.

    `last` is the conversation's last message, `prompt` the rendered text.
    """

    tools: Sequence[Tool] = ()
    last: Message | None = None
    think: Think | None = None
    prompt: str = ""

    @property
    def prefilled(self) -> bool:
        """Whether the model goes on with an answer that the request began."""
        return self.last is not None and self.last.role == "assistant" and self.last.content != ""


class Start(Protocol):
    """Makes the parser of one generation."""

    def __call__(self, beginning: Beginning, /) -> OutputParser: ...


def unchanged(tools: Sequence[Tool]) -> tuple[Tool, ...]:
    """Return the tools under their own names."""
    return tuple(tools)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A format: whether it knows tools and thinking, and how its output is split.

    The texts in `visible` are marks, which the model may write as special tokens: those must be
    rendered as text for the parser to see them. `rename` gives tools the names by which the model
    is told of them; the parser, started with the tools of the request, undoes it. `levels` tells
    which level of thinking stands for one that the format does not know.
    """

    name: str
    start: Start
    tools: bool = False
    thinking: bool = False
    visible: tuple[str, ...] = ()
    rename: Callable[[Sequence[Tool]], tuple[Tool, ...]] = unchanged
    levels: Mapping[str, str] = field(default_factory=dict)

    def level(self, think: Think | None) -> Think | None:
        """Return the wish to think as the format knows it."""
        return self.levels.get(think, think) if isinstance(think, str) else think
