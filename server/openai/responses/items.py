"""Input items of a response: lists of a request, references to stored items, tools in items."""

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from server.errors import BadRequest, NotFound
from server.openai.content import is_remote
from server.openai.responses.schemas import ToolField

Item = dict[str, Any]

ASSISTANT = "assistant"
REFERENCE = "item_reference"
IMAGES = ("input_image", "computer_screenshot")
"""Types of parts with an image in `image_url`."""
_WITH_TOOLS = ("additional_tools", "tool_search_output")
_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "custom_tool_call": "ctc",
    "local_shell_call": "lsh",
    "mcp_call": "mcp",
}


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
    kind = item.get("type") or _implied_type(item)
    if not isinstance(kind, str):
        raise BadRequest(f"{where}: input item missing required 'type' field")
    listed: Item = {**item, "type": kind}
    if not isinstance(listed.get("id"), str) or not listed["id"]:
        if kind == REFERENCE:
            raise BadRequest(f"{where}: an item_reference needs the id of an item")
        listed["id"] = f"{_PREFIXES.get(kind, 'item')}_{secrets.token_hex(16)}"
    if kind == "message" and isinstance(text := listed.get("content"), str):
        part = "output_text" if listed.get("role") == ASSISTANT else "input_text"
        listed["content"] = [{"type": part, "text": text}]
    return listed


def _implied_type(item: Mapping[str, object]) -> str | None:
    """Return the type of an item that does not say it."""
    if item.get("role"):
        return "message"
    return REFERENCE if item.keys() <= {"id", "type"} and item.get("id") else None


def references(items: Iterable[Item]) -> list[str]:
    """Return the ids of stored items that are sent by reference."""
    return [item["id"] for item in items if item["type"] == REFERENCE]


def resolved(
    items: Sequence[Item], stored: Mapping[str, Item], known: Iterable[Item]
) -> list[Item]:
    """Return the items with `stored` ones in the place of their references.

    A reference to an item of the conversation so far, `known`, adds nothing.

    Raises:
        NotFound: an item is not stored.
    """
    ids = {item["id"] for item in known}
    result = []
    for item in items:
        if item["type"] != REFERENCE:
            result.append(item)
        elif item["id"] not in ids:
            if item["id"] not in stored:
                raise NotFound(
                    f"Item with id '{item['id']}' not found. Items are not persisted when `store` "
                    "is set to false. Try again with `store` set to true, or remove this item from "
                    "your input."
                )
            result.append(stored[item["id"]])
    return result


def remote_images(items: Iterable[Item]) -> tuple[str, ...]:
    """Return the URLs of the images that have to be fetched first."""
    urls = (
        part["image_url"]
        for item in items
        for part in _parts(item)
        if part.get("type") in IMAGES and isinstance(part.get("image_url"), str)
    )
    return tuple(dict.fromkeys(url for url in urls if is_remote(url)))


def _parts(item: Item) -> Iterator[Mapping[str, Any]]:
    for content in (item.get("content"), item.get("output")):
        parts = content if isinstance(content, list) else [content]
        yield from (part for part in parts if isinstance(part, dict))


def tools_in(items: Iterable[Item]) -> list[ToolField]:
    """Return the tools that items bring, such as those that a search of the client found.

    Raises:
        BadRequest: one is no tool.
    """
    tools = []
    for item in items:
        found = item.get("tools") if item["type"] in _WITH_TOOLS else None
        if isinstance(found, list):
            try:
                tools += [ToolField.model_validate(tool) for tool in found]
            except ValidationError:
                raise BadRequest(f"a tool of the item '{item['id']}' is invalid") from None
    return tools
