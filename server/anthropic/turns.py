"""Convert messages made of content blocks to messages of the domain."""

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping, Sequence

from server.anthropic.schemas import (
    Block,
    DocumentContent,
    ImageContent,
    ImageSource,
    InputMessage,
    SearchResultContent,
    TextContent,
    ThinkingContent,
    ToolResultContent,
    ToolUseContent,
)
from server.errors import BadRequest
from server.prompt.messages import Message, ToolCall


class TurnReader:
    """Converts messages, in order; `fetched` maps URLs of remote images to their bytes."""

    def __init__(self, fetched: Mapping[str, bytes]) -> None:
        self._fetched = fetched
        self._names: dict[str, str] = {}

    def read(self, turns: Iterable[InputMessage]) -> Iterator[Message]:
        """Yield the messages, without empty ones.

        Raises:
            BadRequest: a message has no content, or invalid content.
        """
        for position, turn in enumerate(turns):
            if turn.content is None:
                raise BadRequest(f"messages[{position}] has no content")
            results = [self._result(b) for b in turn.content if isinstance(b, ToolResultContent)]
            message = self._message(turn.role.lower(), turn.content)
            self._names |= {call.id: call.name for call in message.tool_calls}
            messages = [message] if _has_content(message) else []
            # Text of the user goes after the tool results, which must follow their calls directly.
            yield from (*results, *messages) if message.role == "user" else (*messages, *results)

    def _message(self, role: str, blocks: Sequence[Block]) -> Message:
        calls = [block for block in blocks if isinstance(block, ToolUseContent)]
        thoughts = [block.thinking for block in blocks if isinstance(block, ThinkingContent)]
        return Message(
            role=role,
            content=text_of(blocks),
            thinking=thoughts[-1] if thoughts else "",
            images=self._images(blocks, "invalid image source"),
            tool_calls=tuple(_call(index, call) for index, call in enumerate(calls)),
        )

    def _result(self, block: ToolResultContent) -> Message:
        return Message(
            role="tool",
            content=text_of(block.content),
            images=self._images(block.content, "invalid tool_result image source"),
            tool_name=self._names.get(block.tool_use_id, ""),
            tool_call_id=block.tool_use_id,
        )

    def _images(self, blocks: Iterable[Block], refusal: str) -> tuple[bytes, ...]:
        images = (block for block in blocks if isinstance(block, ImageContent))
        return tuple(self._image(image.source, refusal) for image in images)

    def _image(self, source: ImageSource | None, refusal: str) -> bytes:
        if source is None:
            raise BadRequest(refusal)
        if source.type == "url" and source.url in self._fetched:
            return self._fetched[source.url]
        if source.type != "base64":
            raise BadRequest(
                f"invalid image source type: {source.type[:100]}. Only base64 images are supported."
            )
        try:
            return base64.b64decode(source.data, validate=True)
        except (binascii.Error, ValueError):
            raise BadRequest(
                "invalid base64 image data: it contains characters that are not base64"
            ) from None


def text_of(blocks: Iterable[Block]) -> str:
    """Return the joined texts of `blocks`, documents included."""
    return "".join(map(_text, blocks))


def _text(block: Block) -> str:
    match block:
        case TextContent(text=text):
            return text
        case DocumentContent(title=title, source=source):
            text = _document(source)
            return "".join(f"{part}\n\n" for part in (title, text) if part) if text else ""
        case SearchResultContent(title=title, source=source, content=blocks):
            text = text_of(blocks)
            parts = (title, source, text) if text else ()
            return "".join(f"{part}\n\n" for part in parts if part)
    return ""


def _document(source: object) -> str:
    match source:
        case {"type": "text", "data": str(text)} | {"type": "content", "content": str(text)}:
            return text
        case {"type": "content", "content": list(blocks)}:
            return "".join(_part(block) for block in blocks)
    return ""


def _part(block: object) -> str:
    match block:
        case {"type": "text", "text": str(text)}:
            return text
    return ""


def _has_content(message: Message) -> bool:
    return bool(message.content or message.thinking or message.images or message.tool_calls)


def _call(index: int, block: ToolUseContent) -> ToolCall:
    for field, value in (("id", block.id), ("name", block.name)):
        if not value:
            raise BadRequest(f"tool_use block missing required '{field}' field")
    return ToolCall(block.id, index, block.name, block.input)
