"""Output format of a model family: a parser factory with its tool and reasoning support."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from server.parsing.parser import OutputParser
from server.prompt.messages import Message, Think, Tool


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationStart:
    """What a parser must know of a generation: the tools of the request and the end of the prompt.

    `last` is the last message of the conversation, `prompt` the rendered text.
    """

    tools: Sequence[Tool] = ()
    last: Message | None = None
    think: Think | None = None
    prompt: str = ""

    @property
    def prefilled(self) -> bool:
        """Whether the model continues an answer that the request began (assistant prefill)."""
        return self.last is not None and self.last.role == "assistant" and self.last.content != ""


class ParserFactory(Protocol):
    """Creates the parser of one generation."""

    def __call__(self, generation: GenerationStart, /) -> OutputParser: ...


def _same_names(tools: Sequence[Tool]) -> tuple[Tool, ...]:
    """Return the tools under their own names."""
    return tuple(tools)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFormat:
    """How a model writes reasoning and tool calls, and whether it supports them at all.

    `visible_tokens` are delimiters that may be special tokens: the runner renders them as text, so
    that the parser sees them. `rename_tools` returns the tools under the names that the model can
    write; the parser, created with the tools of the request, translates the names back.
    `thinking_levels` maps levels that the format does not know to those that it does.
    """

    name: str
    create_parser: ParserFactory
    tools: bool = False
    thinking: bool = False
    visible_tokens: tuple[str, ...] = ()
    rename_tools: Callable[[Sequence[Tool]], tuple[Tool, ...]] = _same_names
    thinking_levels: Mapping[str, str] = field(default_factory=dict)

    def thinking_level(self, think: Think | None) -> Think | None:
        """Return the thinking level as the format knows it."""
        return self.thinking_levels.get(think, think) if isinstance(think, str) else think
