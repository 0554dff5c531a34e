"""Base class of the prompt renderers for model families."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from server.errors import TemplateError
from server.prompt.messages import Message, Think, Tool


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

    @abstractmethod
    def _prompt(
        self, messages: Sequence[Message], tools: Sequence[Tool], think: Think | None
    ) -> str: ...
