"""Convert response items, of a request or of an earlier response, to messages."""

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import PydanticCustomError

from server.errors import BadRequest
from server.openai.content import is_remote, text_of_file
from server.openai.values import image_of
from server.prompt.messages import Message, ToolCall
from server.text.quoting import quoted

Item = dict[str, Any]

_ASSISTANT = "assistant"
_TEXTS = {"input_text": "text", "output_text": "text", "refusal": "refusal"}
"""Types of text parts, and the field that holds the text."""
_IMAGE = "input_image"
_MAX_SHOWN = 100
_PREFIXES = {"message": "msg", "reasoning": "rs", "function_call": "fc"}


def input_items(value: object) -> list[Item]:
    """Return the items of the `input` of a request, in the form in which they are listed later.

    Raises:
        BadRequest: it is neither a text nor a list of objects.
    """
    if value is None or value == "":
        return []
    if isinstance(value, str):
        value = [{"type": "message", "role": "user", "content": value}]
    if not isinstance(value, list):
        raise BadRequest("input must be a string or array")
    return [_listed(item, f"input[{index}]") for index, item in enumerate(value)]


def _listed(item: object, where: str) -> Item:
    if not isinstance(item, dict):
        raise BadRequest(f"{where}: each item must be an object")
    kind = item.get("type") or ("message" if item.get("role") else None)
    if not isinstance(kind, str):
        raise BadRequest(f"{where}: input item missing required 'type' field")
    listed: Item = {**item, "type": kind}
    if not isinstance(listed.get("id"), str) or not listed["id"]:
        listed["id"] = f"{_PREFIXES.get(kind, 'item')}_{secrets.token_hex(16)}"
    if kind == "message" and isinstance(text := listed.get("content"), str):
        part = "output_text" if listed.get("role") == _ASSISTANT else "input_text"
        listed["content"] = [{"type": part, "text": text}]
    return listed


def remote_images(items: Iterable[Item]) -> tuple[str, ...]:
    """Return the URLs of the images that have to be fetched first."""
    urls = (
        part["image_url"]
        for item in items
        for content in (item.get("content"), item.get("output"))
        if isinstance(content, list)
        for part in content
        if isinstance(part, dict) and part.get("type") == _IMAGE
        if isinstance(part.get("image_url"), str)
    )
    return tuple(dict.fromkeys(url for url in urls if is_remote(url)))


@dataclass(slots=True)
class _Turn:
    """A message of the assistant, to which several items may belong."""

    texts: list[str] = field(default_factory=list)
    images: list[bytes] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)

    def message(self) -> Message:
        return Message(
            _ASSISTANT,
            "\n".join(filter(None, self.texts)),
            thinking="\n".join(filter(None, self.thoughts)),
            images=tuple(self.images),
            tool_calls=tuple(self.calls),
        )


class ItemReader:
    """Converts items to messages, in order; `fetched` maps URLs of remote images to their bytes."""

    def __init__(self, fetched: Mapping[str, bytes]) -> None:
        self._fetched = fetched
        self._turns: list[_Turn | Message] = []
        self._thoughts: list[str] = []
        self._names: dict[str, str] = {}

    def messages(self) -> tuple[Message, ...]:
        """Return the messages of all items read so far."""
        self._end_thinking()
        return tuple(turn if isinstance(turn, Message) else turn.message() for turn in self._turns)

    def read(self, items: Iterable[Item]) -> None:
        """Read more items.

        Raises:
            BadRequest: an item has an unknown type or invalid content.
        """
        for index, item in enumerate(items):
            self._read(item, f"input[{index}]")

    def _read(self, item: Item, where: str) -> None:
        match item["type"]:
            case "message":
                self._message(item, where)
            case "reasoning":
                self._thoughts.append(_string(item, "encrypted_content", where))
            case "function_call":
                self._call(item, where)
            case "function_call_output":
                self._output(item, where)
            case "web_search_call":
                # It does not contain the results.
                return
            case kind:
                raise BadRequest(f"{where}: unknown input item type: {quoted(kind[:_MAX_SHOWN])}")

    def _message(self, item: Item, where: str) -> None:
        text, images = self._content(item.get("content"), f"{where}: content")
        role = _string(item, "role", where).lower()
        if role != _ASSISTANT:
            self._end_thinking()
            self._turns.append(Message(role, text, images=images))
            return
        # Text between a call and its result belongs to the message of the call.
        last = self._answer()
        turn = last if last is not None and last.calls else self._begin_answer()
        turn.texts.append(text)
        turn.images += images
        self._attach_thinking(turn)

    def _call(self, item: Item, where: str) -> None:
        call_id, name = _string(item, "call_id", where), _string(item, "name", where)
        turn = self._answer() or self._begin_answer()
        turn.calls.append(ToolCall(call_id, len(turn.calls), name, _arguments(item, where)))
        self._names[call_id] = name
        self._attach_thinking(turn)

    def _answer(self) -> _Turn | None:
        """Return the last message if it is the assistant's."""
        last = self._turns[-1] if self._turns else None
        return last if isinstance(last, _Turn) else None

    def _begin_answer(self) -> _Turn:
        turn = _Turn()
        self._turns.append(turn)
        return turn

    def _output(self, item: Item, where: str) -> None:
        self._end_thinking()
        call_id = _string(item, "call_id", where)
        text, images = self._content(item.get("output"), f"{where}: output")
        self._turns.append(
            Message(
                role="tool",
                content=text,
                images=images,
                tool_name=self._names.get(call_id, ""),
                tool_call_id=call_id,
            )
        )

    def _content(self, value: object, where: str) -> tuple[str, tuple[bytes, ...]]:
        """Return the text and the images of a content field."""
        if isinstance(value, str):
            return value, ()
        if not isinstance(value, list):
            raise BadRequest(f"{where} must be a string or array")
        texts: list[str] = []
        images: list[bytes] = []
        for index, part in enumerate(value):
            place = f"{where}[{index}]"
            kind = part.get("type") if isinstance(part, dict) else None
            if not isinstance(kind, str):
                raise BadRequest(f"{place}: a part must be an object with a type")
            if kind in _TEXTS:
                texts.append(_string(part, _TEXTS[kind], place))
            elif kind == _IMAGE:
                images += self._images(part, place)
            elif kind == "input_file":
                texts.append(_file(part))
            else:
                raise BadRequest(f"{place}: unknown content type: {kind[:_MAX_SHOWN]}")
        return "".join(texts), tuple(images)

    def _images(self, part: Mapping[str, object], where: str) -> Sequence[bytes]:
        url = _string(part, "image_url", where)
        if not url:
            return ()
        if is_remote(url):
            return (self._fetched[url],)
        try:
            return (image_of(url),)
        except PydanticCustomError as e:
            raise BadRequest(e.message()) from None

    def _attach_thinking(self, turn: _Turn) -> None:
        """Add the reasoning read so far to `turn`."""
        turn.thoughts.append("".join(self._thoughts))
        self._thoughts = []

    def _end_thinking(self) -> None:
        """Put reasoning without an answer in a message of its own."""
        if any(self._thoughts):
            self._attach_thinking(self._begin_answer())


def _file(part: Mapping[str, object]) -> str:
    """Return the text of a file, separated from the text after it."""
    data = part.get("file_data")
    if not isinstance(data, str):
        raise BadRequest("file inputs are not currently supported, except text files as data URIs")
    try:
        return f"{text_of_file(data, part.get('filename'))}\n\n"
    except PydanticCustomError as e:
        raise BadRequest(e.message()) from None


def _string(item: Mapping[str, object], field: str, where: str) -> str:
    value = item.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadRequest(f"{where}: {field} must be a string")
    return value


def _arguments(item: Item, where: str) -> Mapping[str, object]:
    text = _string(item, "arguments", where)
    try:
        value = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise BadRequest(
            f"failed to parse function call arguments: {where} must be JSON text of an object"
        )
    return value
