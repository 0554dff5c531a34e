"""Messages, tools and tool calls of a conversation, as chat templates see them."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the assistant made earlier; `arguments` are decoded JSON."""

    id: str
    index: int
    name: str
    arguments: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn; `images` holds the bytes of image files, and of audio files among them."""

    role: str
    content: str = ""
    thinking: str = ""
    images: tuple[bytes, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_name: str = ""
    tool_call_id: str = ""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call; `parameters` is its JSON Schema as the client wrote it.

    Templates show `parameters`. Arguments satisfy `enforced` where it is set, else `parameters`; a
    request whose `enforced` schema cannot be compiled is refused.
    """

    type: str = ""
    name: str = ""
    description: str = ""
    parameters: Mapping[str, object] = field(default_factory=dict)
    items: object = None
    enforced: Mapping[str, object] | None = None

    @property
    def argument_schema(self) -> Mapping[str, object]:
        """The JSON Schema of the arguments."""
        return self.parameters if self.enforced is None else self.enforced


Think = bool | str
"""Whether to think, or how much: "low", "medium", "high" or "max"."""
