"""Freeform tools (type `custom`), whose input is a text instead of JSON arguments.

The model sees a function with one text argument, so that every tool call syntax can express the
call; a grammar becomes the pattern of that text.
"""

from collections.abc import Mapping
from typing import Final, Self

import msgspec
from pydantic import model_validator

from server.errors import BadRequest
from server.prompt.messages import Tool
from server.schemas.base import ApiModel
from server.schemas.lark_regex import LarkError, regex_of
from server.text.quoting import quoted

INPUT: Final = "input"
"""The name of the argument."""
_FREE_TEXT: Final = "The whole input of the tool, as plain text."


class GrammarField(ApiModel):
    """A grammar; `syntax` is lark or regex."""

    syntax: str = ""
    definition: str = ""


class InputFormat(ApiModel):
    """The format of the input: `text`, or `grammar` with its fields here or in `grammar`."""

    type: str = "text"
    syntax: str = ""
    definition: str = ""
    grammar: GrammarField | None = None

    @model_validator(mode="after")
    def _lift_grammar(self) -> Self:
        if self.grammar is None:
            return self
        fields = {"syntax": self.grammar.syntax, "definition": self.grammar.definition}
        return self.model_copy(update=fields)


def freeform_tool(name: str, description: str, format: InputFormat) -> Tool:
    """Return the function that stands for a freeform tool; raises BadRequest for its format."""
    if format.type == "text":
        return Tool("function", name, description, _parameters(_FREE_TEXT))
    shown = f"{_FREE_TEXT} It must match this {format.syntax} grammar:\n{format.definition}"
    enforced = _parameters(_FREE_TEXT, f"^(?:{_regex(name, format)})$")
    return Tool("function", name, description, _parameters(shown), enforced=enforced)


def _parameters(description: str, pattern: str = "") -> dict[str, object]:
    schema = {"type": "string", "description": description}
    if pattern:
        schema["pattern"] = pattern
    return {"type": "object", "properties": {INPUT: schema}, "required": [INPUT]}


def _regex(name: str, format: InputFormat) -> str:
    match format.type, format.syntax:
        case "grammar", "regex" if format.definition:
            return format.definition
        case "grammar", "lark" if format.definition:
            try:
                return regex_of(format.definition)
            except LarkError as e:
                raise BadRequest(
                    f"the grammar of tool {quoted(name)} cannot be enforced: {e}"
                ) from None
    raise BadRequest(
        f"the format of tool {quoted(name)} must be text, or grammar with a definition and the "
        "syntax lark or regex"
    )


def input_of(arguments: Mapping[str, object]) -> str:
    """Return the input of a freeform tool from the arguments that a model wrote."""
    value = arguments.get(INPUT)
    if value is None and len(arguments) == 1:
        [value] = arguments.values()
    if isinstance(value, str):
        return value
    return msgspec.json.encode(arguments if value is None else value).decode()
