"""What every family of models has in common."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from server.errors import TemplateError
from server.prompt.messages import Message, Think, Tool


class Family(ABC):
    """Writes prompts the way that one family of models learnt to read them.

    `bos` is the text a prompt begins with that the tokenizer may add as well, and `images` tells
    whether tags of images within the contents mean anything to the models.
    """

    bos = ""
    images = False

    def render(
        self, messages: Sequence[Message], tools: Sequence[Tool], think: Think | None
    ) -> str:
        """Return the prompt; raises TemplateError for what the family cannot express."""
        try:
            return self._prompt(messages, tools, think)
        except RecursionError:
            raise TemplateError("a tool or one of its calls is nested too deeply") from None

    @abstractmethod
    def _prompt(
        self, messages: Sequence[Message], tools: Sequence[Tool], think: Think | None
    ) -> str: ...
