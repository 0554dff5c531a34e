"""Base class of the prompt renderers for model families."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Final

from server.errors import TemplateError
from server.prompt.messages import Message, Think, Tool, ToolCall

_CALL: Final = ToolCall("id", 0, "name", {"key": "value"})
_SAMPLE: Final = (
    Message("system", "text"),
    Message("user", "text"),
    Message("assistant", "text", thinking="text", tool_calls=(_CALL,)),
    Message("tool", "text", tool_name="name", tool_call_id="id"),
    Message("assistant", "text", thinking="text"),
    Message("user", "text"),
)
"""A conversation with everything that prompts can have."""
_TOOL: Final = Tool("function", "name", "text", {"properties": {"key": {"type": "string"}}})


class FamilyRenderer(ABC):
    """Writes prompts in the format that one model family was trained on.

    `bos` is the text at the start of a prompt that the tokenizer may add as well; `images` says
    whether the models of the family accept images.
    """

    bos = ""
    images = False

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool],
        think: Think | None,
        *,
        as_sent: bool = False,
    ) -> str:
        """Return the prompt; raises TemplateError for conversations the family cannot have."""
        try:
            return self._prompt(messages, tools, think)
        except RecursionError:
            raise TemplateError("a tool or a tool call is nested too deeply") from None

    @cached_property
    def markup(self) -> str:
        """Prompts that have all special tokens of the format."""
        ends = (_SAMPLE[:2], _SAMPLE[:3], _SAMPLE[:4], _SAMPLE)
        return "".join(
            self.render(messages, (_TOOL,), think) for messages in ends for think in (True, False)
        )

    @abstractmethod
    def _prompt(
        self, messages: Sequence[Message], tools: Sequence[Tool], think: Think | None
    ) -> str: ...
