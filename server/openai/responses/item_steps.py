"""Convert response items, one by one, to steps of a conversation: texts, thoughts, calls, results.

Items of the hosted service that say something (a search with its results, a shell call, a patch)
become the call and the result that they record. Others are left out.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from server.openai.freeform import INPUT
from server.openai.responses.item_content import ContentReader, ItemContent, string
from server.openai.responses.items import ASSISTANT, Item
from server.openai.responses.tools import flat_name

# What the hosted service encrypts is base64url; reasoning of this server is plain text.
_ENCRYPTED: Final = re.compile(r"[A-Za-z0-9_\-+/]{40,}={0,2}")


@dataclass(frozen=True, slots=True)
class Text:
    """What somebody said."""

    role: str
    content: ItemContent


@dataclass(frozen=True, slots=True)
class Thought:
    """Reasoning of the assistant."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call; `arguments` are JSON text when they are not an object, such as a cut one."""

    id: str
    name: str
    arguments: Mapping[str, object] | str


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a call; `name` is the tool's, where the item says it."""

    call_id: str
    content: ItemContent
    name: str = ""


Step = Text | Thought | Call | Result


@dataclass(frozen=True, slots=True)
class _Source:
    """An item, its place in the request, and the reader of its content."""

    item: Item
    where: str
    reader: ContentReader

    @property
    def id(self) -> str:
        return str(self.item["id"])

    @property
    def call_id(self) -> str:
        return self.string("call_id")

    @property
    def name(self) -> str:
        """The name of the tool as the model sees it."""
        return flat_name(self.string("namespace"), self.string("name"))

    def get(self, field: str) -> object:
        return self.item.get(field)

    def string(self, field: str) -> str:
        return string(self.item, field, self.where)

    def output(self, value: object) -> ItemContent:
        return self.reader.output(value, f"{self.where}: output")


_Converter = Callable[[_Source], Iterator[Step]]


def _message(source: _Source) -> Iterator[Step]:
    content = source.reader.message(source.get("content"), f"{source.where}: content")
    yield Text(source.string("role").lower(), content)


def _reasoning(source: _Source) -> Iterator[Step]:
    text = "".join(_fields(source.get("content"), "text"))
    encrypted = source.string("encrypted_content")
    if not text and not _ENCRYPTED.fullmatch(encrypted):
        text = encrypted
    yield Thought(text or "\n".join(_fields(source.get("summary"), "text")))


def _function_call(source: _Source) -> Iterator[Step]:
    arguments = _arguments(source.get("arguments"))
    yield Call(source.call_id, source.name, arguments)


def _custom_call(source: _Source) -> Iterator[Step]:
    arguments = {INPUT: source.string("input")}
    yield Call(source.call_id, source.name, arguments)


def _output(source: _Source) -> Iterator[Step]:
    content = source.output(source.get("output"))
    # The output of a local shell call names the call in its own id.
    call_id = source.call_id or source.string("id")
    yield Result(call_id, content, source.name)


def _action(tool: str, field: str) -> _Converter:
    """Return the converter of a built-in tool's call, whose arguments are the object `field`."""

    def convert(source: _Source) -> Iterator[Step]:
        action = source.get(field)
        arguments = {} if not isinstance(action, dict) else action
        kept = {key: value for key, value in arguments.items() if value is not None}
        yield Call(source.call_id or source.id, tool, kept)

    return convert


def _search(source: _Source) -> Iterator[Step]:
    # Without an id the hosted service has searched: the tools that it found are among the tools.
    if call_id := source.call_id:
        yield Call(call_id, "tool_search", _arguments(source.get("arguments")))


def _search_output(source: _Source) -> Iterator[Step]:
    if call_id := source.call_id:
        yield Result(call_id, ItemContent("\n".join(_fields(source.get("tools"), "name"))))


def _mcp_call(source: _Source) -> Iterator[Step]:
    yield Call(source.id, source.string("name"), _arguments(source.get("arguments")))
    value = source.get("error") if source.get("output") is None else source.get("output")
    yield Result(source.id, source.output(value))


def _file_search(source: _Source) -> Iterator[Step]:
    if texts := _fields(source.get("results"), "text"):
        yield Call(source.id, "file_search", {"queries": source.get("queries")})
        yield Result(source.id, ItemContent("\n\n".join(texts)))


def _code(source: _Source) -> Iterator[Step]:
    yield Call(source.id, "code_interpreter", {"code": source.get("code")})
    yield Result(source.id, ItemContent("\n".join(_fields(source.get("outputs"), "logs"))))


def _patch_output(source: _Source) -> Iterator[Step]:
    text = source.string("output") or source.string("status")
    yield Result(source.call_id, ItemContent(text))


def _compaction(source: _Source) -> Iterator[Step]:
    summary = source.string("encrypted_content")
    if summary and not _ENCRYPTED.fullmatch(summary):
        yield Text("user", ItemContent(summary))


_CONVERTERS: Final[Mapping[str, _Converter]] = {
    "message": _message,
    "reasoning": _reasoning,
    "compaction": _compaction,
    "compaction_summary": _compaction,
    "function_call": _function_call,
    "function_call_output": _output,
    "custom_tool_call": _custom_call,
    "custom_tool_call_output": _output,
    "local_shell_call": _action("local_shell", "action"),
    "local_shell_call_output": _output,
    "shell_call": _action("shell", "action"),
    "shell_call_output": _output,
    "apply_patch_call": _action("apply_patch", "operation"),
    "apply_patch_call_output": _patch_output,
    "computer_call": _action("computer", "action"),
    "computer_call_output": _output,
    "tool_search_call": _search,
    "tool_search_output": _search_output,
    "mcp_call": _mcp_call,
    "file_search_call": _file_search,
    "code_interpreter_call": _code,
}


def steps_of(item: Item, where: str, reader: ContentReader) -> Iterator[Step]:
    """Yield the steps that an item stands for, none for one that means nothing to a model.

    Raises:
        BadRequest: the content or a name of the item is invalid.
    """
    if convert := _CONVERTERS.get(item["type"]):
        yield from convert(_Source(item, where, reader))


def said(text: str) -> Text:
    """Return a text of the assistant."""
    return Text(ASSISTANT, ItemContent(text))


def _fields(value: object, field: str) -> list[str]:
    """Return a text field of the objects in a list; what has none is left out."""
    objects = [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
    return [text for each in objects if isinstance(text := each.get(field), str)]


def _arguments(value: object) -> Mapping[str, object] | str:
    """Return the arguments of a call, as text when they are no JSON object."""
    if not isinstance(value, str):
        return value if isinstance(value, dict) else {}
    try:
        decoded = json.loads(value) if value.strip() else {}
    except (ValueError, RecursionError):
        return value
    if decoded is None:
        return {}
    return decoded if isinstance(decoded, dict) else value
